"""Per-frame arrays in safetensors files: atomic writing and length-checked slices straight from disk."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError, safe_open

from .atomic import replacing
from .errors import DatasetError

REMAKE = "delete it and make it again"


_TYPE_NAMES = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}


@dataclass(frozen=True, eq=False)
class Pieces:
    """An array that comes in pieces along its first axis, so that it need never be whole in memory."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Iterable[NDArray[Any]]


def write_table(path: Path, arrays: Mapping[str, NDArray[Any] | Pieces]) -> None:
    """Write named arrays to one safetensors file, atomically. The same arrays give the same bytes.

    The safetensors library wants every array whole, so the format (a JSON header, then the arrays) is written here.

    Raises:
        DatasetError: pieces are of another shape or dtype than their array, or do not add up to it.
    """
    parts = {
        name: array if isinstance(array, Pieces) else Pieces(array.shape, array.dtype, (array,))
        for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    }
    header, end = {}, 0
    for name, part in parts.items():
        start, end = end, end + math.prod(part.shape) * part.dtype.itemsize
        header[name] = {"dtype": _TYPE_NAMES[part.dtype], "shape": list(part.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, part in parts.items():
            rows = 0
            for piece in part.pieces:
                if piece.shape[1:] != part.shape[1:] or piece.dtype != part.dtype:
                    raise DatasetError(
                        f"{path.name}, {name}: pieces of {list(part.shape[1:])} {part.dtype} are expected; got "
                        f"{list(piece.shape[1:])} {piece.dtype}"
                    )
                rows += len(piece)
                file.write(np.ascontiguousarray(piece, part.dtype.newbyteorder("<")).data)
            if rows != part.shape[0]:
                raise DatasetError(f"{path.name}, {name}: {part.shape[0]} rows are expected; got {rows}")


def read_table(
    path: Path, name: str, shape: tuple[int, ...], dtype: DTypeLike, start: int = 0, stop: int | None = None
) -> NDArray[Any]:
    """Rows ``start`` to ``stop`` of the array ``name``, whose whole ``shape`` and ``dtype`` must be as given.

    Raises:
        DatasetError: the file is missing or damaged, has no such array, or one of another shape or dtype.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file, but dataset.json lists the video. Make the dataset again.")
    try:
        with safe_open(path, framework="np") as file:
            if name not in file.keys():  # noqa: SIM118 (a safe_open is no dict)
                raise DatasetError(f"{path}: has no array {name!r}, only {sorted(file.keys())}; {REMAKE}.")
            view = file.get_slice(name)
            found = list(view.get_shape())
            if found != list(shape):
                raise DatasetError(
                    f"{path}: {name!r} has shape {found}, but dataset.json says {list(shape)}; {REMAKE}."
                )
            array: NDArray[Any] = view[start:stop] if shape[0] else np.zeros(shape, dtype)
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}). It is damaged or was cut off; {REMAKE}.") from error
    if array.dtype != np.dtype(dtype):
        raise DatasetError(f"{path}: {name!r} is {array.dtype}, but {np.dtype(dtype)} was expected; {REMAKE}.")
    return array


def table_rows(path: Path, name: str) -> int:
    """The number of rows of the array ``name``, from the file's header alone."""
    try:
        with safe_open(path, framework="np") as file:
            return int(file.get_slice(name).get_shape()[0])
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}). It is damaged or was cut off; {REMAKE}.") from error
