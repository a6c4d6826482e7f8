"""Tables that people keep beside their videos, with named columns and a row per frame or time."""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .table_files import MOST_BYTES, NO_FINITE_NUMBER, NUMBER, READERS, as_text, check_names

Role = Literal["both", "actions", "poses"]
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it stands in its file.

    path: the file. columns: by name: int64, float64 or str, [row]. NaN stands for a number that is missing. lines: the line
    of each row of a CSV file; else its number, from 0. named: whether the columns have names; those of a plain array that
    was given none are numbered. vectors: columns that hold a list of numbers in each row -> the columns that were made of
    them, ``name.0`` and so on. unread: columns that hold neither numbers nor words -> what they hold.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]
    lines: Sequence[int]
    named: bool = True
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> NDArray[Any]:
        """A column of numbers or words; raises DatasetError where it holds something else."""
        if name not in self.columns:
            what = self.unread.get(name, "lists")
            raise DatasetError(f"{self.path}: column {name!r} holds {what}, which is no number, no word and no vector")
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of finite numbers; true and false are 1 and 0.

        Raises DatasetError where a value is no finite number; it names the row.
        """
        column = self.column(name)
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
        place = f"{'line' if self.path.suffix.lower() == '.csv' else 'row'} {self.lines[row]}"
        return DatasetError(f"{self.path}: column {name!r} {what} ({place})")

    def _number(self, row: int, name: str, text: str) -> float:
        if text.lower() in TRUTH:
            return TRUTH[text.lower()]
        if NUMBER.fullmatch(text) or NO_FINITE_NUMBER.fullmatch(text):
            return float(text)
        raise self.error(row, name, f"holds {text[:80]!r}, which is no number" if text else "is empty")


def find_tables(video: str, tables: Mapping[str, Path]) -> dict[Role, Path]:
    """A video's tables: ``clip.csv``, ``clip.actions.npy``, ``clip.mp4.poses.parquet`` and the like.

    video: its path in the folder. tables: all tables, by their path in the folder as it is and in lower case. Raises
    DatasetError where there are two for the same purpose.
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

    path: a .csv (UTF-8; separated by comma, semicolon or tab), .parquet or .npy file (structured, or of one or two axes).
    names: of the columns of files that have none: plain arrays, and CSV files whose first line is numbers. Raises
    DatasetError where the file cannot be read, is empty or too large, or its rows or names do not fit; it names the row.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            kind = f"has {status.st_size:,} bytes" if stat.S_ISREG(status.st_mode) else "is no file"
            raise DatasetError(f"{path}: {kind}; a file of {MOST_BYTES:,} bytes at most is expected")
        found, columns, lines = READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not columns or not lines:
        raise DatasetError(f"{path}: holds no rows; give one row per frame")
    if found is None and names is None and path.suffix.lower() == ".csv":
        raise DatasetError(
            f"{path}: its first line is numbers; begin with a line that names the columns, or give columns="
        )
    if found is None and names is not None and len(names) != len(columns):
        raise DatasetError(
            f"{path}: has {len(columns)} columns without names, but {len(names)} names are given ({', '.join(names)})"
        )
    named = found or names
    labels = [as_text(name) for name in named or map(str, range(len(columns)))]
    read: list[tuple[str, NDArray[Any]]] = []
    vectors: dict[str, tuple[str, ...]] = {}
    unread: dict[str, str] = {}
    for label, column in zip(labels, columns, strict=True):
        if isinstance(column, str):
            unread[label] = column
        elif column.ndim == 1:
            read.append((label, column))
        else:
            vectors[label] = tuple(f"{label}.{index}" for index in range(column.shape[1]))
            read += zip(vectors[label], column.T, strict=True)
    check_names(path, [*unread, *vectors, *(name for name, _ in read)] if len({*labels}) == len(labels) else labels)
    return Table(path, dict(read), lines, bool(named), vectors, unread)
