"""``dataset.json`` as a typed value: what datasets of clips and of latents both say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from millivid.files import typed

from .clip import ActionType
from .errors import DatasetError
from .index_file import (
    HIGHEST_FPS,
    INDEX_NAME,
    LOWEST_FPS,
    REMAKE,
    VERSION,
    check_id,
    check_names,
    check_splits,
    load_index,
)
from .table_reader import Arrays

Count = Annotated[int, Meta(gt=0, lt=2**31)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


@dataclass(frozen=True)
class FileKind:
    """One of the files that each video has: ``<folder>/<id><suffix>``, and the entry of the index that has its SHA-256."""

    folder: str
    suffix: str
    hash_name: str


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """What ``dataset.json`` says of every dataset.

    fps: frames per second. action_names: what action 0, 1, ... are, or the columns of continuous actions. action_type:
    whether an action is one of the names or a vector with a number for each. pose_names: what the columns of a pose are.
    source: where the videos come from; free form (world and its settings, seed, ...). splits: ids per split, such as
    ``train`` and ``test``. frames: number of frames per id, for all videos. sha256: the SHA-256 of each of a video's files;
    without the videos that were written before hashes were recorded.
    """

    format: ClassVar[str]
    files: ClassVar[tuple[FileKind, ...]]
    """What each video has; the table of arrays stands last."""
    settings: ClassVar[tuple[str, ...]]
    """The attributes that a writer is given, in the order in which they stand in the file."""

    fps: Annotated[float, Meta(ge=LOWEST_FPS, le=HIGHEST_FPS)]
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    source: Mapping[str, Any]
    action_type: ActionType = "categorical"
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    frames: Mapping[str, Count] = field(default_factory=dict)
    sha256: Mapping[str, tuple[Sha256, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names(self.action_names, "actions")
        check_names(self.pose_names, "columns of poses")
        check_names(self.splits, "splits")

    @classmethod
    def read(cls, folder: Path, finished: bool = True) -> Self:
        """The index of a dataset, which has to be finished unless that is said to be of no matter.

        Raises DatasetError where there is no such dataset, it is unfinished, or an entry is missing or not as it has to be.
        """
        value, path = load_index(folder, cls.format), folder / INDEX_NAME
        if finished and value.get("complete") is not True:
            raise DatasetError(
                f"{folder} is an unfinished dataset: its making was interrupted or is still under way. "
                f"Run the same command again to finish it; what is there is kept."
            )
        videos = typed(value.pop("videos", {}), dict[str, dict[str, Any]], f"{path}: videos", DatasetError, REMAKE)
        for video in videos:
            check_id(video, f"{path}: the video id")
        frames = {video: entry.get("frames") for video, entry in videos.items()}
        content = {**value, "frames": frames, "sha256": cls.recorded_hashes(videos)}
        index = typed(content, cls, str(path), DatasetError, REMAKE, _array)
        check_splits(path, index.splits, index.frames)
        return index

    @classmethod
    def recorded_hashes(cls, videos: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
        """The hashes in the JSON's entries of videos, which may be that of an unfinished dataset."""
        names = [kind.hash_name for kind in cls.files]
        return {video: tuple(entry.get(name) for name in names) for video, entry in videos.items() if names[0] in entry}

    def header(self) -> dict[str, Any]:
        """What a writer puts first into ``dataset.json``, and what has to be equal for another one to go on."""
        settings = {name: getattr(self, name) for name in self.settings}
        return {"format": self.format, "version": VERSION, **settings}

    def arrays(self, frames: int) -> Arrays:
        """Shape and type of every array in the table of a video of so many frames."""
        vectors = ((frames, len(self.action_names)), np.float32)
        return {
            "actions": vectors if self.action_type == "continuous" else ((frames,), np.int64),
            "poses": ((frames, len(self.pose_names)), np.float32),
        }

    def paths(self, folder: Path, video: str) -> tuple[Path, ...]:
        """A video's files, in the order of `files`."""
        return tuple(folder / kind.folder / f"{video}{kind.suffix}" for kind in self.files)


def _array(_: type, lists: Any) -> NDArray[np.float32]:
    """Lists of numbers as an array."""
    array = np.asarray(lists)
    if array.dtype.kind not in "fi":
        raise ValueError("expected lists of numbers, all as long")
    with np.errstate(over="ignore"):  # what float32 does not reach becomes infinite, which nobody takes
        return array.astype(np.float32)
