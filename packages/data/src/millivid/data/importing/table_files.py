"""Reading tables from CSV, Parquet and NPY: columns of numbers, words and vectors, or what they hold instead."""

import csv
import importlib
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Never, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
NO_FINITE_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, those that cannot be seen and tell nothing, and halves of characters."""
MOST_BYTES, MOST_VALUES, MOST_COLUMNS = 1 << 28, 20_000_000, 10_000
"""Of a table: days of video."""
BATCH = 1024
"""Rows of a Parquet file that are read at once."""
LONGEST_LINE, LONGEST_NAME = 1 << 20, 200
"""In characters."""


def as_text(text: str) -> str:
    """A name or word in the one form in which it is compared: composed characters, and no space around it."""
    return unicodedata.normalize("NFC", text).strip()


_Columns = tuple[list[str] | None, Sequence[NDArray[Any] | str], Sequence[int]]
"""Names, if there are any; columns, or what those hold that cannot be read; and the numbers of the lines or rows."""


def check_names(path: Path, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise DatasetError(f"{path}: has two columns named {name[:80]!r}; give every column a name of its own")
        if len(name) > LONGEST_NAME or NO_TEXT.search(name):
            raise DatasetError(
                f"{path}: has a column named {name[:80]!r}; up to {LONGEST_NAME} characters in one line are expected"
            )


def _refuse(path: Path, kind: str, error: Exception) -> Never:
    """Say that a file is damaged, unless what its reader raised says something else."""
    if isinstance(error, DatasetError) or (isinstance(error, OSError) and error.errno):
        raise error
    why = "".join(one if one.isprintable() else " " for one in str(error))
    raise DatasetError(f"{path}: cannot be read as {kind} ({' '.join(why.split())[:300]})") from error


def check_size(path: Path, columns: int, values: int) -> None:
    if columns > MOST_COLUMNS or values > MOST_VALUES:
        raise DatasetError(
            f"{path}: has {columns:,} columns and {values:,} values; {MOST_COLUMNS:,} and {MOST_VALUES:,} are the most"
        )


def _read_csv(path: Path) -> _Columns:
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = _lines(path, file)
            start = next(lines, "")
            # The sniffer of the standard library guesses; the most frequent of three separators does not.
            separator = max(",;\t", key=start.count)
            reader = csv.reader(chain([start], lines), delimiter=separator, skipinitialspace=True, strict=True)
            for cells in filter(None, reader):
                rows.append([as_text(cell) for cell in cells])
                numbers.append(reader.line_num)
                check_size(path, len(cells), len(rows) * len(cells))
                if len(cells) != len(rows[0]):
                    raise DatasetError(
                        f"{path}: line {reader.line_num} has {len(cells)} values, but there are {len(rows[0])} columns; "
                        f"give every line as many"
                    )
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: is no valid CSV ({error})") from error
    if not rows:
        raise DatasetError(f"{path}: is empty; a line that names the columns, then one line per frame are expected")
    skip = not all(NUMBER.fullmatch(cell) or NO_FINITE_NUMBER.fullmatch(cell) for cell in rows[0])
    return rows[0] if skip else None, [_typed(column) for column in zip(*rows[skip:], strict=True)], numbers[skip:]


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), "")):
        if len(line) == LONGEST_LINE or number > MOST_VALUES:
            raise DatasetError(
                f"{path}: line {number + 1:,} has {len(line):,} characters or more; {LONGEST_LINE:,} characters and "
                f"{MOST_VALUES:,} lines are the most"
            )
        if "\0" in line:
            raise DatasetError(f"{path}: holds zero bytes, so it is damaged or not UTF-8; save it as CSV in UTF-8")
        yield line


def _typed(texts: Sequence[str]) -> NDArray[Any] | str:
    """Texts as whole numbers, else as numbers, else as they are."""
    if all(map(WHOLE.fullmatch, texts)):
        try:
            return np.array([*map(int, texts)], np.int64)
        except (OverflowError, ValueError):  # ValueError: thousands of digits
            pass
    if all(NUMBER.fullmatch(text) or NO_FINITE_NUMBER.fullmatch(text) for text in texts):
        return np.array([*map(float, texts)])
    return _words(texts)


def _words(texts: Sequence[str]) -> NDArray[np.str_] | str:
    longest = max(map(len, texts), default=0)
    if longest > LONGEST_NAME or longest * len(texts) > MOST_BYTES:
        return f"texts of up to {longest:,} characters"
    return np.array(texts, np.str_)


def _read_npy(path: Path) -> _Columns:
    with open(path, "rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        raise DatasetError(f"{path}: is an archive of arrays; save one array with numpy.save")
    try:
        if start != b"\x93NUMPY":
            raise ValueError("it does not begin as such a file does")
        # Mapped: a header that promises more than the file holds is refused instead of filling the memory.
        with warnings.catch_warnings(action="ignore"):  # of Python 2
            array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        if (end := array.offset + array.nbytes) != path.stat().st_size:
            raise ValueError(f"the array ends at byte {end:,}, but the file does not")
    except Exception as error:  # a header is parsed as Python is: its errors are many
        _refuse(path, "an array of numbers", error)
    if names := array.dtype.names:
        if array.ndim != 1:
            raise DatasetError(f"{path}: a structured array must have one axis; it has shape {list(array.shape)}")
        check_size(path, len(names), len(names) * len(array))
        return [*names], [_plain(array[name]) for name in names], range(len(array))
    if array.ndim not in (1, 2):
        raise DatasetError(f"{path}: has shape {list(array.shape)}; [frame] or [frame, column] is expected")
    check_size(path, array.shape[-1] if array.ndim == 2 else 1, array.size)
    return None, [_plain(column) for column in array.reshape(len(array), -1).T] if array.size else [], range(len(array))


def _read_parquet(path: Path) -> _Columns:
    try:
        arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        raise DatasetError("reading Parquet files needs pyarrow: pip install pyarrow") from error
    try:
        with open(path, "rb") as opened, parquet.ParquetFile(opened, page_checksum_verification=True) as file:
            schema, num_rows = file.schema_arrow, file.metadata.num_rows
            check_size(path, len(schema), num_rows)
            check_names(path, schema.names)
            readable = [one.name for one in schema if _is_readable(arrow.types, one.type)]
            batches, size = [], 0
            for batch in file.iter_batches(BATCH, columns=readable, use_threads=False):
                batches.append(batch)
                size += batch.nbytes
                if size > MOST_BYTES:
                    raise DatasetError(
                        f"{path}: has more than {MOST_BYTES:,} bytes of numbers and words; leave columns out"
                    )
            table = arrow.Table.from_batches(batches, arrow.schema([schema.field(name) for name in readable]))
            columns = [
                _of_parquet(arrow, table[one.name]) if one.name in readable else str(one.type)[:80] for one in schema
            ]
    except Exception as error:  # pyarrow's own, and Python's for texts and numbers that are none
        _refuse(path, "Parquet", error)
    return schema.names, columns, range(table.num_rows if readable else num_rows)


def _is_readable(types: Any, kind: Any) -> bool:
    """Whether a column of this type may be numbers, words, or lists of numbers. Others, pictures say, are not even read."""
    if types.is_dictionary(kind):
        kind = kind.value_type
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return any(is_one(kind.value_type) for is_one in (types.is_boolean, types.is_integer, types.is_floating))
    checks = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
    return any(is_one(kind) for is_one in (*checks, types.is_string, types.is_large_string))


def _of_parquet(arrow: Any, column: Any) -> NDArray[Any] | str:
    types, kind = arrow.types, column.type
    if types.is_dictionary(kind) and not (types.is_string(kind.value_type) or types.is_large_string(kind.value_type)):
        column, kind = column.cast(kind.value_type), kind.value_type
    if types.is_dictionary(kind):  # not cast: a long word that comes often would fill the memory
        coded = column.combine_chunks()
        words = [as_text(text or "") for text in coded.dictionary.to_pylist()]
        return _words(["" if index is None else words[index] for index in coded.indices.to_pylist()])
    if types.is_string(kind) or types.is_large_string(kind):
        return _words([as_text(text or "") for text in column.to_pylist()])
    if types.is_boolean(kind) or types.is_decimal(kind):  # what is missing becomes NaN
        column = column.cast(arrow.uint8() if types.is_boolean(kind) else arrow.float64())
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        return _vector(column.to_pylist())
    return _plain(column.to_numpy())


def _vector(rows: list[list[Any] | None]) -> NDArray[Any] | str:
    """Lists of numbers, one per row, as [row, number]."""
    length = len(rows[0] or ()) if rows else 0
    for index, row in enumerate(rows):
        if row is None or len(row) != length or None in row or not row:
            what = "nothing" if not row else "a number that is missing" if None in row else f"{len(row)} numbers"
            return f"lists of {length} numbers, but {what} in row {index}"
    return _plain(np.array(rows))


def _plain(array: NDArray[Any]) -> NDArray[Any] | str:
    """A column as int64, float64 or words; or what it holds instead. Two axes: a vector per row."""
    kind = array.dtype.kind
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] > MOST_COLUMNS):
        return f"arrays of shape {list(array.shape[1:])}"
    if kind in "biu":
        large = kind == "u" and array.size and array.max() > np.iinfo(np.int64).max
        return array.astype(np.float64 if large else np.int64)
    if kind == "f":
        return array.astype(np.float64)
    if kind in "US" and array.ndim == 1:
        try:
            words = np.char.decode(array, "utf-8") if kind == "S" else array
            return _words([as_text(word) for word in words.tolist()])
        except (ValueError, SystemError):  # the latter of characters beyond all that there are
            return "text that is not UTF-8"
    return {"c": "complex numbers", "M": "dates", "m": "durations"}.get(kind, f"values of type {array.dtype}"[:80])


READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".npy": _read_npy}
"""By the ending of a table's file."""
