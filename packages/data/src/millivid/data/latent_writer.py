"""Writing a folder of encoded videos, which may be stopped at any time, and verifying it when it is complete."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .atomic import MINUTE, remove_leftovers, write_json
from .clip import POSE_NAMES, ActionType, action_array
from .errors import DatasetError
from .index_file import INDEX_NAME, VERSION, check_id, check_splits, continue_or_refuse, load_index
from .latent_statistics import LatentStatistics, StatisticsSum
from .latents import LATENT_FORMAT, recorded_hashes
from .table_reader import REMAKE, TableFile
from .tables import Pieces, write_table
from .verification import Progress, Shapes, Verification, check_file, latent_shapes, raise_for, read_hash

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


class LatentWriter:
    """Writes a latent dataset folder, video by video; may be stopped at any time and continued later.

    Args:
        folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there.
        fps, action_names, action_type, pose_names: as in the clip dataset that is encoded.
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
        action_type: ActionType = "categorical",
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
            "action_type": action_type,
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

    def written(self) -> set[str]:
        """Ids of all videos that are written already, by whichever process."""
        return {path.stem for path in (self.folder / "latents").glob("*.safetensors") if path.name[0] != "."}

    def write(
        self, video: str, levels: Sequence[FrameSlices], actions: NDArray[Any], poses: NDArray[np.float32]
    ) -> None:
        """Write one video's latents; the file appears whole or not at all.

        The hash of what was to be written is kept beside it until `finish` compares it with what the disk gives back.

        Args:
            video: the id, as in the clip dataset.
            levels: the pyramid, finest level first, each [frame, height, width, channel]; stored as float16. Whatever has
                that shape and gives arrays for slices of frames will do (a memory map, a `PyramidFile`'s levels), and is
                never read whole.
            actions: integers, [frame]; continuous ones: numbers, [frame, action].
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
            what, whole = f"video {video!r}, level {level}", (frames, *grid, self.channels)
            _check_shape(what, latents.shape, whole)
            table[f"level_{level}"] = Pieces(whole, np.dtype(np.float16), _half_precision(what, latents))
        num_actions, num_poses = len(self._header["action_names"]), len(self._header["pose_names"])
        dtype, shape = action_array(self._header["action_type"], num_actions, frames)
        table["actions"] = _checked(f"video {video!r}, actions", actions, shape, dtype)
        table["poses"] = _checked(f"video {video!r}, poses", poses, (frames, num_poses), np.float32)
        write_table(self._path(video), table, self._path(video).with_suffix(".sha256"))

    def finish(
        self,
        splits: Mapping[str, Sequence[str]],
        statistics: LatentStatistics | None = None,
        frames: Mapping[str, int] | None = None,
        progress: Progress = iter,
    ) -> Verification:
        """Verify every video and declare the dataset complete: write the index with these splits (ids in order).

        No writer may be at work. Several processes may finish at the same time, with the same arguments.

        Args:
            splits: ids per split.
            statistics: mean and standard deviation per level and channel; None: measured over the split ``train``
                (over all videos where there is none), reading some frames at a time.
            frames: how many frames each video has to have; None: as many as its file holds.
            progress: is given the ids and gives them back one by one; `tqdm` will do.

        Raises:
            DatasetError: a split names a video that is not written, a video is in two splits, or files are damaged,
                hold another number of frames, or are not what was written; it names them.
        """
        ids = [video for names in splits.values() for video in names]
        for video in ids:
            check_id(video)
        path = self.folder / INDEX_NAME
        check_splits(path, splits, {video for video in ids if self.done(video)})
        measured = set((splits.get("train") or ids) if statistics is None else ())
        recorded, total = recorded_hashes(load_index(self.folder, LATENT_FORMAT)), StatisticsSum()
        videos: dict[str, dict[str, int | str]] = {}
        problems: dict[str, DatasetError] = {}
        for video in progress(ids):
            try:
                expected = read_hash(self._path(video).with_suffix(".sha256")) or recorded.get(video)
                file = TableFile(str(self._path(video)))
                rows = file.rows("actions")
                if frames is not None and frames.get(video) != rows:
                    raise DatasetError(
                        f"{file.path}: holds {rows} frames, but {frames.get(video, 'none')} are expected; {REMAKE}."
                    )
                digest = check_file(self._path(video), self._shapes(rows), expected)
                videos[video] = {"frames": rows, "sha256": digest}
                if video in measured:
                    for start in range(0, rows, BLOCK):
                        total.add(self._block(file, start, rows))
            except DatasetError as error:
                problems[self._path(video).name] = error
        raise_for(self.folder, problems, len(ids))
        remove_leftovers(self.folder / "latents")
        remove_leftovers(self.folder, older_than=MINUTE)  # another process may be writing the same index
        complete = {
            "statistics": (statistics or total.statistics()).to_lists(),
            "complete": True,
            "splits": {name: list(ids) for name, ids in splits.items()},
            "videos": videos,
        }
        write_json(path, {**self._header, **complete})
        for video in ids:
            self._path(video).with_suffix(".sha256").unlink(missing_ok=True)
        return Verification(
            videos=len(videos), frames=sum(int(entry["frames"]) for entry in videos.values()), hashes=len(videos)
        )

    def _shapes(self, frames: int) -> Shapes:
        header = self._header
        actions = action_array(header["action_type"], len(header["action_names"]), frames)
        return latent_shapes(frames, self.grids, self.channels, actions, len(header["pose_names"]))

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
