"""What the actions and poses of all videos of a dataset have in common, and one video's in that form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clip import ActionType
from ..errors import DatasetError
from .side_tracks import SideData, Track

MOST_ACTIONS = 4096
"""Whole numbers beyond it are no numbers of actions."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What one video's actions and poses are, without their values.

    Attributes:
        actions, poses: names of the columns; None where there are none.
        kind: of the actions: "i" whole numbers, "U" words, "f" vectors, "" none.
        words: the actions that occur.
        span: the least and the greatest number of an action.
        example: a word, and where it stands.
    """

    actions: tuple[str, ...] | None
    poses: tuple[str, ...] | None
    kind: str
    words: frozenset[str] = frozenset()
    span: tuple[int, int] = (0, 0)
    example: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the videos of a dataset have to agree on."""
        names = (None if columns is None else frozenset(columns) for columns in (self.actions, self.poses))
        return (*names, self.kind == "U")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The actions and poses of a dataset; as for `ClipWriter`."""

    action_type: ActionType = "continuous"
    action_names: tuple[str, ...] = ()
    pose_names: tuple[str, ...] = ()


def outline(data: SideData) -> Outline:
    """What a video's actions and poses are."""
    actions = data.actions
    kind = actions.values.dtype.kind if actions else ""
    words: frozenset[str] = frozenset()
    span, example = (0, 0), ""
    if actions and kind == "U":
        words = frozenset(actions.values.tolist())
        example = str(_odd_word(actions))
    elif actions and kind == "i":
        span = int(actions.values.min()), int(actions.values.max())
    return Outline(
        actions=actions.names if actions else None,
        poses=data.poses.names if data.poses else None,
        kind=kind,
        words=words,
        span=span,
        example=example,
    )


def agree(outlines: Mapping[str, Outline], action_names: Sequence[str] | None = None) -> tuple[Columns, dict[str, str]]:
    """The columns that most videos with tables have, and why the others do not fit: video -> reason.

    Args:
        outlines: of all videos, in order; of columns that equally many have, the first are taken.
        action_names: names of the actions 0, 1, ... or all words that occur; None for numbers, or for the words that do.

    Raises:
        DatasetError: actions are negative or huge whole numbers, or ``action_names`` do not fit.
    """
    some = {video: one for video, one in outlines.items() if one.actions is not None or one.poses is not None}
    if not some:
        _refuse_names(action_names, "there are no actions")
        return Columns(), {}
    key, _ = Counter(one.key for one in some.values()).most_common(1)[0]
    first = next(video for video, one in some.items() if one.key == key)
    misfits = {
        video: f"{video}: {_difference(one, some[first])}, unlike {first} and most others"
        for video, one in outlines.items()
        if one.key != key
    }
    fitting = {video: one for video, one in some.items() if one.key == key}
    action_type, names = _action_names(fitting, action_names)
    return Columns(action_type=action_type, action_names=names, pose_names=some[first].poses or ()), misfits


def encode_actions(track: Track | None, columns: Columns, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Actions as a dataset has them, for these rows: int64 [row] or float32 [row, action].

    Raises:
        DatasetError: a word is none of the dataset's actions.
    """
    if track is None:
        return np.zeros((len(rows), 0), np.float32)
    values = track.values
    if columns.action_type == "continuous":
        return _ordered(track.names, columns.action_names, values.reshape(len(values), -1))[rows]
    if values.dtype.kind == "U":
        numbers = {name: number for number, name in enumerate(columns.action_names)}
        for row, word in enumerate(values.tolist()):
            if word not in numbers:
                what = f"holds {word!r}, which is none of the actions {', '.join(columns.action_names)}"
                raise track.table.error(row, track.columns[0], what)
        values = np.array([numbers[word] for word in values.tolist()])
    return values.astype(np.int64)[rows]


def encode_poses(track: Track | None, columns: Columns, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Poses as a dataset has them, for these rows: float32 [row, pose]."""
    if track is None:
        return np.zeros((len(rows), 0), np.float32)
    return _ordered(track.names, columns.pose_names, track.values)[rows]


def _ordered(names: tuple[str, ...], wanted: tuple[str, ...], values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values[:, [names.index(name) for name in wanted]], np.float32)


def _action_names(fitting: Mapping[str, Outline], given: Sequence[str] | None) -> tuple[ActionType, tuple[str, ...]]:
    """Words are categories, and whole numbers are, unless other videos have fractions in their place."""
    outlines = list(fitting.values())
    kinds = {one.kind for one in outlines}
    if kinds == {"U"}:
        return "categorical", tuple(given or sorted(frozenset[str]().union(*(one.words for one in outlines))))
    if kinds == {"i"}:
        for video, one in fitting.items():
            low, high = one.span
            if low < 0 or high >= (len(given) if given else MOST_ACTIONS):
                limit = f"action_names= has {len(given)}" if given else f"0 to {MOST_ACTIONS - 1} are expected"
                raise DatasetError(
                    f"{video}: its actions are the whole numbers {low} to {high}, but {limit}; write words, or write "
                    f"fractions (such as 1.0) if they are quantities"
                )
        return "categorical", tuple(given or map(str, range(max(one.span[1] for one in outlines) + 1)))
    _refuse_names(given, "the actions are vectors" if kinds != {""} else "there are no actions")
    return "continuous", outlines[0].actions or ()


def _refuse_names(given: Sequence[str] | None, why: str) -> None:
    if given:
        raise DatasetError(
            f"action_names= names the actions of one column of words or whole numbers, but {why}; leave it out"
        )


def _difference(one: Outline, other: Outline) -> str:
    for what, mine, others in (("actions", one.actions, other.actions), ("poses", one.poses, other.poses)):
        if mine is None and others is not None:
            return f"has no {what}"
        if mine is not None and others is None:
            return f"has {what} ({', '.join(mine)})"
        if mine is not None and others is not None and set(mine) != set(others):
            return f"has the {what} {', '.join(mine)} instead of {', '.join(others)}"
    return f"has words as actions ({one.example})" if one.kind == "U" else "has numbers as actions"


def _odd_word(track: Track) -> DatasetError:
    """Where the first word stands that is no number, or the first word."""
    words = track.values.tolist()
    row = next((row for row, word in enumerate(words) if not word.lstrip("+-").replace(".", "", 1).isdigit()), 0)
    return track.table.error(row, track.columns[0], f"holds {words[row]!r}")
