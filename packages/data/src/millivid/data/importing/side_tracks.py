"""Which columns of the tables beside videos are actions and poses, and what the videos share."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..clip import POSE_NAMES, ActionType
from ..errors import DatasetError
from .import_report import some_names
from .import_settings import ImportSettings
from .side_tables import Role, Table, find_tables, read_table
from .table_files import NO_TEXT, NUMBER
from .track import TIMES, Track

What = Literal["actions", "poses"]
PREFIXES: dict[What, str] = {"actions": "action", "poses": "pose"}
USUAL: dict[What, tuple[str, ...]] = {"actions": ("action",), "poses": POSE_NAMES}
"""Columns of these names, all of them, are taken unless others are asked for; else those that begin with the prefix are."""
COUNTS = frozenset(
    {"", "frame", "index", "frame_index", "episode_index", "task_index", "Unnamed: 0", "__index_level_0__"}
)
"""Columns that number rows; never data unless they are asked for."""
MOST_ACTIONS = 4096
"""Whole numbers beyond it are no numbers of actions, and more words are no words of a language of actions."""
NOT_A_WORD = re.compile(
    r"(?=.*\d)[^\w\s]?[\d.,'’\s]+[^\w\s]?([ED][+−-]?\d+)?|(?=.*\d)[-+\d.E]+J|[\[({].*|b['\"].*|(array|tensor)\(.*",
    re.DOTALL | re.IGNORECASE,
)
"""Numbers as people and other programs write them (0,5 and 1.000,5 and 30 %), and what is printed for lists and bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SideData:
    """What stands beside one video: its tables, what of actions and poses they hold, and the columns that are neither."""

    files: Mapping[Role, Path] = field(default_factory=dict)
    tracks: Mapping[What, Track] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was lost in reading the tables."""
        return tuple(note for track in self.tracks.values() for note in track.notes)

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

    video, tables: as for `find_tables`. settings: which columns to take. Raises DatasetError where there are two tables for
    the same purpose, one cannot be read, a column is missing or nothing in it is known, or a value is no number.
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
                f"{path}: is an array of {len(_all_names(table))} columns without names; give columns=, or save "
                f"{path.stem}.actions.npy and {path.stem}.poses.npy instead"
            )
        used = {time := _time_column(table)}
        for what in USUAL if role == "both" else (role,):
            if columns := _choose(table, what, asked_for[what], alone=role != "both"):
                categories = what == "actions" and (asked_for[what] is not None or not _prefixed(columns, what))
                track = Track(
                    path=path,
                    names=_shown_names(table, columns, what),
                    values=np.empty(0),
                    times=_times(table, "" if time in columns else time),
                    tolerance=settings.time_tolerance,
                )
                tracks[what] = replace(track, **_values(table, columns, categories, settings.action_names))
                used.update(columns)
        if used == {time} and set(asked_for.values()) == {None}:
            raise DatasetError(
                f"{path}: none of its columns ({_names(table)}) is 'action', 'action_*' or 'pose_*', nor are "
                f"all of {', '.join(POSE_NAMES)} there; give action_columns= or pose_columns="
            )
        unused += [name for name in _all_names(table) if not used.intersection(table.vectors.get(name, (name,)))]
    return SideData(files=files, tracks=tracks, unused=tuple(unused))


def agree(
    data: Mapping[str, SideData], action_names: Sequence[str] | None = None
) -> tuple[Columns, dict[str, SideData], dict[str, str]]:
    """What most videos with tables have in common, and these videos' data in that form.

    data: of all videos, in order, at least one; of columns that equally many have, the first are taken. action_names: names
    of the actions 0, 1, ... or all words that occur; None for numbers, or for the words that do. Returns the dataset's
    columns; per video that has them, actions as int64 [row] or float32 [row, action] and poses as float32 [row, pose], in
    the dataset's order; and per other video, why it does not fit. Raises DatasetError where actions are negative or huge
    whole numbers, or ``action_names`` do not fit.
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
    names = [*table.columns, *table.unread]
    if asked_for is not None:
        for name in asked_for:
            if name not in names and name not in table.vectors:
                raise DatasetError(
                    f"{table.path}: has no column {name!r} that {PREFIXES[what]}_columns= asks for; its columns are "
                    f"{_names(table)}"
                )
        return [*dict.fromkeys(column for name in asked_for for column in table.vectors.get(name, (name,)))]
    prefixed = _prefixed(names, what)
    if what == "actions" and "action" in {*names, *table.vectors}:
        vector = dict.fromkeys(table.vectors.get("action", ("action",)))
        if others := [name for name in prefixed if name not in vector]:
            raise DatasetError(f"{table.path}: has both 'action' and {others[0]!r}; give action_columns=")
        return [*vector]
    if {*USUAL[what]} <= {*names}:
        return [*USUAL[what]]
    return prefixed or ([name for name in names if name not in TIMES and name not in COUNTS] if alone else [])


def _all_names(table: Table) -> list[str]:
    """The names of the columns in the file, where a list is one."""
    parts = {part for parts in table.vectors.values() for part in parts}
    return [*(name for name in table.columns if name not in parts), *table.vectors, *table.unread]


def _names(table: Table) -> str:
    return some_names(_all_names(table))


