"""One command at a time in a folder: a lock that the system gives back when its process ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_held: dict[Path, int] = {}
"""Folders that this process holds, and by which descriptor."""


def _let_go() -> None:
    while _held:
        os.close(_held.popitem()[1])


os.register_at_fork(after_in_child=_let_go)  # else a child would keep the lock when this process is killed


class FolderInUseError(ValueError):
    """Another command is at work in a folder."""


@contextlib.contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[None]:
    """Hold a folder against other processes; what this one holds already, it may hold again.

    folder: is made where it is missing, and goes again where it stays empty. Nothing is written into it: the lock is on the
    folder itself. shared: with others that share it too. Raises FolderInUseError where another process holds it. A file
    system that has no locks is gone without.
    """
    folder = Path(os.path.realpath(folder))
    if folder in _held:
        yield
        return
    made: list[Path] = []
    try:
        with contextlib.suppress(OSError):  # what cannot be made or opened is for the command to say
            made = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            _held[folder] = _take(folder, shared)
        yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        if folder in _held:
            os.close(_held.pop(folder))


def _take(folder: Path, shared: bool) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise
        problem = f"another command is at work in {folder}; wait until it ends, or give another out="
        raise FolderInUseError(problem) from error
    if os.path.samestat(os.fstat(descriptor), os.stat(folder)):
        return descriptor
    os.close(descriptor)  # the command before took the folder away when it ended
    return _take(folder, shared)
