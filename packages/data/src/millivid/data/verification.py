"""Whether the files of a dataset are those that were written: their number, their shapes, their hashes."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millivid.files import file_hash as hash_of_file
from millivid.files import open_file

from .errors import DatasetError
from .table_reader import REMAKE, Arrays, TableFile

Progress = Callable[[Sequence[str]], Iterable[str]]
"""Gives the ids that it is given, one after the other, and may show how far that is."""
HASH_BYTES = 1 << 12
NAMED = 10
"""Files that an error names."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found to be right: the number of videos, their frames, and how many of the videos have a hash."""

    videos: int
    frames: int
    hashes: int


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    try:
        return hash_of_file(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); {REMAKE}.") from error


def read_hash(path: Path) -> str | None:
    """The hash in a file such as `sha256sum` writes; None where there is none."""
    try:
        with open_file(path) as file:
            return file.read(HASH_BYTES).decode().split(maxsplit=1)[0]
    except (FileNotFoundError, IndexError, UnicodeDecodeError):
        return None


def check_file(path: Path, expected: str | None, arrays: Arrays) -> str:
    """A file's SHA-256, once it is the expected one, if there is one, and a table has these arrays.

    Raises DatasetError where the file is missing, damaged, or another one.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file. Make the dataset again.")
    if path.suffix == ".safetensors":
        table = TableFile(str(path))
        for name, (shape, dtype) in arrays.items():
            table.check(name, shape, dtype)
    found = file_hash(path)
    if expected is not None and found != expected:
        raise DatasetError(
            f"{path}: its content has changed since it was written (its SHA-256 begins with {found[:12]}, and "
            f"{expected[:12]} was recorded); {REMAKE}."
        )
    return found


def find_strays(folder: Path, suffix: str, listed: Container[str]) -> dict[str, DatasetError]:
    """Files of videos that the index does not list."""
    return {
        path.name: DatasetError(f"{path}: dataset.json lists no such video; delete it, or make the dataset again.")
        for path in sorted(folder.glob(f"[!.]*{suffix}"))
        if path.stem not in listed
    }


def raise_for(folder: Path, problems: Mapping[str, DatasetError], files: int) -> None:
    """Raise one error that names all files that have a problem, or the first few. files: how many there should be."""
    if not problems:
        return
    first = next(iter(problems.values()))
    if len(problems) == 1:
        raise first
    names = list(problems)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    raise DatasetError(
        f"{folder}: {len(names)} of {files} files are missing or damaged: {', '.join(names[:NAMED])}{more}. "
        f"The first: {first}"
    )
