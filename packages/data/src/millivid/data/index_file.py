"""``dataset.json``: what every dataset folder has in common, whatever its videos are made of."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .clip import ActionType
from .errors import DatasetError

INDEX_NAME = "dataset.json"
VERSION = 2
"""What is written."""
LOWEST_FPS, HIGHEST_FPS = 0.01, 1000.0
READABLE = (1, 2)
"""Version 1 knew neither continuous actions nor, for clips, hashes."""
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def load_index(folder: Path, expected_format: str) -> dict[str, Any]:
    """The parsed ``dataset.json`` of ``folder``, of the expected format and a known version; it may be unfinished.

    Raises:
        DatasetError: no such folder or file, no JSON, another format or version, or a missing key.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        what = "holds no dataset.json" if folder.is_dir() else "does not exist"
        raise DatasetError(f"{folder} {what}, so it is no dataset. Check the path, or make the dataset first.")
    value: Any
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"{path}: is no valid JSON ({error}). Restore it or make the dataset again.") from error
    found = value.get("format") if isinstance(value, dict) else None
    if found != expected_format:
        hint = {
            "millivid-clips": "it is a dataset of clips",
            "millivid-latents": "it is a dataset of latents",
            "millivid-webdataset": "it is an export of frames for other software",
        }.get(str(found), "give a dataset made by MilliVid")
        raise DatasetError(f'{path}: expected "format": "{expected_format}", found {found!r}; {hint}.')
    if type(value.get("version")) is not int or value["version"] not in READABLE:
        raise DatasetError(
            f"{path}: is version {value.get('version')!r} of {expected_format}; this release of millivid-data reads "
            f"versions {READABLE[0]} to {READABLE[-1]}. Install a matching millivid-data or make the dataset again."
        )
    return dict(value)


def dataset_format(folder: str | Path) -> str:
    """What a dataset folder holds: ``millivid-clips`` or ``millivid-latents``.

    Raises:
        DatasetError: it holds no dataset, or one of another format.
    """
    try:
        found = json.loads((Path(folder) / INDEX_NAME).read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    value = load_index(Path(folder), found if found in ("millivid-clips", "millivid-latents") else "millivid-clips")
    return str(value["format"])


def require_complete(folder: Path, value: Mapping[str, Any]) -> None:
    """Refuse a dataset that is still being written."""
    if value.get("complete") is not True:
        raise DatasetError(
            f"{folder} is an unfinished dataset: its making was interrupted or is still under way. "
            f"Run the same command again to finish it; what is there is kept."
        )


def parse_videos(path: Path, value: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """Frames per video and ids per split, checked against each other."""
    try:
        frames = {str(name): _count(entry["frames"]) for name, entry in value["videos"].items()}
        splits = {str(name): tuple(map(str, ids)) for name, ids in value["splits"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, error) from error
    check_splits(path, splits, frames)
    return frames, splits


def parse_action_type(value: Mapping[str, Any]) -> ActionType:
    """What kind of actions a dataset has; one of version 1 has categorical ones."""
    found: ActionType = value["action_type"] if value["version"] > 1 else "categorical"
    if found not in ("categorical", "continuous"):
        raise ValueError(f"action_type {found!r} is neither categorical nor continuous")
    return found


def parse_fps(value: Mapping[str, Any]) -> float:
    """The frame rate, which a number of frames can be divided by."""
    fps = float(value["fps"])
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise ValueError(f"fps {value['fps']!r} is none between {LOWEST_FPS} and {HIGHEST_FPS}")
    return fps


def parse_size(value: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) in pixels."""
    height, width = value["size"]
    return _count(height), _count(width)


def parse_names(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Names, no two of which are equal."""
    names = value[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"{key} {names!r} is no list of different names")
    return tuple(names)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError(f"{value!r} is no count")
    return value


def check_splits(path: Path, splits: Mapping[str, Sequence[str]], known: Mapping[str, int] | set[str]) -> None:
    """Every id of every split must be a video, and in one split only."""
    seen: dict[str, str] = {}
    for split, ids in splits.items():
        for video in ids:
            if video not in known:
                raise DatasetError(f"{path}: split {split!r} names the video {video!r}, which is not in the dataset.")
            if video in seen:
                raise DatasetError(f"{path}: the video {video!r} is in split {seen[video]!r} and in split {split!r}.")
            seen[video] = split


def damaged(path: Path, error: Exception) -> DatasetError:
    """The error for an index whose entries are missing or of another kind."""
    what = f"lacks the entry {error}" if isinstance(error, KeyError) else f"has an entry of the wrong kind ({error})"
    return DatasetError(f"{path}: {what}. Restore it or make the dataset again.")


def check_id(video: str, what: str = "video id") -> None:
    """A video's id becomes a file name: letters, digits, dot, dash, underscore."""
    if not isinstance(video, str) or not _ID.fullmatch(video):
        raise DatasetError(
            f"{what} {video!r} cannot be a file name; use letters, digits, '.', '-' and '_', not beginning with '.'"
        )


def known_id(folder: Path, video: str, frames: Mapping[str, int]) -> int:
    """The number of frames of ``video``, or an error that says which ids there are."""
    if video not in frames:
        ids = list(frames)
        some = f"{ids[0]!r} to {ids[-1]!r}" if ids else "none at all"
        raise DatasetError(f"{folder} has no video {video!r}; it has {len(ids)} videos, {some}.")
    return frames[video]


def split_ids(folder: Path, split: str | None, splits: Mapping[str, Sequence[str]], every: Sequence[str]) -> list[str]:
    """Ids of a split, or of all videos for None."""
    if split is None:
        return list(every)
    if split not in splits:
        raise DatasetError(f"{folder} has no split {split!r}; it has {sorted(splits)}.")
    return list(splits[split])


def check_span(folder: Path, video: str, start: int, stop: int | None, frames: int) -> int:
    """The end of a span of frames that must lie inside a video."""
    end = frames if stop is None else stop
    if not 0 <= start <= end <= frames:
        raise DatasetError(f"{folder}: video {video!r} has {frames} frames; frames {start} to {end} are not all in it.")
    return end


def continue_or_refuse(folder: Path, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index of a dataset that the same settings began earlier, None for a new folder, else an error.

    ``header`` is what the writer would put into ``dataset.json``; all of its entries must be equal to go on.
    """
    if not folder.exists() or (folder.is_dir() and not _entries(folder)):
        return None
    if not folder.is_dir():
        raise _something_else(folder, "a file")
    if not (folder / INDEX_NAME).is_file():
        raise _something_else(folder, f"{_entries(folder)[0]!r}, but no dataset.json")
    value = load_index(folder, header["format"])
    for key, wanted in json.loads(json.dumps(header)).items():
        difference = _difference(key, value.get(key), wanted)
        if difference:
            raise _something_else(folder, f"a dataset with {difference}")
    return value


def _entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _difference(name: str, found: Any, wanted: Any) -> str | None:
    """The first entry in which two JSON values differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            difference = _difference(f"{name}.{key}", found.get(key), wanted.get(key))
            if difference:
                return difference
        return None
    return None if found == wanted else f"{name} = {found!r} where {wanted!r} was asked for"


def _something_else(folder: Path, what: str) -> DatasetError:
    return DatasetError(f"output folder {folder} holds something else ({what}); choose another or delete it.")
