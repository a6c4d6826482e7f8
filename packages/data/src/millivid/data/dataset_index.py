"""``dataset.json`` as a typed value: what datasets of clips and of latents both say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from .clip import ActionType, action_array
from .errors import DatasetError
from .index_file import HIGHEST_FPS, INDEX_NAME, LOWEST_FPS, VERSION, check_splits, load_index
from .table_reader import Arrays


@dataclass(frozen=True)
class FileKind:
    """One of the files that each video has: ``<folder>/<id><suffix>``, and the entry of the index that has its SHA-256."""

    folder: str
    suffix: str
    hash_name: str


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """What ``dataset.json`` says of every dataset.

    Attributes:
        fps: frames per second.
        action_names: what action 0, 1, ... are, or the columns of continuous actions.
        action_type: whether an action is one of the names or a vector with a number for each.
        pose_names: what the columns of a pose are.
        source: where the videos come from; free form (world and its settings, seed, ...).
        splits: ids per split, such as ``train`` and ``test``.
        frames: number of frames per id, for all videos.
        sha256: the SHA-256 of each of a video's files; without the videos that were written before hashes were recorded.
    """

    format: ClassVar[str]
    files: ClassVar[tuple[FileKind, ...]]
    """What each video has; the table of arrays stands last."""
    settings: ClassVar[tuple[str, ...]]
    """The attributes that a writer is given, in the order in which they stand in the file."""

    fps: float
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    source: Mapping[str, Any]
    action_type: ActionType = "categorical"
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)
    sha256: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The index of a finished dataset.

        Raises:
            DatasetError: there is no such dataset, it is unfinished, or an entry is missing or not as it has to be.
        """
        value, path = load_index(folder, cls.format), folder / INDEX_NAME
        if value.get("complete") is not True:
            raise DatasetError(
                f"{folder} is an unfinished dataset: its making was interrupted or is still under way. "
                f"Run the same command again to finish it; what is there is kept."
            )
        try:
            index = cls(**cls._parse(value))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wrong = (
                f"lacks the entry {error}"
                if isinstance(error, KeyError)
                else f"has an entry of the wrong kind ({error})"
            )
            raise DatasetError(f"{path}: {wrong}. Restore it or make the dataset again.") from error
        check_splits(path, index.splits, index.frames)
        return index

    @classmethod
    def _parse(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from the JSON; subclasses add theirs. Raises KeyError, TypeError, ValueError or AttributeError."""
        return {
            "fps": _fps(value["fps"]),
            "action_names": _names(value, "action_names"),
            "action_type": _action_type(value),
            "pose_names": _names(value, "pose_names"),
            "source": dict(value.get("source", {})),
            "frames": {str(video): count(entry["frames"]) for video, entry in value["videos"].items()},
            "splits": {str(name): tuple(map(str, ids)) for name, ids in value["splits"].items()},
            "sha256": cls.recorded_hashes(value),
        }

    @classmethod
    def recorded_hashes(cls, value: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """The hashes in the JSON, which may be that of an unfinished dataset."""
        names = [kind.hash_name for kind in cls.files]
        entries = value.get("videos", {}).items()
        return {video: tuple(str(entry[name]) for name in names) for video, entry in entries if names[0] in entry}

    def header(self) -> dict[str, Any]:
        """What a writer puts first into ``dataset.json``, and what has to be equal for another one to go on."""
        settings = {name: getattr(self, name) for name in self.settings}
        return {"format": self.format, "version": VERSION, **settings}

    def arrays(self, frames: int) -> Arrays:
        """Shape and type of every array in the table of a video of so many frames."""
        return {
            "actions": action_array(self.action_type, len(self.action_names), frames),
            "poses": ((frames, len(self.pose_names)), np.float32),
        }

    def paths(self, folder: Path, video: str) -> tuple[Path, ...]:
        """A video's files, in the order of `files`."""
        return tuple(folder / kind.folder / f"{video}{kind.suffix}" for kind in self.files)


def count(value: Any) -> int:
    """A positive integer; raises ValueError for anything else."""
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"{value!r} is no count")
    return value


def _fps(value: Any) -> float:
    fps = float(value)
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise ValueError(f"fps {value!r} is none between {LOWEST_FPS} and {HIGHEST_FPS}")
    return fps


def _action_type(value: Mapping[str, Any]) -> ActionType:
    found: ActionType = value["action_type"] if value["version"] > 1 else "categorical"
    if found not in ("categorical", "continuous"):
        raise ValueError(f"action_type {found!r} is neither categorical nor continuous")
    return found


def _names(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = value[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"{key} {names!r} is no list of different names")
    return tuple(names)
