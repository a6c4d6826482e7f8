"""Tables that people keep beside their videos: CSV, Parquet or NPY, with named columns and a row per frame or time."""

import csv
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

TABLE_SUFFIXES = (".csv", ".parquet", ".npy")
Kind = Literal["integers", "fractions", "words"]
KINDS: dict[str, Kind] = {"i": "integers", "f": "fractions", "U": "words"}
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it stands in its file.

    Attributes:
        path: the file.
        columns: by name: int64, float64 or str, [row]. NaN stands for a number that is missing.
        lines: the line of each row of a CSV file; None for arrays, whose rows count from 0.
        named: whether the names are the file's own, or only numbers that were given to a plain array's columns.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]
    lines: Sequence[int] | None = None
    named: bool = True

    def kind(self, name: str) -> Kind:
        """What a column holds."""
        return KINDS[self.columns[name].dtype.kind]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of finite numbers; true and false are 1 and 0.

        Raises:
            DatasetError: a value is no finite number; it names the row.
        """
        column: NDArray[Any] = self.columns[name]
        if self.kind(name) == "words":
            column = np.array([self._number(row, name, text) for row, text in enumerate(column.tolist())])
        values = column.astype(np.float64)
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
        if len(bad):
            raise self.error(int(bad[0]), name, f"holds {values[bad[0]]}; every row needs a finite number of 32 bits")
        return values

    def words(self, name: str) -> NDArray[np.str_]:
        """A column of words.

        Raises:
            DatasetError: one is missing; it names the row.
        """
        column: NDArray[np.str_] = self.columns[name]
        empty = np.flatnonzero(column == "")
        if len(empty):
            raise self.error(int(empty[0]), name, "is empty; every row needs an action")
        return column

    def error(self, row: int, name: str, what: str) -> DatasetError:
        """An error that names a cell."""
        place = f"line {self.lines[row]}" if self.lines else f"row {row}"
        return DatasetError(f"{self.path}: column {name!r} {what} ({place})")

    def _number(self, row: int, name: str, text: str) -> float:
        try:
            return TRUTH[text.lower()] if text.lower() in TRUTH else float(text)
        except ValueError:
            raise self.error(row, name, f"holds {text!r}, which is no number" if text else "is empty") from None


def read_table(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Read a table, by its file's ending.

    Args:
        path: a .csv (UTF-8; separated by comma, semicolon or tab), .parquet or .npy file (structured, or of one or two axes).
        columns: names of the columns of files that have none: plain arrays, and CSV files whose first line is numbers.

    Raises:
        DatasetError: the file cannot be read, is empty, or its rows or names do not fit; it names the row.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            table = _read_parquet(path)
        else:
            table = _read_csv(path, columns) if kind == ".csv" else _read_npy(path, columns)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not table.columns or not len(next(iter(table.columns.values()))):
        raise DatasetError(f"{path}: holds no rows; give one row per frame")
    return table


def _read_csv(path: Path, columns: Sequence[str] | None) -> Table:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            start = file.readline()
            file.seek(0)
            # The sniffer of the standard library guesses; the most frequent of three separators does not.
            reader = csv.reader(file, delimiter=max(",;\t", key=start.count), skipinitialspace=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: is no valid CSV ({error})") from error
    if not lines:
        raise DatasetError(f"{path}: is empty; a line that names the columns, then one line per frame are expected")
    names = [name.strip() for name in lines[0][1]]
    if _typed(names).dtype.kind == "U":
        del lines[0]
    elif columns is None:
        raise DatasetError(
            f"{path}: its first line is numbers; begin with a line that names the columns, or give columns="
        )
    else:
        _check_width(path, len(names), columns)
        names = list(columns)
    _check_names(path, names)
    for number, cells in lines:
        if len(cells) != len(names):
            raise DatasetError(
                f"{path}: line {number} has {len(cells)} values, but there are {len(names)} columns; give every line as many"
            )
    found = {name: _typed([cells[index].strip() for _, cells in lines]) for index, name in enumerate(names)}
    return Table(path, found, lines=[number for number, _ in lines])


def _typed(texts: Sequence[str]) -> NDArray[Any]:
    """Texts as whole numbers, else as numbers, else as they are."""
    column = np.array(texts, dtype=np.str_)
    for dtype in (np.int64, np.float64):
        try:
            return column.astype(dtype)
        except (ValueError, OverflowError):
            pass
    return column


def _read_npy(path: Path, columns: Sequence[str] | None) -> Table:
    try:
        # Mapped: a header that promises more than the file holds is refused instead of filling the memory.
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise DatasetError(f"{path}: cannot be read as an array of numbers ({error})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DatasetError(f"{path}: is an archive of arrays; save one array with numpy.save")
    if array.dtype.names:
        if array.ndim != 1 or any(array.dtype[name].shape for name in array.dtype.names):
            raise DatasetError(f"{path}: a structured array must have one axis, and single values as its fields")
        return Table(path, {name: _plain(array[name]) for name in array.dtype.names})
    if array.ndim not in (1, 2):
        raise DatasetError(f"{path}: has shape {list(array.shape)}; [frame] or [frame, column] is expected")
    values = array[:, None] if array.ndim == 1 else array
    if columns is not None:
        _check_width(path, values.shape[1], columns)
    names = columns or map(str, range(values.shape[1]))
    found = {name: _plain(column) for name, column in zip(names, values.T, strict=True)}
    return Table(path, found, named=columns is not None)


def _read_parquet(path: Path) -> Table:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError("reading Parquet files needs pyarrow: pip install pyarrow") from error
    try:
        table = parquet.read_table(path)
        _check_names(path, table.column_names)
        return Table(path, {name: _plain(table.column(name).to_numpy()) for name in table.column_names})
    except DatasetError:
        raise
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:  # pyarrow's own errors are among them
        raise DatasetError(f"{path}: cannot be read as Parquet ({error})") from error


def _plain(column: NDArray[Any]) -> NDArray[Any]:
    """An array's column as int64, float64 or str. What is nothing of the kind becomes words: it may be of no use anyway."""
    if column.dtype.kind in "biu":
        return column.astype(np.int64)
    if column.dtype.kind == "f":
        return column.astype(np.float64)
    if column.dtype.kind == "S":
        return np.char.decode(column, "utf-8", "replace")
    return np.array(["" if value is None else str(value) for value in column.tolist()], dtype=np.str_)


def _check_width(path: Path, width: int, columns: Sequence[str]) -> None:
    if len(columns) != width:
        raise DatasetError(f"{path}: has {width} columns, but columns= names {len(columns)} ({', '.join(columns)})")


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: has two columns named {twice[0]!r}; give every column a name of its own")
