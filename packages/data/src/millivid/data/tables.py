"""Per-frame arrays in safetensors files: atomic writing and length-checked slices straight from disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .atomic import replacing
from .errors import DatasetError

REMAKE = "delete it and make it again"


def write_table(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one safetensors file, atomically. The same arrays give the same bytes."""
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)


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
