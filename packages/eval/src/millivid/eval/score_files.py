"""Scores of videos on disk, so that a stopped evaluation goes on and several processes share one."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from millivid.files import open_file, remove_leftovers, replacing

FORMAT = 1
ABANDONED_SECONDS = 3600

Arrays = dict[str, np.ndarray]
VALUES, SIZE = "values", "size"
"""Of a metric's arrays: a value for each frame, or the features of each item, and the frames' width and height."""


class Key(NamedTuple):
    """What arrays are kept by. stored: whether in a file, as is right where all that they follow from is in the hash."""

    hashed: str
    stored: bool

    @classmethod
    def of(cls, *, stored: bool, **parts: Any) -> "Key":
        """The key of what follows from `parts`, JSON values."""
        text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
        return cls(hashlib.sha256(text.encode()).hexdigest(), stored)


class ScoreFiles:
    """Arrays by key, one file per key in `folder`; in memory without a folder, and for keys that are not stored."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._memory: dict[str, Arrays] = {}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder, ABANDONED_SECONDS)

    def save(self, key: Key, arrays: Arrays) -> None:
        """Keep the arrays."""
        if self._folder is None or not key.stored:
            self._memory[key.hashed] = arrays
            return
        path = self._folder / f"{key.hashed}.npz"
        try:
            with replacing(path) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error

    def load(self, key: Key) -> Arrays | None:
        """The arrays of a key; None where they are not there, or their file is damaged."""
        if self._folder is None or not key.stored:
            return self._memory.get(key.hashed)
        try:
            with open_file(self._folder / f"{key.hashed}.npz") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception:  # as many kinds as zip and numpy know; it is measured anew
            return None
