"""Scores of videos on disk, so that a stopped evaluation goes on and several processes share one."""

import contextlib
import hashlib
import json
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FORMAT = 1
ABANDONED_SECONDS = 3600


class Key(NamedTuple):
    """What arrays are kept by. stored: whether in a file, as is right where all that they follow from is in the hash."""

    hashed: str
    stored: bool


class ScoreFiles:
    """Arrays by key, one file per key in `folder`; in memory without a folder, and for keys that are not stored."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._memory: dict[str, dict[str, np.ndarray]] = {}
        self._seen: set[tuple[Key, Path]] = set()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(".*.tmp"):  # of a process that was killed
                with contextlib.suppress(OSError):
                    if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                        left.unlink()

    def has(self, key: Key, lengths: Mapping[str, int]) -> bool:
        """Whether the arrays of the key are there, whole, and at least these, of these lengths."""
        path = self._path(key)
        if path is None:
            return key.hashed in self._memory
        if (key, path) not in self._seen:
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    found = {name: len(arrays[name]) for name in arrays.files}
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
                return False  # not there, or damaged: it is computed again
            if any(found.get(name) != length for name, length in lengths.items()):
                return False
            self._seen.add((key, path))
        return True

    def save(self, key: Key, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays."""
        path = self._path(key)
        if path is None:
            self._memory[key.hashed] = dict(arrays)
            return
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, key: Key, name: str) -> np.ndarray:
        """One array of a key that is there."""
        path = self._path(key)
        if path is None:
            return self._memory[key.hashed][name]
        with np.load(path, allow_pickle=False) as arrays:
            array: np.ndarray = arrays[name]
        return array

    def _path(self, key: Key) -> Path | None:
        return self._folder / f"{key.hashed}.npz" if self._folder is not None and key.stored else None


def score_key(**parts: Any) -> str:
    """The key of what follows from `parts`, JSON values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
