"""Which columns of the tables beside videos are actions and poses, what the videos share, and which row belongs to a frame."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..clip import POSE_NAMES, ActionType
from ..errors import DatasetError
from .import_settings import ImportSettings
from .side_tables import Role, Table, find_tables, read_table

What = Literal["actions", "poses"]
PREFIXES: dict[What, str] = {"actions": "action", "poses": "pose"}
USUAL: dict[What, tuple[str, ...]] = {"actions": ("action",), "poses": POSE_NAMES}
"""Columns of these names, all of them, are taken unless others are asked for; else those that begin with the prefix are."""
TIME = "time"
"""A column of this name, in seconds after the video's first frame, says when each row was."""
MOST_ACTIONS = 4096
"""Whole numbers beyond it are no numbers of actions."""


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
    """What stands beside one video: its tables, what of actions and poses they hold, and the columns that are neither."""

    files: Mapping[Role, Path] = field(default_factory=dict)
    tracks: Mapping[What, Track] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def names(self, what: What) -> tuple[str, ...]:
        """Names of the actions or poses; empty if there are none."""
        return self.tracks[what].names if what in self.tracks else ()


class Columns(TypedDict):
    """The actions and poses of a dataset; as for `ClipWriter`."""

    action_type: ActionType
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]


def read_side_data(video: str, tables: Mapping[str, Path], settings: ImportSettings) -> SideData:
    """Find and read a video's tables.

    Args:
        video, tables: as for `find_tables`.
        settings: which columns to take.

    Raises:
        DatasetError: there are two tables for the same purpose, one cannot be read, a column is missing or nothing in it is
            known, or a value is no number.
    """
    asked_for: dict[What, Sequence[str] | None] = {
        "actions": settings.action_columns,
        "poses": settings.pose_columns,
    }
    files = find_tables(video, tables)
    tracks: dict[What, Track] = {}
    unused: list[str] = []
    for role, path in files.items():
        table = read_table(path, settings.columns if role == "both" else asked_for[role] or None)
        if role == "both" and not table.named:
            raise DatasetError(
                f"{path}: is an array of {len(table.columns)} columns without names; give columns=, or save "
                f"{path.stem}.actions.npy and {path.stem}.poses.npy instead"
            )
        used = {TIME}
        for what in USUAL if role == "both" else (role,):
            columns = _choose(table, what, asked_for[what], alone=role != "both")
            if columns:
                categories = what == "actions" and (asked_for[what] is not None or not _prefixed(columns, what))
                values, odd_word = _values(table, columns, categories, settings.action_names)
                tracks[what] = Track(
                    path=path,
                    names=_shown_names(table, columns, what),
                    values=values,
                    times=_times(table) if TIME in table.columns and TIME not in columns else None,
                    odd_word=odd_word,
                )
                used.update(columns)
        if not tracks and role == "both" and set(asked_for.values()) == {None}:
            raise DatasetError(
                f"{path}: none of its columns ({', '.join(table.columns)}) is 'action', 'action_*' or 'pose_*', nor are "
                f"all of {', '.join(POSE_NAMES)} there; give action_columns= or pose_columns="
            )
        unused += [name for name in table.columns if name not in used]
    return SideData(files=files, tracks=tracks, unused=tuple(unused))


def agree(
    data: Mapping[str, SideData], action_names: Sequence[str] | None = None
) -> tuple[Columns, dict[str, SideData], dict[str, str]]:
    """What most videos with tables have in common, and these videos' data in that form.

    Args:
        data: of all videos, in order, at least one; of columns that equally many have, the first are taken.
        action_names: names of the actions 0, 1, ... or all words that occur; None for numbers, or for the words that do.

    Returns:
        The dataset's columns; per video that has them, actions as int64 [row] or float32 [row, action] and poses as float32
        [row, pose], in the dataset's order; and per other video, why it does not fit.

    Raises:
        DatasetError: actions are negative or huge whole numbers, or ``action_names`` do not fit.
    """
    keys = {video: _key(side) for video, side in data.items()}
    counts = Counter(keys[video] for video, side in data.items() if side.tracks) or Counter(keys.values())
    ((common, _),) = counts.most_common(1)
    fitting = [video for video, key in keys.items() if key == common]
    first = data[fitting[0]]
    misfits = {
        video: f"{video}: {_difference(side, first)}, unlike {fitting[0]} and most others"
        for video, side in data.items()
        if keys[video] != common
    }
    actions = {video: data[video].tracks["actions"] for video in fitting if first.names("actions")}
    action_type, names = _action_names(actions, action_names)
    columns = Columns(action_type=action_type, action_names=names, pose_names=first.names("poses"))
    return columns, {video: _in_common_form(data[video], columns) for video in fitting}, misfits


def _prefixed(names: Sequence[str], what: What) -> list[str]:
    return [name for name in names if name.startswith((f"{PREFIXES[what]}_", f"{PREFIXES[what]}."))]


