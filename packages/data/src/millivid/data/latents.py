"""A folder of encoded videos: pyramids of latents with actions and poses, sliced straight from disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .atomic import remove_leftovers, write_json
from .clip import POSE_NAMES
from .errors import DatasetError
from .index_file import (
    INDEX_NAME,
    VERSION,
    check_id,
    check_span,
    check_splits,
    continue_or_refuse,
    damaged,
    known_id,
    load_index,
    parse_videos,
    require_complete,
    split_ids,
)
from .latent_statistics import LatentStatistics, measure_statistics
from .table_reader import TableFile, TableReader
from .tables import Pieces, write_table

LATENT_FORMAT = "millivid-latents"
BLOCK = 256
"""Frames that are read at a time."""


class FrameSlices(Protocol):
    """What has the shape of an array and gives arrays for slices of frames."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, height, width, channel)."""
        ...

    def __getitem__(self, frames: slice, /) -> NDArray[Any]:
        """Those frames."""
        ...


@dataclass(frozen=True, kw_only=True)
class LatentIndex:
    """What ``dataset.json`` of a latent dataset says.

    Attributes:
        fps: frames per second.
        action_names: what action 0, 1, ... are.
        pose_names: what the columns of a pose are.
        grids: (height, width) of each level's token grid, finest level first.
        channels: channels of a latent.
        tokenizer: what encoded the frames; ``fingerprint`` tells tokenizers apart.
        source: where the latents come from; free form.
        statistics: mean and standard deviation of the training latents per level and channel.
        splits: ids per split, such as ``train`` and ``test``.
        frames: number of frames per id, for all videos.
    """

    fps: float
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    grids: tuple[tuple[int, int], ...]
    channels: int
    tokenizer: Mapping[str, Any]
    source: Mapping[str, Any]
    statistics: LatentStatistics
    splits: Mapping[str, tuple[str, ...]]
    frames: Mapping[str, int]


