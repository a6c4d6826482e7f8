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
TIME = "time"
"""A column of this name, in seconds after the video's first frame, says when each row was."""


@dataclass(frozen=True, kw_only=True)
class ColumnRules:
    """Which columns to take, where the default rule is not wanted.

    Attributes:
        actions, poses: the columns; empty for none; None for the default rule.
        names: of the columns of tables that name none.
    """

    actions: tuple[str, ...] | None = None
    poses: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Actions or poses as their table has them, row by row.

    Attributes:
        table: where they come from.
        columns: those that were taken.
        names: what they are called in the dataset.
        single: one column of actions, whose type decides what kind of actions they are.
        values: float32 [row, column]; or int64 or str, [row], for a single column of those.
        times: seconds after the first frame, [row]; None where row i belongs to frame i.
    """

    table: Table
    columns: tuple[str, ...]
    names: tuple[str, ...]
    single: bool
    values: NDArray[Any]
    times: NDArray[np.float64] | None

    def rows(self, indices: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[np.int64]:
        """The row of each frame, by the frame's number and its time in seconds; without times in the table, the number."""
        if self.times is None:
            return np.minimum(indices, self.table.rows - 1)  # whether there are enough, `check_end` says
        after = np.searchsorted(self.times, times).clip(1, max(1, len(self.times) - 1))
        before = after - 1
        after = np.minimum(after, len(self.times) - 1)
        return np.where(times - self.times[before] <= self.times[after] - times, before, after)

    def check_end(self, frames: int, end: float, gap: float) -> None:
        """Whether there is a row for every frame.

        Args:
            frames: number of frames of the video.
            end: when the last one is shown, in seconds.
            gap: seconds between frames.

        Raises:
            DatasetError: there are too few or too many rows, or their times do not reach over the video.
        """
        path, rows = self.table.path, self.table.rows
        if self.times is None:
            if rows != frames:
                raise DatasetError(
                    f"{path}: has {rows} rows, but the video has {frames} frames; give one row per frame, or a column "
                    f"{TIME!r} in seconds after the first frame"
                )
            return
        reach = max(gap, float(np.median(np.diff(self.times))) if rows > 1 else 0.0) * 1.001
        if self.times[0] > reach or self.times[-1] < end - reach:
            raise DatasetError(
                f"{path}: its times go from {self.times[0]:.3f} s to {self.times[-1]:.3f} s, but the video's frames from 0 to "
                f"{end:.3f} s; give rows for all of it, in seconds after the first frame"
            )


@dataclass(frozen=True, kw_only=True)
class SideData:
    """What stands beside one video: its actions and poses, and the columns that are neither."""

    actions: Track | None = None
    poses: Track | None = None
    unused: tuple[str, ...] = ()


