"""Reading a folder of encoded videos: pyramids of latents with actions and poses, sliced straight from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clip import ActionType, action_array
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
    parse_videos,
    require_complete,
    split_ids,
)
from .latent_statistics import LatentStatistics
from .table_reader import TableFile, TableReader
from .verification import Progress, Verification, check_file, find_strays, latent_shapes, raise_for

LATENT_FORMAT = "millivid-latents"


@dataclass(frozen=True, kw_only=True)
class LatentIndex:
    """What ``dataset.json`` of a latent dataset says.

    Attributes:
        fps: frames per second.
        action_names: what action 0, 1, ... are, or the columns of continuous actions.
        action_type: whether an action is one of the names or a vector with a number for each.
        pose_names: what the columns of a pose are.
        grids: (height, width) of each level's token grid, finest level first.
        channels: channels of a latent.
        tokenizer: what encoded the frames; ``fingerprint`` tells tokenizers apart.
        source: where the latents come from; free form.
        statistics: mean and standard deviation of the training latents per level and channel.
        splits: ids per split, such as ``train`` and ``test``.
        frames: number of frames per id, for all videos.
        sha256: the SHA-256 of each video's file; without those that were written before hashes were recorded.
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
    sha256: Mapping[str, str] = field(default_factory=dict)
    action_type: ActionType = "categorical"


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
                fps=parse_fps(value),
                action_names=parse_names(value, "action_names"),
                pose_names=parse_names(value, "pose_names"),
                grids=tuple((int(height), int(width)) for height, width in value["grids"]),
                channels=int(value["channels"]),
                tokenizer=dict(value["tokenizer"]),
                source=dict(value.get("source", {})),
                statistics=LatentStatistics.from_lists(value["statistics"]["mean"], value["statistics"]["std"]),
                splits=splits,
                frames=frames,
                sha256=recorded_hashes(value),
                action_type=parse_action_type(value),
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
        frames, wanted = self.num_frames(video), []
        for level, parts in spans.items():
            if not 0 <= level < len(self.index.grids):
                raise DatasetError(f"{self.folder} has levels 0 to {len(self.index.grids) - 1}; got level {level}.")
            for start, stop in parts:
                check_span(self.folder, video, start, stop, frames)
            shape = (frames, *self.index.grids[level], self.index.channels)
            wanted.append((f"level_{level}", shape, np.float16, parts))
        return dict(zip(spans, self._open(video).read_many(wanted), strict=True))

    def read_all(self, video: str) -> tuple[NDArray[np.float16], ...]:
        """The whole pyramid of a video, finest level first, each float16 [frame, height, width, channel]."""
        return tuple(self.read(video, level) for level in range(len(self.index.grids)))

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Actions of a span of a video, int64 [frame] or float32 [frame, action]."""
        parts = [(start, self._stop(video, start, stop))]
        dtype, shape = self._actions(video)
        return self._open(video).read("actions", shape, dtype, parts)

    def poses(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Poses of a span of a video, float32 [frame, pose]."""
        parts = [(start, self._stop(video, start, stop))]
        shape = (self.num_frames(video), len(self.index.pose_names))
        return self._open(video).read("poses", shape, np.float32, parts)

    def verify(self, progress: Progress = iter) -> Verification:
        """Read every file and check that it is there, has all arrays of all frames, and has the hash that was recorded.

        Args:
            progress: is given the ids and gives them back one by one; `tqdm` will do.

        Raises:
            DatasetError: files are missing, damaged, or others than were written; it names them.
        """
        problems: dict[str, DatasetError] = {}
        for video in progress(self.ids()):
            num_poses, path = len(self.index.pose_names), self.folder / "latents" / f"{video}.safetensors"
            shapes = latent_shapes(
                self.num_frames(video), self.index.grids, self.index.channels, self._actions(video), num_poses
            )
            try:
                check_file(path, shapes, self.index.sha256.get(video))
            except DatasetError as error:
                problems[path.name] = error
        problems |= find_strays(self.folder, {"latents": ".safetensors"}, self.index.frames)
        raise_for(self.folder, problems, len(self))
        return Verification(videos=len(self), frames=sum(self.index.frames.values()), hashes=len(self.index.sha256))

    def _actions(self, video: str) -> tuple[type[np.generic], tuple[int, ...]]:
        return action_array(self.index.action_type, len(self.index.action_names), self.num_frames(video))

    def _stop(self, video: str, start: int, stop: int | None) -> int:
        return check_span(self.folder, video, start, stop, self.num_frames(video))

    def _open(self, video: str) -> TableFile:
        return self._tables.open(f"{self.folder}/latents/{video}.safetensors")  # joining Paths takes as long as reading


def recorded_hashes(index: Mapping[str, Any]) -> dict[str, str]:
    """The hashes in ``dataset.json``; datasets from before there were any have none."""
    return {video: str(entry["sha256"]) for video, entry in index.get("videos", {}).items() if "sha256" in entry}
