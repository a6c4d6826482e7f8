"""Which columns of the tables beside videos are actions and poses, and which row belongs to which frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..clip import POSE_NAMES
from ..errors import DatasetError
from .side_tables import TABLE_SUFFIXES, Table, read_table

Role = Literal["both", "actions", "poses"]
What = Literal["actions", "poses"]
PREFIXES: dict[What, str] = {"actions": "action", "poses": "pose"}
USUAL: dict[What, tuple[str, ...]] = {"actions": ("action",), "poses": POSE_NAMES}
"""Columns of these names, all of them, are taken unless others are asked for; else those that begin with the prefix are."""
TIME = "time"
"""A column of this name, in seconds after the video's first frame, says when each row was."""


@dataclass(frozen=True, kw_only=True)
class ColumnRules:
    """Which columns to take, where the default rule is not wanted.

    Attributes:
        actions, poses: the columns; empty for none; None for the default rule.
        names: of the columns of tables that name none.
        words: all actions that may occur where actions are words; None for any.
    """

    actions: Sequence[str] | None = None
    poses: Sequence[str] | None = None
    names: Sequence[str] | None = None
    words: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Actions or poses of a video, row by row.

    Attributes:
        path: their table.
        names: what the columns are called in the dataset.
        values: float32 [row, column]; or int64 or str, [row], for a single column of actions of that kind.
        times: seconds after the first frame, [row]; None where row i belongs to frame i.
        odd_word: of actions that are words, one that is no number, and where it stands.
    """

    path: Path
    names: tuple[str, ...]
    values: NDArray[Any]
    times: NDArray[np.float64] | None
    odd_word: str = ""

    def at(self, indices: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[Any]:
        """The values of frames, by their numbers and their times in seconds; without times in the table, the numbers."""
        if self.times is None:
            return self.values[np.minimum(indices, len(self.values) - 1)]  # whether there are enough, `check_end` says
        after = np.searchsorted(self.times, times).clip(1, max(1, len(self.times) - 1))
        before = after - 1
        after = np.minimum(after, len(self.times) - 1)
        return self.values[np.where(times - self.times[before] <= self.times[after] - times, before, after)]

    def check_end(self, frames: int, end: float, gap: float) -> None:
        """Whether there is a row for every frame.

        Args:
            frames: number of frames of the video.
            end: when the last one is shown, in seconds.
            gap: seconds between frames.

        Raises:
            DatasetError: there are too few or too many rows, or their times do not reach over the video.
        """
        rows = len(self.values)
        if self.times is None:
            if rows != frames:
                raise DatasetError(
                    f"{self.path}: has {rows} rows, but the video has {frames} frames; give one row per frame, or a column "
                    f"{TIME!r} in seconds after the first frame"
                )
            return
        reach = max(gap, float(np.median(np.diff(self.times))) if rows > 1 else 0.0) * 1.001
        if self.times[0] > reach or self.times[-1] < end - reach:
            raise DatasetError(
                f"{self.path}: its times go from {self.times[0]:.3f} s to {self.times[-1]:.3f} s, but the video's frames from "
                f"0 to {end:.3f} s; give rows for all of it, in seconds after the first frame"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class SideData:
    """What stands beside one video: its tables, their actions and poses, and the columns that are neither."""

    files: Mapping[Role, Path]
    actions: Track | None = None
    poses: Track | None = None
    unused: tuple[str, ...] = ()


def read_side_data(video: str, tables: Mapping[str, Path], rules: ColumnRules) -> SideData:
    """Find and read a video's tables.

    Args:
        video: the video's path in the folder.
        tables: all tables, by their path in the folder as it is and in lower case.
        rules: which columns to take.

    Raises:
        DatasetError: there are two tables for the same purpose, one cannot be read, a column is missing or nothing in it is
            known, or a value is no number.
    """
    files = _find(video, tables)
    tracks: dict[What, Track] = {}
    unused: list[str] = []
    for role, path in files.items():
        table = read_table(path, rules.names if role == "both" else None)
        if role == "both" and not table.named:
            raise DatasetError(
                f"{path}: is an array of {len(table.columns)} columns without names; give columns=, or save "
                f"{path.stem}.actions.npy and {path.stem}.poses.npy instead"
            )
        used = {TIME}
        for what in USUAL if role == "both" else (role,):
            columns = _columns(table, what, rules, alone=role != "both")
            if columns:
                tracks[what] = _track(table, columns, what, rules)
                used.update(columns)
        if not tracks and role == "both" and rules.actions is None and rules.poses is None:
            raise DatasetError(
                f"{path}: none of its columns ({', '.join(table.columns)}) is 'action', 'action_*' or 'pose_*', nor are "
                f"all of {', '.join(POSE_NAMES)} there; give action_columns= or pose_columns="
            )
        unused += [name for name in table.columns if name not in used]
    return SideData(files=files, actions=tracks.get("actions"), poses=tracks.get("poses"), unused=tuple(unused))


def _find(video: str, tables: Mapping[str, Path]) -> dict[Role, Path]:
    """``clip.csv``, ``clip.actions.npy``, ``clip.mp4.poses.parquet`` and the like."""
    found: dict[Role, Path] = {}
    stem = video.rpartition(".")[0]
    roles: dict[str, Role] = {"": "both", ".actions": "actions", ".poses": "poses"}
    for ending, role in roles.items():
        names = [f"{base}{ending}{suffix}" for base in (stem, video) for suffix in TABLE_SUFFIXES]
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


def _columns(table: Table, what: What, rules: ColumnRules, *, alone: bool) -> list[str]:
    """The columns to take. alone: the table is for this purpose only."""
    wanted, prefixed = _wanted(what, rules), [name for name in table.columns if _is_prefixed(name, what)]
    if wanted is not None and not table.named:
        if wanted and len(wanted) != len(table.columns):
            raise DatasetError(
                f"{table.path}: has {len(table.columns)} columns, but {PREFIXES[what]}_columns= names {len(wanted)}"
            )
        return list(table.columns) if wanted else []
    if wanted is not None:
        for name in wanted:
            if name not in table.columns:
                raise DatasetError(
                    f"{table.path}: has no column {name!r} that {PREFIXES[what]}_columns= asks for; its columns are "
                    f"{', '.join(table.columns)}"
                )
        return list(wanted)
    if set(USUAL[what]) <= set(table.columns):
        if what == "actions" and prefixed:
            raise DatasetError(f"{table.path}: has both 'action' and {prefixed[0]!r}; give action_columns=")
        return list(USUAL[what])
    return prefixed or ([name for name in table.columns if name != TIME] if alone else [])


def _track(table: Table, columns: list[str], what: What, rules: ColumnRules) -> Track:
    wanted, prefix = _wanted(what, rules), PREFIXES[what]
    # A single column of actions may hold categories; one that is called action_x is a vector with one number.
    single = what == "actions" and len(columns) == 1 and (wanted is not None or not _is_prefixed(columns[0], what))
    kind = table.kind(columns[0]) if single else "fractions"
    odd_word = ""
    if kind == "words":
        values: NDArray[Any] = table.words(columns[0])
        odd_word = _check_words(table, columns[0], rules.words)
    elif kind == "integers":
        values = table.columns[columns[0]]
    else:
        values = np.stack([table.numbers(name) for name in columns], axis=1).astype(np.float32)
    if table.named:
        shown = [name[len(prefix) + 1 :] if _is_prefixed(name, what) else name for name in columns]
        names = shown if len(set(shown)) == len(shown) and all(shown) else columns
    else:
        names = list(wanted or (USUAL[what] if len(columns) == len(USUAL[what]) else columns))
    times = _times(table) if TIME in table.columns and TIME not in columns else None
    return Track(path=table.path, names=tuple(names), values=values, times=times, odd_word=odd_word)


def _wanted(what: What, rules: ColumnRules) -> Sequence[str] | None:
    return rules.actions if what == "actions" else rules.poses


def _is_prefixed(name: str, what: What) -> bool:
    return name.startswith((f"{PREFIXES[what]}_", f"{PREFIXES[what]}."))


def _check_words(table: Table, column: str, known: Sequence[str] | None) -> str:
    """Where the first word stands that is no number, or the first word; all must be known."""
    words = table.columns[column].tolist()
    for row, word in enumerate(words):
        if known and word not in known:
            raise table.error(row, column, f"holds {word!r}, which is none of the actions {', '.join(known)}")
    odd = (row for row, word in enumerate(words) if not word.lstrip("+-").replace(".", "", 1).isdigit())
    row = next(odd, 0)
    return str(table.error(row, column, f"holds {words[row]!r}"))


def _times(table: Table) -> NDArray[np.float64]:
    times = table.numbers(TIME)
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        row = int(back[0])
        raise table.error(row + 1, TIME, f"does not grow: {times[row]} is followed by {times[row + 1]}")
    return times