def find_side_tables(video: str, tables: Mapping[str, Path]) -> dict[Role, Path]:
    """The tables of a video: ``clip.csv``, ``clip.actions.npy``, ``clip.mp4.poses.parquet`` and the like.

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


def read_side_data(paths: Mapping[Role, Path], rules: ColumnRules) -> SideData:
    """Read a video's tables.

    Raises:
        DatasetError: a table cannot be read, a column is missing or nothing in it is known, or a value is no number.
    """
    if "both" in paths:
        table = read_table(paths["both"], rules.names)
        if not table.named:
            raise DatasetError(
                f"{table.path}: is an array of {len(table.columns)} columns without names; give columns=, or save "
                f"{table.path.stem}.actions.npy and {table.path.stem}.poses.npy instead"
            )
        actions, poses = _actions(table, rules, alone=False), _poses(table, rules, alone=False)
        if actions is None and poses is None and rules.actions is None and rules.poses is None:
            raise DatasetError(
                f"{table.path}: none of its columns ({', '.join(table.columns)}) is 'action', 'action_*' or 'pose_*', nor are "
                f"all of {', '.join(POSE_NAMES)} there; give action_columns= or pose_columns="
            )
        return SideData(actions=actions, poses=poses, unused=_unused(table, (actions, poses)))
    # The names of columns= are for tables that hold both.
    actions = _actions(read_table(paths["actions"]), rules, alone=True) if "actions" in paths else None
    poses = _poses(read_table(paths["poses"]), rules, alone=True) if "poses" in paths else None
    unused = [name for track in (actions, poses) if track for name in _unused(track.table, (track,))]
    return SideData(actions=actions, poses=poses, unused=tuple(unused))


def _actions(table: Table, rules: ColumnRules, *, alone: bool) -> Track | None:
    prefixed = _prefixed(table, "action")
    if rules.actions is not None:
        names = _wanted(table, rules.actions, "action_columns")
        single = len(names) == 1
    elif "action" in table.columns:
        if prefixed:
            raise DatasetError(f"{table.path}: has both 'action' and {prefixed[0]!r}; give action_columns=")
        names, single = ["action"], True
    else:
        names = prefixed or (_all_but_time(table) if alone else [])
        single = not prefixed and len(names) == 1
    if not names:
        return None
    shown = _shown(names, "action") if table.named else [*(rules.actions or (["action"] if single else names))]
    kind = table.kind(names[0]) if single else "fractions"
    if kind == "words":
        values: NDArray[Any] = table.words(names[0])
    elif kind == "integers":
        values = table.columns[names[0]]
    else:
        values = _numbers(table, names)
    return Track(
        table=table,
        columns=tuple(names),
        names=tuple(shown),
        single=single,
        values=values,
        times=_times(table, names),
    )


def _poses(table: Table, rules: ColumnRules, *, alone: bool) -> Track | None:
    prefixed = _prefixed(table, "pose")
    if rules.poses is not None:
        names = _wanted(table, rules.poses, "pose_columns")
    elif set(POSE_NAMES) <= set(table.columns):
        names = list(POSE_NAMES)
    else:
        names = prefixed or (_all_but_time(table) if alone else [])
    if not names:
        return None
    shown = _shown(names, "pose")
    if not table.named:
        shown = [*(rules.poses or (POSE_NAMES if len(names) == len(POSE_NAMES) else names))]
    return Track(
        table=table,
        columns=tuple(names),
        names=tuple(shown),
        single=False,
        values=_numbers(table, names),
        times=_times(table, names),
    )


def _wanted(table: Table, wanted: Sequence[str], setting: str) -> list[str]:
    if not table.named:
        if wanted and len(wanted) != len(table.columns):
            raise DatasetError(f"{table.path}: has {len(table.columns)} columns, but {setting}= names {len(wanted)}")
        return list(table.columns) if wanted else []
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise DatasetError(
            f"{table.path}: has no column {missing[0]!r} that {setting}= asks for; its columns are {', '.join(table.columns)}"
        )
    return list(wanted)


def _prefixed(table: Table, prefix: str) -> list[str]:
    return [name for name in table.columns if name.startswith((f"{prefix}_", f"{prefix}."))]


def _shown(names: Sequence[str], prefix: str) -> list[str]:
    shown = [name[len(prefix) + 1 :] if name.startswith((f"{prefix}_", f"{prefix}.")) else name for name in names]
    return shown if len(set(shown)) == len(shown) and all(shown) else list(names)


def _all_but_time(table: Table) -> list[str]:
    return [name for name in table.columns if name != TIME]


def _numbers(table: Table, names: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([table.numbers(name) for name in names], axis=1).astype(np.float32)


def _times(table: Table, used: Sequence[str]) -> NDArray[np.float64] | None:
    if TIME not in table.columns or TIME in used:
        return None
    times = table.numbers(TIME)
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        raise table.error(
            int(back[0]) + 1, TIME, f"does not grow: {times[back[0]]} is followed by {times[back[0] + 1]}"
        )
    return times


def _unused(table: Table, tracks: Sequence[Track | None]) -> tuple[str, ...]:
    used = {name for track in tracks if track for name in track.columns} | {TIME}
    return tuple(name for name in table.columns if name not in used)