def _choose(table: Table, what: What, asked_for: Sequence[str] | None, *, alone: bool) -> list[str]:
    """The columns to take. alone: the table is for this purpose only."""
    if asked_for is not None:
        for name in asked_for:
            if name not in table.columns:
                raise DatasetError(
                    f"{table.path}: has no column {name!r} that {PREFIXES[what]}_columns= asks for; its columns are "
                    f"{', '.join(table.columns)}"
                )
        return list(asked_for)
    prefixed = _prefixed(list(table.columns), what)
    if set(USUAL[what]) <= set(table.columns):
        if what == "actions" and prefixed:
            raise DatasetError(f"{table.path}: has both 'action' and {prefixed[0]!r}; give action_columns=")
        return list(USUAL[what])
    return prefixed or ([name for name in table.columns if name != TIME] if alone else [])


def _shown_names(table: Table, columns: Sequence[str], what: What) -> tuple[str, ...]:
    """What the columns are called in the dataset: without the prefix, if that leaves names of their own."""
    if not table.named:
        return USUAL[what] if len(columns) == len(USUAL[what]) else tuple(columns)
    shown = tuple(name[len(PREFIXES[what]) + 1 :] if _prefixed([name], what) else name for name in columns)
    return shown if len(set(shown)) == len(shown) and all(shown) else tuple(columns)


def _values(
    table: Table, columns: Sequence[str], categories: bool, known: Sequence[str] | None
) -> tuple[NDArray[Any], str]:
    """As for `Track`: the values and, of words, an odd one. categories: a single column may be words or whole numbers."""
    kind = table.columns[columns[0]].dtype.kind if categories and len(columns) == 1 else "f"
    if kind == "f":
        return np.stack([table.numbers(name) for name in columns], axis=1).astype(np.float32), ""
    if kind == "i":
        return table.columns[columns[0]], ""
    words = table.columns[columns[0]].tolist()
    for row, word in enumerate(words):
        if not word:
            raise table.error(row, columns[0], "is empty; every row needs an action")
        if known and word not in known:
            raise table.error(row, columns[0], f"holds {word!r}, which is none of the actions {', '.join(known)}")
    odd = (row for row, word in enumerate(words) if not word.lstrip("+-").replace(".", "", 1).isdigit())
    row = next(odd, 0)
    return table.columns[columns[0]], str(table.error(row, columns[0], f"holds {words[row]!r}"))


def _times(table: Table) -> NDArray[np.float64]:
    times = table.numbers(TIME)
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        row = int(back[0])
        raise table.error(row + 1, TIME, f"does not grow: {times[row]} is followed by {times[row + 1]}")
    return times


def _key(side: SideData) -> tuple[Any, ...]:
    """What the videos of a dataset have to agree on."""
    words = "actions" in side.tracks and side.tracks["actions"].values.dtype.kind == "U"
    return (*(frozenset(side.names(what)) for what in USUAL), words)


def _difference(side: SideData, common: SideData) -> str:
    for what in USUAL:
        found, expected = side.names(what), common.names(what)
        if set(found) != set(expected):
            if not expected:
                return f"has {what} ({', '.join(found)})"
            return f"has the {what} {', '.join(found)} instead of {', '.join(expected)}" if found else f"has no {what}"
    word = side.tracks["actions"].odd_word
    return f"has words as actions ({word})" if word else "has numbers as actions"


def _action_names(tracks: Mapping[str, Track], given: Sequence[str] | None) -> tuple[ActionType, tuple[str, ...]]:
    """Words are categories, and whole numbers are, unless other videos have fractions in their place."""
    kinds = {track.values.dtype.kind for track in tracks.values()}
    if kinds == {"U"}:
        words = {word for track in tracks.values() for word in track.values.tolist()}
        return "categorical", tuple(given or sorted(words))
    if kinds == {"i"}:
        limit = f"action_names= has {len(given)}" if given else f"0 to {MOST_ACTIONS - 1} are expected"
        for video, track in tracks.items():
            low, high = track.values.min(), track.values.max()
            if low < 0 or high >= (len(given) if given else MOST_ACTIONS):
                raise DatasetError(
                    f"{video}: its actions are the whole numbers {low} to {high}, but {limit}; write words, or write "
                    f"fractions (such as 1.0) if they are quantities"
                )
        most = max(int(track.values.max()) for track in tracks.values())
        return "categorical", tuple(given or map(str, range(most + 1)))
    if given:
        raise DatasetError(
            f"action_names= names the actions of one column of words or whole numbers, but "
            f"{'the actions are vectors' if kinds else 'there are no actions'}; leave it out"
        )
    return "continuous", next((track.names for track in tracks.values()), ())


def _in_common_form(side: SideData, columns: Columns) -> SideData:
    tracks = dict(side.tracks)
    names: dict[What, tuple[str, ...]] = {"actions": columns["action_names"], "poses": columns["pose_names"]}
    for what, track in side.tracks.items():
        values = track.values
        if what == "poses" or columns["action_type"] == "continuous":
            order = [track.names.index(name) for name in names[what]]
            values = np.ascontiguousarray(values.reshape(len(values), -1)[:, order], np.float32)
        elif values.dtype.kind == "U":
            numbers = {word: number for number, word in enumerate(names[what])}
            values = np.array([numbers[word] for word in values.tolist()], np.int64)
        tracks[what] = replace(track, values=values)
    return replace(side, tracks=tracks)
