"""Writing files so that a reader sees the old file, the new file, or none, but never half a file."""

import errno
import hashlib
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".writing-"
MINUTE = 60.0
"""Longer than an index takes to write, in seconds."""


def temporary_beside(path: Path) -> Path:
    """A name for what will take the place of ``path``, of no other process."""
    # Not the process's id: on a shared disk, processes of several machines may have the same one.
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}-{path.name}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on a normal exit it takes the place of ``path``, else it is deleted.

    The suffix is kept, because video muxers look at it. Whatever ends the block early (an exception, Ctrl-C) leaves
    ``path`` as it was; after a kill a ``.writing-*`` file may be left, which `remove_leftovers` deletes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name with no content
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``, which must be missing or empty; on a normal exit it takes its place.

    For one process at a time: what an earlier one left when it was killed is deleted first.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON, atomically."""
    write_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """``value`` as JSON; raises ValueError for what is no JSON, NaN and infinity among it."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def names_in(folder: Path) -> list[str]:
    """What is in a folder, hidden files aside, in order; nothing where there is no folder.

    Unlike `Path.glob`, it raises OSError for one that cannot be listed, or is a link to nothing: what is in it is not gone.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        if folder.is_symlink():
            raise
        return []


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: Path | str) -> BufferedReader:
    """Open an ordinary file for reading. Raises OSError for anything else: a pipe or a device might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Delete the temporary files and folders that killed writers left in ``folder``.

    No writer may be at work in it, unless ``older_than`` is more seconds than a file takes to write.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        try:
            if older_than <= 0 or path.stat().st_mtime < time.time() - older_than:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            pass