def _shown_names(table: Table, columns: Sequence[str], what: What) -> tuple[str, ...]:
    """What the columns are called in the dataset: without the prefix, if that leaves names of their own."""
    if not table.named:
        return USUAL[what] if len(columns) == len(USUAL[what]) else tuple(columns)
    shown = tuple(name[len(PREFIXES[what]) + 1 :] if _prefixed([name], what) else name for name in columns)
    return shown if len(set(shown)) == len(shown) and all(shown) else tuple(columns)


def _values(table: Table, columns: Sequence[str], categories: bool, known: Sequence[str] | None) -> dict[str, Any]:
    """A `Track`'s values, word and notes. categories: a single column may be words or whole numbers."""
    column = table.column(columns[0])
    single = categories and len(columns) == 1 and not any(columns[0] in parts for parts in table.vectors.values())
    if not single or column.dtype.kind == "f":
        values = np.stack([table.numbers(name) for name in columns], axis=1)
        lost = [name for name, numbers in zip(columns, values.T, strict=True) if _lost_in_32_bits(numbers)]
        note = f"columns {some_names(lost)}: numbers of 32 bits hardly tell neighbouring rows apart; subtract an origin"
        return {"values": values.astype(np.float32), "notes": (note,) if lost else ()}
    if column.dtype.kind == "i":
        return {"values": column}
    numbers = [bool(NUMBER.fullmatch(word)) for word in column.tolist()]
    mixed, rare = any(numbers), sum(numbers) <= len(numbers) / 2
    for row, word in enumerate(column.tolist()):
        what = f"holds {word[:80]!r}"
        if not word:
            raise table.error(row, columns[0], "is empty; every row needs an action")
        if known and word not in known:
            raise table.error(row, columns[0], f"{what}, which is none of the actions {some_names(known, 20)}")
        odd = ""
        if mixed and numbers[row] == rare:
            odd = "a number among words" if rare else "no number, but others are"
        elif NO_TEXT.search(word) or (NOT_A_WORD.fullmatch(word) and not numbers[row]):
            odd = "neither a word nor a number such as 0.5 or 1e3"
        if odd and not known:
            raise table.error(row, columns[0], f"{what}, {odd}; write all alike, or give action_names=")
    return {"values": column, "word": str(table.error(0, columns[0], f"holds {column[0]!r}"))}


def _lost_in_32_bits(values: NDArray[np.float64]) -> bool:
    """Whether rounding to float32 is more than an eighth of a usual step; steps that are rounding themselves don't count."""
    largest, steps = np.abs(values).max(), np.abs(np.diff(values))
    steps = steps[steps > 1e-12 * largest]
    return bool(len(steps) and np.median(steps) < 8 * np.spacing(np.float32(largest)))


def _time_column(table: Table) -> str:
    """The column that says when each row was; "" if none does."""
    name, stamps = TIMES[0], table.columns.get(TIMES[1])
    if name in table.columns or name in table.unread:
        return name
    return TIMES[1] if stamps is not None and stamps.dtype.kind in "if" else ""  # else dates, of which nobody asked


def _times(table: Table, name: str) -> NDArray[np.float64] | None:
    """When each row was; None where they belong to the frames in order. Also whether the rows are one video's."""
    episodes, counted = table.columns.get("episode_index"), table.columns.get("frame_index")
    if episodes is not None and len(found := {*episodes.tolist()}) > 1:
        row = int(np.flatnonzero(episodes != episodes[0])[0])
        raise table.error(
            row, "episode_index", f"begins another of {len(found)} episodes; write a table for each video"
        )
    if not name:
        if counted is not None and len(wrong := np.flatnonzero(counted != np.arange(len(counted)))):
            row = int(wrong[0])
            raise table.error(row, "frame_index", f"holds {counted[row]} where {row} is expected; sort or add rows")
        return None
    seconds = table.numbers(name)
    back = np.flatnonzero(np.diff(seconds) <= 0)
    if len(back):
        row = int(back[0])
        raise table.error(row + 1, name, f"does not grow: {seconds[row]} is followed by {seconds[row + 1]}")
    return seconds


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
    word = side.tracks["actions"].word
    return f"has words as actions ({word})" if word else "has numbers as actions"


def _action_names(tracks: Mapping[str, Track], given: Sequence[str] | None) -> tuple[ActionType, tuple[str, ...]]:
    """Words are categories, and whole numbers are, unless other videos have fractions in their place."""
    kinds = {track.values.dtype.kind for track in tracks.values()}
    if kinds == {"U"}:
        words = {word for track in tracks.values() for word in track.values.tolist()}
        if len(words) > MOST_ACTIONS:
            raise DatasetError(f"the actions are {len(words):,} different words; {MOST_ACTIONS:,} are the most")
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
            places = {name: place for place, name in enumerate(track.names)}
            order = [places[name] for name in names[what]]
            values = np.ascontiguousarray(values.reshape(len(values), -1)[:, order], np.float32)
        elif values.dtype.kind == "U":
            numbers = {word: number for number, word in enumerate(names[what])}
            values = np.array([numbers[word] for word in values.tolist()], np.int64)
        tracks[what] = replace(track, values=values)
    return replace(side, tracks=tracks)
