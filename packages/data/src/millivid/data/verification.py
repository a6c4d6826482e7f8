"""Whether the files of a latent dataset are those that were written: their number, their shapes, their hashes."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DatasetError
from .table_reader import REMAKE, TableFile

Shapes = Mapping[str, tuple[type[np.generic], tuple[int, ...]]]
Progress = Callable[[Sequence[str]], Iterable[str]]
"""Gives the ids that it is given, one after the other, and may show how far that is."""
NAMED = 10
"""Files that an error names."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found to be right: the number of videos, their frames, and how many of the videos have a hash."""

    videos: int
    frames: int
    hashes: int


def latent_shapes(frames: int, grids: Sequence[tuple[int, int]], channels: int, num_poses: int) -> Shapes:
    """Type and shape of every array of a video's file of latents."""
    levels = {f"level_{level}": (np.float16, (frames, *grid, channels)) for level, grid in enumerate(grids)}
    return {**levels, "actions": (np.int64, (frames,)), "poses": (np.float32, (frames, num_poses))}


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error}); {REMAKE}.") from error


def check_file(path: Path, shapes: Shapes, expected: str | None) -> str:
    """A file's SHA-256, once its arrays have these types and shapes, and it is the expected one if there is one.

    Raises:
        DatasetError: the file is missing, damaged, or another one.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file. Make the dataset again.")
    file = TableFile(str(path))
    for name, (dtype, shape) in shapes.items():
        file.check(name, shape, dtype)
    found = file_hash(path)
    if expected is not None and found != expected:
        raise DatasetError(
            f"{path}: its content has changed since it was written (its SHA-256 begins with {found[:12]}, and "
            f"{expected[:12]} was recorded); {REMAKE}."
        )
    return found


def raise_for(folder: Path, problems: Mapping[str, DatasetError], videos: int) -> None:
    """Raise one error that names the files of all videos that have a problem, or of the first few."""
    if not problems:
        return
    first = next(iter(problems.values()))
    if len(problems) == 1:
        raise first
    names = [f"{video}.safetensors" for video in problems]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    raise DatasetError(
        f"{folder}: {len(names)} of {videos} videos are missing or damaged: {', '.join(names[:NAMED])}{more}. "
        f"The first: {first}"
    )
