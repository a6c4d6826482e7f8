"""A folder of video clips with per-frame actions and poses: reading and writing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import remove_leftovers, write_json
from .clip import POSE_NAMES, Clip
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
from .table_reader import TableReader
from .tables import write_table
from .video import read_frames, read_video, write_video

CLIP_FORMAT = "millivid-clips"


@dataclass(frozen=True, kw_only=True)
class ClipIndex:
    """What ``dataset.json`` of a clip dataset says.

    Attributes:
        fps: frames per second.
        size: (height, width) in pixels.
        action_names: what action 0, 1, ... are.
        pose_names: what the columns of a pose are.
        lossless: whether decoding gives the bytes that were recorded.
        source: where the clips come from; free form (world and its settings, seed, ...).
        splits: ids per split, such as ``train`` and ``test``.
        frames: number of frames per id, for all videos.
    """

    fps: float
    size: tuple[int, int]
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    lossless: bool
    source: Mapping[str, Any]
    splits: Mapping[str, tuple[str, ...]]
    frames: Mapping[str, int]


class ClipDataset:
    """Reads a clip dataset folder.

    Args:
        folder: holds ``dataset.json``, ``videos/<id>.mp4`` and ``tables/<id>.safetensors``.

    Raises:
        DatasetError: there is no such dataset, it is unfinished, or of another format or version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        value = load_index(self.folder, CLIP_FORMAT)
        require_complete(self.folder, value)
        path = self.folder / INDEX_NAME
        frames, splits = parse_videos(path, value)
        self._tables = TableReader()
        try:
            height, width = value["size"]
            self.index = ClipIndex(
                fps=float(value["fps"]),
                size=(int(height), int(width)),
                action_names=tuple(value["action_names"]),
                pose_names=tuple(value["pose_names"]),
                lossless=bool(value.get("lossless", False)),
                source=dict(value.get("source", {})),
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

    def read(self, video: str, start: int = 0, stop: int | None = None) -> Clip:
        """Frames ``start`` up to ``stop`` (excluded; None: to the end) of a video.

        Any span costs about the same per frame: at most 15 frames before it are decoded too.

        Raises:
            DatasetError: no such video, a span outside of it, or a missing, damaged or shortened file.
        """
        stop = check_span(self.folder, video, start, stop, self.num_frames(video))
        path = self.folder / "videos" / f"{video}.mp4"
        frames = self._checked(path, read_video(path, start, stop))
        return Clip(frames=frames, actions=self.actions(video, start, stop), poses=self.poses(video, start, stop))

    def frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Single frames of a video, in the order of ``indices``: uint8 RGB, [index, height, width, 3].

        The same frames that `read` gives. For each at most 15 others are decoded; near ones share that work.

        Raises:
            DatasetError: no such video, a frame outside of it, or a missing, damaged or shortened file.
        """
        for index in indices:
            check_span(self.folder, video, index, index + 1, self.num_frames(video))
        path = self.folder / "videos" / f"{video}.mp4"
        return self._checked(path, read_frames(path, indices))

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Actions of a span of a video, int64 [frame], without decoding frames."""
        frames = self.num_frames(video)
        stop = check_span(self.folder, video, start, stop, frames)
        return self._tables.open(str(self._table(video))).read("actions", (frames,), np.int64, [(start, stop)])

    def poses(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Poses of a span of a video, float32 [frame, pose], without decoding frames."""
        frames = self.num_frames(video)
        stop = check_span(self.folder, video, start, stop, frames)
        shape = (frames, len(self.index.pose_names))
        return self._tables.open(str(self._table(video))).read("poses", shape, np.float32, [(start, stop)])

    def _checked(self, path: Path, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if frames.shape[1:3] != self.index.size:
            raise DatasetError(
                f"{path}: frames are {frames.shape[1]}x{frames.shape[2]}, but dataset.json says "
                f"{self.index.size[0]}x{self.index.size[1]}; delete it and make it again."
            )
        return frames

    def _table(self, video: str) -> Path:
        return self.folder / "tables" / f"{video}.safetensors"


class ClipWriter:
    """Writes a clip dataset folder, video by video; may be stopped at any time and continued later.

    Args:
        folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there.
        fps: frames per second of all videos.
        size: (height, width) of all videos, in pixels.
        action_names: what action 0, 1, ... are.
        source: where the clips come from (JSON values): world, settings, seed. Two writers with equal sources must
            write equal videos, because a continued dataset mixes theirs.
        lossless: store frames without loss (about five times the size).
        pose_names: what the columns of a pose are.

    Several processes may write different videos into one folder, each with its own `ClipWriter`; one of them calls
    `finish` when all are done.

    Raises:
        DatasetError: the folder holds something else.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        size: tuple[int, int],
        action_names: Sequence[str],
        source: Mapping[str, Any],
        lossless: bool = False,
        pose_names: Sequence[str] = POSE_NAMES,
    ) -> None:
        self.folder = Path(folder)
        self.size = (int(size[0]), int(size[1]))
        self.lossless = lossless
        self._header: dict[str, Any] = {
            "format": CLIP_FORMAT,
            "version": VERSION,
            "fps": fps,
            "size": list(self.size),
            "action_names": list(action_names),
            "pose_names": list(pose_names),
            "lossless": lossless,
            "source": dict(source),
        }
        if continue_or_refuse(self.folder, self._header) is None:
            write_json(self.folder / INDEX_NAME, {**self._header, "complete": False, "splits": {}, "videos": {}})

    def done(self, video: str) -> bool:
        """Whether the video is written already."""
        return self._video(video).is_file() and self._table(video).is_file()

    def write(self, video: str, clip: Clip) -> None:
        """Write a video and its table; each file appears whole or not at all, the table last.

        Raises:
            DatasetError: the clip does not fit the dataset (size, action out of range, number of pose columns), or
                the id cannot be a file name.
        """
        check_id(video)
        action_names: list[str] = self._header["action_names"]
        num_actions, num_poses = len(action_names), len(self._header["pose_names"])
        if clip.frames.shape[1:3] != self.size or not len(clip):
            raise DatasetError(
                f"video {video!r}: a clip of at least one frame of {self.size[0]}x{self.size[1]} pixels is expected; "
                f"got shape {list(clip.frames.shape)}"
            )
        if clip.actions.min() < 0 or clip.actions.max() >= num_actions:
            raise DatasetError(
                f"video {video!r}: actions must lie in 0..{num_actions - 1} ({', '.join(action_names)}); "
                f"got {clip.actions.min()}..{clip.actions.max()}"
            )
        if clip.poses.shape[1] != num_poses:
            raise DatasetError(f"video {video!r}: poses must have {num_poses} columns; got {clip.poses.shape[1]}")
        write_video(self._video(video), clip.frames, self._header["fps"], lossless=self.lossless)
        write_table(self._table(video), {"actions": clip.actions, "poses": clip.poses})

    def finish(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Declare the dataset complete: write the index with these splits (ids in order). No writer may be at work.

        Raises:
            DatasetError: a split names a video that is not written, or a video is in two splits.
        """
        ids = [video for names in splits.values() for video in names]
        for video in ids:
            check_id(video)
        path = self.folder / INDEX_NAME
        check_splits(path, splits, {video for video in ids if self.done(video)})
        tables = TableReader()
        videos = {video: {"frames": tables.open(str(self._table(video))).rows("actions")} for video in ids}
        for folder in (self.folder, self.folder / "videos", self.folder / "tables"):
            remove_leftovers(folder)
        complete = {"complete": True, "splits": {name: list(ids) for name, ids in splits.items()}, "videos": videos}
        write_json(path, {**self._header, **complete})

    def _video(self, video: str) -> Path:
        return self.folder / "videos" / f"{video}.mp4"

    def _table(self, video: str) -> Path:
        return self.folder / "tables" / f"{video}.safetensors"