class LatentDataset:
    """Reads a latent dataset folder.

    Args:
        folder: holds ``dataset.json`` and ``latents/<id>.safetensors``.

    Raises:
        DatasetError: there is no such dataset, it is unfinished, or of another format or version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        value = load_index(self.folder, LATENT_FORMAT)
        require_complete(self.folder, value)
        path = self.folder / INDEX_NAME
        frames, splits = parse_videos(path, value)
        self._tables = TableReader()
        try:
            self.index = LatentIndex(
                fps=float(value["fps"]),
                action_names=tuple(value["action_names"]),
                pose_names=tuple(value["pose_names"]),
                grids=tuple((int(height), int(width)) for height, width in value["grids"]),
                channels=int(value["channels"]),
                tokenizer=dict(value["tokenizer"]),
                source=dict(value.get("source", {})),
                statistics=LatentStatistics.from_lists(value["statistics"]["mean"], value["statistics"]["std"]),
                splits=splits,
                frames=frames,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, error) from error

    def __len__(self) -> int:
        """Number of videos, all splits together."""
        return len(self.index.frames)

    def ids(self, split: str | None = None) -> list[str]:
        """Ids of the videos of a split, in order; of all videos for None."""
        return split_ids(self.folder, split, self.index.splits, list(self.index.frames))

    def num_frames(self, video: str) -> int:
        """Number of frames of a video."""
        return known_id(self.folder, video, self.index.frames)

    def read(self, video: str, level: int, start: int = 0, stop: int | None = None) -> NDArray[np.float16]:
        """Latents of one level (0: finest), frames ``start`` up to ``stop``: float16 [frame, height, width, channel].

        Only the bytes asked for are read.

        Raises:
            DatasetError: no such video or level, a span outside of the video, or a missing or damaged file.
        """
        return self.read_spans(video, {level: [(start, self._stop(video, start, stop))]})[level]

    def read_spans(self, video: str, spans: Mapping[int, Sequence[tuple[int, int]]]) -> dict[int, NDArray[np.float16]]:
        """Several spans of frames of several levels, with one opening of the file: what a training example is made of.

        Args:
            video: the id.
            spans: per level (0: finest), the first frame of each span and the one after its last.

        Returns:
            Per level, the frames of its spans, one span after the other: float16 [frame, height, width, channel].

        Only the bytes asked for are read, and the file stays open for the next call; a file that was replaced is opened
        again.

        Raises:
            DatasetError: no such video or level, a span outside of the video, or a missing or damaged file.
        """
        frames, found = self.num_frames(video), {}
        file = self._open(video)
        for level, parts in spans.items():
            if not 0 <= level < len(self.index.grids):
                raise DatasetError(f"{self.folder} has levels 0 to {len(self.index.grids) - 1}; got level {level}.")
            for start, stop in parts:
                check_span(self.folder, video, start, stop, frames)
            shape = (frames, *self.index.grids[level], self.index.channels)
            found[level] = file.read(f"level_{level}", shape, np.float16, parts)
        return found

    def read_all(self, video: str) -> tuple[NDArray[np.float16], ...]:
        """The whole pyramid of a video, finest level first, each float16 [frame, height, width, channel]."""
        return tuple(self.read(video, level) for level in range(len(self.index.grids)))

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Actions of a span of a video, int64 [frame]."""
        parts = [(start, self._stop(video, start, stop))]
        return self._open(video).read("actions", (self.num_frames(video),), np.int64, parts)

    def poses(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Poses of a span of a video, float32 [frame, pose]."""
        parts = [(start, self._stop(video, start, stop))]
        shape = (self.num_frames(video), len(self.index.pose_names))
        return self._open(video).read("poses", shape, np.float32, parts)

    def _stop(self, video: str, start: int, stop: int | None) -> int:
        return check_span(self.folder, video, start, stop, self.num_frames(video))

    def _open(self, video: str) -> TableFile:
        return self._tables.open(f"{self.folder}/latents/{video}.safetensors")  # joining Paths takes as long as reading


class LatentWriter:
    """Writes a latent dataset folder, video by video; may be stopped at any time and continued later.

    Args:
        folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there.
        fps, action_names, pose_names: as in the clip dataset that is encoded.
        grids: (height, width) of each level's token grid, finest level first.
        channels: channels of a latent.
        tokenizer: what encodes the frames (JSON values), with a ``fingerprint`` that tells its weights apart.
        source: where the frames come from (JSON values).

    Several processes may write different videos into one folder, each with its own `LatentWriter`; one of them calls
    `finish` when all are done.

    Raises:
        DatasetError: the folder holds something else, or ``tokenizer`` has no fingerprint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        action_names: Sequence[str],
        grids: Sequence[tuple[int, int]],
        channels: int,
        tokenizer: Mapping[str, Any],
        source: Mapping[str, Any] | None = None,
        pose_names: Sequence[str] = POSE_NAMES,
    ) -> None:
        if "fingerprint" not in tokenizer:
            raise DatasetError(
                f"tokenizer needs an entry 'fingerprint' to tell its latents apart; got {dict(tokenizer)}"
            )
        self.folder = Path(folder)
        self.grids = tuple((int(height), int(width)) for height, width in grids)
        self.channels = int(channels)
        self._header: dict[str, Any] = {
            "format": LATENT_FORMAT,
            "version": VERSION,
            "fps": fps,
            "action_names": list(action_names),
            "pose_names": list(pose_names),
            "grids": [list(grid) for grid in self.grids],
            "channels": self.channels,
            "tokenizer": dict(tokenizer),
            "source": dict(source or {}),
        }
        if continue_or_refuse(self.folder, self._header) is None:
            empty = {"statistics": {}, "complete": False, "splits": {}, "videos": {}}
            write_json(self.folder / INDEX_NAME, {**self._header, **empty})

    def done(self, video: str) -> bool:
        """Whether the video is written already."""
        return self._path(video).is_file()

    def write(
        self, video: str, levels: Sequence[FrameSlices], actions: NDArray[np.int64], poses: NDArray[np.float32]
    ) -> None:
        """Write one video's latents; the file appears whole or not at all.

        Args:
            video: the id, as in the clip dataset.
            levels: the pyramid, finest level first, each [frame, height, width, channel]; stored as float16. Whatever has
                that shape and gives arrays for slices of frames will do (a memory map, a `PyramidFile`'s levels), and is
                never read whole.
            actions: integers, [frame].
            poses: [frame, pose].

        Raises:
            DatasetError: a shape is another one, or a latent is not finite in float16.
        """
        check_id(video)
        if len(levels) != len(self.grids):
            raise DatasetError(f"video {video!r}: {len(self.grids)} levels are expected; got {len(levels)}")
        frames = levels[0].shape[0]
        table: dict[str, NDArray[Any] | Pieces] = {}
        for level, (latents, grid) in enumerate(zip(levels, self.grids, strict=True)):
            what, shape = f"video {video!r}, level {level}", (frames, *grid, self.channels)
            _check_shape(what, latents.shape, shape)
            table[f"level_{level}"] = Pieces(shape, np.dtype(np.float16), _half_precision(what, latents))
        num_poses = len(self._header["pose_names"])
        table["actions"] = _checked(f"video {video!r}, actions", actions, (frames,), np.int64)
        table["poses"] = _checked(f"video {video!r}, poses", poses, (frames, num_poses), np.float32)
        write_table(self._path(video), table)

    def finish(self, splits: Mapping[str, Sequence[str]], statistics: LatentStatistics | None = None) -> None:
        """Declare the dataset complete: write the index with these splits (ids in order). No writer may be at work.

        Args:
            splits: ids per split.
            statistics: mean and standard deviation per level and channel; None: measured over the split ``train``
                (over all videos where there is none), reading some frames at a time.

        Raises:
            DatasetError: a split names a video that is not written, or a video is in two splits.
        """
        ids = [video for names in splits.values() for video in names]
        for video in ids:
            check_id(video)
        path = self.folder / INDEX_NAME
        check_splits(path, splits, {video for video in ids if self.done(video)})
        tables = TableReader()
        rows = {video: tables.open(str(self._path(video))).rows("actions") for video in ids}
        if statistics is None:
            measured = splits.get("train") or ids
            statistics = measure_statistics(
                self._block(tables.open(str(self._path(video))), start, rows[video])
                for video in measured
                for start in range(0, rows[video], BLOCK)
            )
        for folder in (self.folder, self.folder / "latents"):
            remove_leftovers(folder)
        complete = {
            "statistics": statistics.to_lists(),
            "complete": True,
            "splits": {name: list(ids) for name, ids in splits.items()},
            "videos": {video: {"frames": frames} for video, frames in rows.items()},
        }
        write_json(path, {**self._header, **complete})

    def _block(self, file: TableFile, start: int, frames: int) -> Iterator[NDArray[np.float16]]:
        """Some frames of each level in turn."""
        for level, grid in enumerate(self.grids):
            span = (start, min(start + BLOCK, frames))
            yield file.read(f"level_{level}", (frames, *grid, self.channels), np.float16, [span])

    def _path(self, video: str) -> Path:
        return self.folder / "latents" / f"{video}.safetensors"


def _half_precision(what: str, latents: FrameSlices) -> Iterator[NDArray[np.float16]]:
    for start in range(0, latents.shape[0], BLOCK):
        block = np.asarray(latents[start : start + BLOCK])
        with np.errstate(over="ignore"):
            half = block.astype(np.float16)
        if not np.isfinite(half).all():
            raise DatasetError(
                f"{what}: latents hold NaN, infinity or values that float16 cannot (largest {np.abs(block).max()}); "
                "look at the tokenizer"
            )
        yield half


def _check_shape(what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(found) != expected:
        raise DatasetError(f"{what}: shape {list(expected)} is expected; got {list(found)}")


def _checked(what: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    array = np.asarray(array)
    _check_shape(what, array.shape, shape)
    return array.astype(dtype)
