"""Scores of videos on disk, so that a stopped evaluation goes on and several processes share one."""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1


class ScoreFiles:
    """Arrays by key, one file per key in `folder`; in memory for a folder or a key of None.

    A key is everything that the arrays follow from, so files are never stale: what changed has another key.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._memory: dict[str, dict[str, np.ndarray]] = {}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, key: str, *, stored: bool = True) -> bool:
        """Whether all arrays of the key are there; `stored`: whether the key may be kept in the folder."""
        return key in self._memory or (stored and self._path(key) is not None and self._read(key) is not None)

    def save(self, key: str, arrays: Mapping[str, np.ndarray], *, stored: bool = True) -> None:
        """Keep the arrays: in the folder where there is one and `stored`, else in memory."""
        path = self._path(key) if stored else None
        if path is None:
            self._memory[key] = dict(arrays)
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, key: str, name: str) -> np.ndarray:
        """One array of a key that is there."""
        if key in self._memory:
            return self._memory[key][name]
        with np.load(self._path(key), allow_pickle=False) as arrays:  # type: ignore[arg-type]
            array: np.ndarray = arrays[name]
        return array

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{key}.npz"

    def _read(self, key: str) -> list[str] | None:
        try:
            with np.load(self._path(key), allow_pickle=False) as arrays:  # type: ignore[arg-type]
                return list(arrays.files)
        except (OSError, ValueError, zipfile.BadZipFile):
            return None  # not there, or damaged: it is computed again


def score_key(**parts: Any) -> str:
    """The key of what follows from `parts`, JSON values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
