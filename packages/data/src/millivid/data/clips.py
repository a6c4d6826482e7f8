"""Reading a folder of video clips with an action and a pose per frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clip import ActionType, Clip, action_array
from .errors import DatasetError
from .index_file import (
    INDEX_NAME,
    check_span,
    damaged,
    known_id,
    load_index,
    parse_action_type,
    parse_fps,
    parse_names,
    parse_size,
    parse_videos,
    require_complete,
    split_ids,
)
from .table_reader import TableReader
from .verification import (
    Progress,
    Verification,
    check_file,
    check_hash,
    clip_shapes,
    find_strays,
    raise_for,
)
from .video import read_frames, read_video

CLIP_FORMAT = "millivid-clips"


@dataclass(frozen=True, kw_only=True)
class ClipIndex:
    """What ``dataset.json`` of a clip dataset says.

    Attributes:
        fps: frames per second.
        size: (height, width) in pixels.
        action_names: what action 0, 1, ... are, or the columns of continuous actions.
        action_type: whether an action is one of the names or a vector with a number for each.
        pose_names: what the columns of a pose are.
        lossless: whether decoding gives the bytes that were recorded.
        source: where the clips come from; free form (world and its settings, seed, ...).
        splits: ids per split, such as ``train`` and ``test``.
        frames: number of frames per id, for all videos.
        sha256: the SHA-256 of each video and of its table; empty where the dataset is from before they were recorded.
    """

    fps: float
    size: tuple[int, int]
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    lossless: bool
    source: Mapping[str, Any]
    splits: Mapping[str, tuple[str, ...]]
    frames: Mapping[str, int]
    action_type: ActionType = "categorical"
    sha256: Mapping[str, tuple[str, str]] = field(default_factory=dict)


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
            self.index = ClipIndex(
                fps=parse_fps(value),
                size=parse_size(value),
                action_names=parse_names(value, "action_names"),
                pose_names=parse_names(value, "pose_names"),
                lossless=bool(value.get("lossless", False)),
                source=dict(value.get("source", {})),
                splits=splits,
                frames=frames,
                action_type=parse_action_type(value),
                sha256=recorded_clip_hashes(value),
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

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Actions of a span of a video, int64 [frame] or float32 [frame, action], without decoding frames."""
        frames = self.num_frames(video)
        stop = check_span(self.folder, video, start, stop, frames)
        dtype, shape = action_array(self.index.action_type, len(self.index.action_names), frames)
        return self._tables.open(str(self._table(video))).read("actions", shape, dtype, [(start, stop)])

    def poses(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Poses of a span of a video, float32 [frame, pose], without decoding frames."""
        frames = self.num_frames(video)
        stop = check_span(self.folder, video, start, stop, frames)
        shape = (frames, len(self.index.pose_names))
        return self._tables.open(str(self._table(video))).read("poses", shape, np.float32, [(start, stop)])

    def verify(self, progress: Progress = iter) -> Verification:
        """Read every file and check that it is what was written, and that no video is there that the index does not list.

        A video without a recorded hash is decoded from end to end instead.

        Args:
            progress: is given the ids and gives them back one by one; `tqdm` will do.

        Raises:
            DatasetError: files are missing, damaged, or others than were written; it names them.
        """
        problems: dict[str, DatasetError] = {}
        for video in progress(self.ids()):
            of_video, of_table = self.index.sha256.get(video, (None, None))
            path, frames = self.folder / "videos" / f"{video}.mp4", self.num_frames(video)
            shapes = clip_shapes(frames, self.index.action_type, self.index.action_names, self.index.pose_names)
            try:
                check_hash(path, of_video)
                if of_video is None:
                    self._checked(path, read_video(path, 0, frames))
            except DatasetError as error:
                problems[path.name] = error
            try:
                check_file(self._table(video), shapes, of_table)
            except DatasetError as error:
                problems[self._table(video).name] = error
        problems |= find_strays(self.folder, {"videos": ".mp4", "tables": ".safetensors"}, self.index.frames)
        raise_for(self.folder, problems, 2 * len(self))
        return Verification(videos=len(self), frames=sum(self.index.frames.values()), hashes=len(self.index.sha256))

    def _checked(self, path: Path, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if frames.shape[1:3] != self.index.size:
            raise DatasetError(
                f"{path}: frames are {frames.shape[1]}x{frames.shape[2]}, but dataset.json says "
                f"{self.index.size[0]}x{self.index.size[1]}; delete it and make it again."
            )
        return frames

    def _table(self, video: str) -> Path:
        return self.folder / "tables" / f"{video}.safetensors"


def recorded_clip_hashes(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The hashes in ``dataset.json`` of videos and of tables; datasets from before there were any have none."""
    entries = index.get("videos", {}).items()
    return {
        id: (str(entry["video_sha256"]), str(entry["table_sha256"])) for id, entry in entries if "video_sha256" in entry
    }
