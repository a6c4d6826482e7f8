"""Tables that people keep beside their videos: CSV, Parquet or NPY, with named columns and a row per frame or time."""

import csv
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

Role = Literal["both", "actions", "poses"]
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it stands in its file.

    Attributes:
        path: the file.
        columns: by name: int64, float64 or str, [row]. NaN stands for a number that is missing.
        lines: the line of each row of a CSV file; None for arrays, whose rows count from 0.
        named: whether the columns have names; those of a plain array that was given none are numbered.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]
    lines: Sequence[int] | None = None
    named: bool = True

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of finite numbers; true and false are 1 and 0.

        Raises:
            DatasetError: a value is no finite number; it names the row.
        """
        column: NDArray[Any] = self.columns[name]
        if column.dtype.kind == "U":
            column = np.array([self._number(row, name, text) for row, text in enumerate(column.tolist())])
        values = column.astype(np.float64)
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(values.astype(np.float32)))
        if len(bad):
            raise self.error(int(bad[0]), name, f"holds {values[bad[0]]}; every row needs a finite number of 32 bits")
        return values

    def error(self, row: int, name: str, what: str) -> DatasetError:
        """An error that names a cell."""
        place = f"line {self.lines[row]}" if self.lines else f"row {row}"
        return DatasetError(f"{self.path}: column {name!r} {what} ({place})")

    def _number(self, row: int, name: str, text: str) -> float:
        try:
            return TRUTH[text.lower()] if text.lower() in TRUTH else float(text)
        except ValueError:
            raise self.error(row, name, f"holds {text!r}, which is no number" if text else "is empty") from None


def find_tables(video: str, tables: Mapping[str, Path]) -> dict[Role, Path]:
    """A video's tables: ``clip.csv``, ``clip.actions.npy``, ``clip.mp4.poses.parquet`` and the like.

    Args:
        video: the video's path in the folder.
        tables: all tables, by their path in the folder as it is and in lower case.

    Raises:
        DatasetError: there are two for the same purpose.
    """
    found: dict[Role, Path] = {}
    stem = video.rpartition(".")[0]
    roles: dict[str, Role] = {"": "both", ".actions": "actions", ".poses": "poses"}
    for ending, role in roles.items():
        names = [f"{base}{ending}{suffix}" for base in (stem, video) for suffix in READERS]
        looked_up = (tables.get(name) or tables.get(name.casefold()) for name in names)
        paths = [path for path in looked_up if path]
        if len(paths) > 1:
            raise DatasetError(f"{video}: has two tables, {paths[0].name} and {paths[1].name}; keep one")
        if paths:
            found[role] = paths[0]
    if len(found) > 1 and "both" in found:
        others = " and ".join(path.name for role, path in found.items() if role != "both")
        raise DatasetError(f"{video}: has {found['both'].name} and also {others}; keep one kind")
    return found


def read_table(path: Path, names: Sequence[str] | None = None) -> Table:
    """Read a table, by its file's ending.

    Args:
        path: a .csv (UTF-8; separated by comma, semicolon or tab), .parquet or .npy file (structured, or of one or two axes).
        names: of the columns of files that have none: plain arrays, and CSV files whose first line is numbers.

    Raises:
        DatasetError: the file cannot be read, is empty, or its rows or names do not fit; it names the row.
    """
    try:
        found, columns, lines = READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not columns or not len(columns[0]):
        raise DatasetError(f"{path}: holds no rows; give one row per frame")
    if found is None and names is None and lines:
        raise DatasetError(
            f"{path}: its first line is numbers; begin with a line that names the columns, or give columns="
        )
    if found is None and names is not None and len(names) != len(columns):
        raise DatasetError(
            f"{path}: has {len(columns)} columns without names, but {len(names)} names are given ({', '.join(names)})"
        )
    named = found or names
    labels = named or [str(index) for index in range(len(columns))]
    for name in labels:
        if labels.count(name) > 1:
            raise DatasetError(f"{path}: has two columns named {name!r}; give every column a name of its own")
    return Table(path, dict(zip(labels, columns, strict=True)), lines, named=bool(named))


_Columns = tuple[list[str] | None, list[NDArray[Any]], list[int] | None]
"""Names, if there are any; columns; and the lines of the rows, if it is a text."""


def _read_csv(path: Path) -> _Columns:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            start = file.readline()
            file.seek(0)
            # The sniffer of the standard library guesses; the most frequent of three separators does not.
            reader = csv.reader(file, delimiter=max(",;\t", key=start.count), skipinitialspace=True)
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: is no valid CSV ({error})") from error
    if not rows:
        raise DatasetError(f"{path}: is empty; a line that names the columns, then one line per frame are expected")
    first = rows[0][1]
    has_names = _typed(first).dtype.kind == "U"
    rows = rows[has_names:]
    for number, cells in rows:
        if len(cells) != len(first):
            raise DatasetError(
                f"{path}: line {number} has {len(cells)} values, but there are {len(first)} columns; give every line as many"
            )
    columns = [_typed(column) for column in zip(*(cells for _, cells in rows), strict=True)]
    return first if has_names else None, columns, [number for number, _ in rows]


def _typed(texts: Iterable[str]) -> NDArray[Any]:
    """Texts as whole numbers, else as numbers, else as they are."""
    column = np.array([*texts], dtype=np.str_)
    for dtype in (np.int64, np.float64):
        try:
            return column.astype(dtype)
        except (ValueError, OverflowError):
            pass
    return column


def _read_npy(path: Path) -> _Columns:
    try:
        # Mapped: a header that promises more than the file holds is refused instead of filling the memory.
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise DatasetError(f"{path}: cannot be read as an array of numbers ({error})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DatasetError(f"{path}: is an archive of arrays; save one array with numpy.save")
    if names := array.dtype.names:
        if array.ndim != 1 or any(array.dtype[name].shape for name in names):
            raise DatasetError(f"{path}: a structured array must have one axis, and single values as its fields")
        return [*names], [_plain(array[name]) for name in names], None
    if array.ndim not in (1, 2):
        raise DatasetError(f"{path}: has shape {list(array.shape)}; [frame] or [frame, column] is expected")
    return None, [_plain(column) for column in array.reshape(len(array), -1).T] if array.size else [], None


def _read_parquet(path: Path) -> _Columns:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError("reading Parquet files needs pyarrow: pip install pyarrow") from error
    try:
        table = parquet.read_table(path)
        return table.column_names, [_plain(column.to_numpy()) for column in table.columns], None
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


READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".npy": _read_npy}
"""By the ending of a table's file."""
