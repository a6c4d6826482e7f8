"""``dataset.json`` as a file: what every folder of ours has in common, whatever it holds."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from millivid.files import read_json

from .errors import DatasetError

INDEX_NAME = "dataset.json"
VERSION = 2
"""What is written."""
READABLE = (1, 2)
"""Version 1 knew neither continuous actions nor, for clips, hashes."""
REMAKE = "restore it, or make the dataset again"
LOWEST_FPS, HIGHEST_FPS = 0.01, 1000.0
FORMATS = {
    "millivid-clips": "it is a dataset of clips",
    "millivid-latents": "it is a dataset of latents",
    "millivid-webdataset": "it is an export of frames for other software",
}
ID = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that have no place in a name: control characters, ends of lines, changes of direction, halves of characters."""
LONGEST_NAME = 200


def load_index(folder: Path, *formats: str) -> dict[str, Any]:
    """The parsed ``dataset.json`` of ``folder``, of one of these formats and a known version; it may be unfinished.

    Raises DatasetError where there is no such folder or file, for what is no JSON, and for another format or version.
    """
    path = folder / INDEX_NAME
    if not path.is_file():
        what = "holds no dataset.json" if folder.is_dir() else "does not exist"
        raise DatasetError(f"{folder} {what}, so it is no dataset. Check the path, or make the dataset first.")
    value = read_json(path, dict[str, Any], DatasetError, REMAKE)
    found = value.get("format")
    if found not in formats:
        expected, hint = " or ".join(f'"{name}"' for name in formats), "give a dataset made by MilliVid"
        raise DatasetError(f'{path}: expected "format": {expected}, found {found!r}; {FORMATS.get(str(found), hint)}.')
    if type(value.get("version")) is not int or value["version"] not in READABLE:
        raise DatasetError(
            f"{path}: is version {value.get('version')!r} of {found}; this release of millivid-data reads "
            f"versions {READABLE[0]} to {READABLE[-1]}. Install a matching millivid-data or make the dataset again."
        )
    return value


def dataset_format(folder: str | Path) -> str:
    """What a dataset folder holds: ``millivid-clips`` or ``millivid-latents``.

    Raises DatasetError where it holds no dataset, or one of another format.
    """
    return str(load_index(Path(folder), "millivid-clips", "millivid-latents")["format"])


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


def check_id(video: str, what: str = "video id") -> None:
    """A video's id becomes a file name: letters, digits, dot, dash, underscore, 200 of them at most."""
    if not isinstance(video, str) or not re.fullmatch(ID, video):
        raise DatasetError(
            f"{what} {str(video)[:300]!r} cannot be a file name; use up to 200 letters, digits, '.', '-' and '_', not "
            "beginning with '.' or '-'"
        )


def check_names(names: Collection[str], what: str) -> None:
    """Names of actions, of columns or of splits, which tables and pages show."""
    if len(set(names)) < len(names):
        raise DatasetError(f"{what}: the names {', '.join(map(str, names))[:300]} are not all different")
    for name in names:
        if not isinstance(name, str) or len(name) > LONGEST_NAME or NO_NAME.search(name):
            raise DatasetError(
                f"{what}: {repr(name)[:300]} is no name; use up to {LONGEST_NAME} characters of one line"
            )


def continue_or_refuse(folder: Path, header: Mapping[str, Any]) -> bool:
    """Whether the same settings began the dataset in ``folder`` earlier; False for a new folder, else an error.

    ``header`` is what the writer would put into ``dataset.json``; all of its entries must be equal to go on.
    """
    if folder.is_dir():
        entries = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if not entries:
            return False
        if INDEX_NAME not in entries:
            raise _something_else(folder, f"{entries[0]!r}, but no dataset.json")
    elif folder.exists():
        raise _something_else(folder, "a file")
    else:
        return False
    value = load_index(folder, header["format"])
    for key, wanted in json.loads(json.dumps(header)).items():
        difference = _difference(key, value.get(key), wanted)
        if difference:
            raise _something_else(folder, f"a dataset with {difference}")
    return True


def _difference(name: str, found: Any, wanted: Any) -> str | None:
    """The first entry in which two JSON values differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return next(filter(None, (_difference(f"{name}.{key}", found.get(key), wanted.get(key)) for key in keys)), None)
    return None if found == wanted else f"{name} = {found!r} where {wanted!r} was asked for"


def _something_else(folder: Path, what: str) -> DatasetError:
    return DatasetError(f"output folder {folder} holds something else ({what}); choose another or delete it.")
