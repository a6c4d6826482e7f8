"""Per-frame arrays in safetensors files: atomic writing, piece by piece."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millivid.files.atomic import replacing, write_text

TYPE_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(np.float16): "F16",
    np.dtype(np.float32): "F32",
    np.dtype(np.int64): "I64",
}
"""The types that tables hold, as the format calls them."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """An array that comes in pieces along its first axis, so that it need never be whole in memory; they must add up to it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Iterable[NDArray[Any]]


def write_table(path: Path, arrays: Mapping[str, NDArray[Any] | Pieces]) -> None:
    """Write named arrays to one safetensors file, atomically. The same arrays give the same bytes.

    The safetensors library wants every array whole, so the format (a JSON header, then the arrays) is written here.
    Beside it, the SHA-256 of what was to be written appears before it does.
    """
    parts = {
        name: array if isinstance(array, Pieces) else Pieces(array.shape, array.dtype, (array,))
        for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    }
    header, end = {}, 0
    for name, part in parts.items():
        start, end = end, end + math.prod(part.shape) * part.dtype.itemsize
        header[name] = {"dtype": TYPE_NAMES[part.dtype], "shape": list(part.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blocks: Iterable[bytes | memoryview] = chain(
        [len(text).to_bytes(8, "little") + text],
        (
            np.ascontiguousarray(piece, part.dtype.newbyteorder("<")).data
            for part in parts.values()
            for piece in part.pieces
        ),
    )
    digest = hashlib.sha256()
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        write_hash(path, digest.hexdigest())


def write_hash(path: Path, digest: str) -> None:
    """Write a file's SHA-256 beside it, as `sha256sum` does, atomically: ``<id>.sha256``."""
    write_text(path.with_suffix(".sha256"), f"{digest}  {path.name}\n")
