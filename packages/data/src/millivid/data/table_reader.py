"""Spans of rows of the arrays in safetensors files, read straight from disk, every length checked.

Our own few lines instead of the safetensors library, for a training loader: the library maps a file into memory, where a
file that is cut off while it is mapped ends the process, and opening one with it takes as long as reading a whole example.
"""

import functools
import json
import math
import os
import stat
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import DatasetError
from .tables import TYPE_NAMES

REMAKE = "delete it and make it again"
FIRST_READ = 4096
"""Bytes that hold the header of most files."""
LONGEST_HEADER = 1 << 20
Arrays = Mapping[str, tuple[tuple[int, ...], DTypeLike]]
"""Shape and type of every array of a file."""
Spans = tuple[str, tuple[int, ...], DTypeLike, Sequence[tuple[int, int]]]
KEEP = 32
"""Files that a reader holds open, the most recently used ones."""


class TableFile:
    """One open file. It is closed when nothing refers to it any more.

    Raises DatasetError where it cannot be read, or is not as long as its header says.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # to open a pipe would wait for ever
            weakref.finalize(self, os.close, self._descriptor)
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("it is no file")
            size = found.st_size
            start = os.pread(self._descriptor, FIRST_READ, 0)
            self._data = 8 + int.from_bytes(start[:8], "little")
            if self._data > LONGEST_HEADER:
                raise ValueError(f"its header is longer than {LONGEST_HEADER:,} bytes")
            if FIRST_READ < self._data <= size:
                start = os.pread(self._descriptor, self._data, 0)
            header = json.loads(start[8 : self._data])
            self._entries = {name: _entry(value) for name, value in header.items() if name != "__metadata__"}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._damaged(error) from error
        at = 0
        for begin, end in sorted((begin, end) for _, _, begin, end in self._entries.values()):
            if begin != at:
                raise self._damaged(f"its arrays overlap, or leave bytes out, at byte {self._data + at}")
            at = end
        if self._data + at != size:
            raise self._damaged(f"it has {size} bytes, and its header says {self._data + at}")

    def rows(self, name: str) -> int:
        """The number of rows of an array."""
        shape = self._entry(name)[1]
        if not shape:
            raise self._damaged(f"{name!r} is a single number")
        return shape[0]

    def check(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> int:
        """Raise DatasetError unless the array has this shape and type; returns where in the file it begins."""
        found_type, found_shape, begin, end = self._entry(name)
        if found_shape != shape:
            raise DatasetError(
                f"{self.path}: {name!r} has shape {list(found_shape)}, but dataset.json says {list(shape)}; {REMAKE}."
            )
        dtype = np.dtype(dtype)
        if found_type != TYPE_NAMES[dtype]:
            raise DatasetError(
                f"{self.path}: {name!r} is {found_type}, but {TYPE_NAMES[dtype]} ({dtype}) was expected; {REMAKE}."
            )
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise self._damaged(f"{name!r} has {end - begin} bytes, which do not make {dtype} {list(shape)}")
        return self._data + begin

    def read(self, *wanted: Spans) -> list[NDArray[Any]]:
        """Spans of rows of several arrays, those of each one after the other. Only their bytes are read.

        The disk is told of all of them before the first is waited for. wanted: name of each array, whole shape and dtype
        that it must have, and per span, which lies inside of the array, the first row and the one after the last. Raises
        DatasetError where there is no such array, it has another shape or dtype, or the file ends early.
        """
        arrays, pieces = [], []
        for name, shape, dtype, spans in wanted:
            begin = self.check(name, shape, dtype)
            out = np.empty((sum(stop - start for start, stop in spans), *shape[1:]), np.dtype(dtype).newbyteorder("<"))
            row = out.itemsize * math.prod(shape[1:])
            target, at = out.reshape(-1).view(np.uint8).data, 0
            for start, stop in spans:
                end = at + (stop - start) * row
                if end > at:  # no bytes would mean all of the file to posix_fadvise
                    pieces.append((target[at:end], begin + int(start) * row))
                at = end
            arrays.append(out)
        if len(pieces) > 1 and hasattr(os, "posix_fadvise"):  # halves the time where they are not in memory yet
            for part, offset in pieces:
                os.posix_fadvise(self._descriptor, offset, len(part), os.POSIX_FADV_WILLNEED)
        for part, offset in pieces:
            self._fill(part, offset)
        return arrays

    def _fill(self, target: memoryview, offset: int) -> None:
        while len(target):  # once, but for interrupted and very long reads
            try:
                count = os.preadv(self._descriptor, [target], offset)
            except OSError as error:
                raise self._damaged(error) from error
            if not count:
                raise self._damaged(f"it ends at byte {offset}")
            target, offset = target[count:], offset + count

    def _entry(self, name: str) -> tuple[str, tuple[int, ...], int, int]:
        if name not in self._entries:
            raise DatasetError(f"{self.path}: has no array {name!r}, only {sorted(self._entries)}; {REMAKE}.")
        return self._entries[name]

    def _damaged(self, why: object) -> DatasetError:
        return DatasetError(f"{self.path}: cannot be read ({why}). It is damaged or was cut off; {REMAKE}.")


class TableReader:
    """Opens files and keeps the last few open.

    A file that was replaced is opened again. May be used from several threads, after a fork (reading moves no shared
    position), and pickled (the copy opens files for itself).
    """

    def __init__(self) -> None:
        self._open = functools.lru_cache(KEEP)(lambda path, *_: TableFile(path))

    def open(self, path: str) -> TableFile:
        """The file at ``path``, as it is now."""
        try:
            found = os.stat(path)
        except OSError as error:
            raise DatasetError(
                f"{path}: no such file, but dataset.json lists the video. Make the dataset again."
            ) from error
        return self._open(path, found.st_ino, found.st_size, found.st_mtime_ns)

    def __reduce__(self) -> tuple[type["TableReader"], tuple[()]]:
        return TableReader, ()


def _entry(value: dict[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    """An array's type, shape, and first and last byte, from its entry in the header."""
    shape, (begin, end) = tuple(value["shape"]), value["data_offsets"]
    numbers = (*shape, begin, end)
    if not all(type(number) is int and number >= 0 for number in numbers) or begin > end:
        raise ValueError("its header has sizes that are no sizes")
    return str(value["dtype"]), shape, begin, end
