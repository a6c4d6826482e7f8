"""What the actions and poses of all videos of a dataset have in common, and one video's in that form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clip import ActionType
from ..errors import DatasetError
from .side_tracks import SideData, Track

MOST_ACTIONS = 4096
"""Whole numbers beyond it are no numbers of actions."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The actions and poses of a dataset; as for `ClipWriter`."""

    action_type: ActionType = "continuous"
    action_names: tuple[str, ...] = ()
    pose_names: tuple[str, ...] = ()


def agree(data: Mapping[str, SideData], action_names: Sequence[str] | None = None) -> tuple[Columns, dict[str, str]]:
    """The columns that most videos with tables have, and why the others do not fit: video -> reason.

    Args:
        data: of all videos, in order; of columns that equally many have, the first are taken.
        action_names: names of the actions 0, 1, ... or all words that occur; None for numbers, or for the words that do.

    Raises:
        DatasetError: actions are negative or huge whole numbers, or ``action_names`` do not fit.
    """
    keys = {video: _key(one) for video, one in data.items()}
    counts = Counter(key for video, key in keys.items() if data[video].actions or data[video].poses)
    if not counts:
        _refuse_names(action_names, "there are no actions")
        return Columns(), {}
    common, _ = counts.most_common(1)[0]
    fitting = [video for video, key in keys.items() if key == common]
    first = data[fitting[0]]
    misfits = {
        video: f"{video}: {_difference(one, first)}, unlike {fitting[0]} and most others"
        for video, one in data.items()
        if keys[video] != common
    }
    tracks = {video: track for video in fitting if (track := data[video].actions)}
    action_type, names = _action_names(tracks, action_names)
    return Columns(action_type=action_type, action_names=names, pose_names=_names(first.poses) or ()), misfits


def in_common_form(data: SideData, columns: Columns) -> SideData:
    """One video's actions as int64 [row] or float32 [row, action] and poses as float32 [row, pose], as the dataset has them."""
    actions, poses = data.actions, data.poses
    if actions and columns.action_type == "continuous":
        values = actions.values.reshape(len(actions.values), -1)
        actions = replace(actions, values=_ordered(actions.names, columns.action_names, values))
    elif actions and actions.values.dtype.kind == "U":
        numbers = {name: number for number, name in enumerate(columns.action_names)}
        actions = replace(actions, values=np.array([numbers[word] for word in actions.values.tolist()], np.int64))
    if poses:
        poses = replace(poses, values=_ordered(poses.names, columns.pose_names, poses.values))
    return replace(data, actions=actions, poses=poses)


def _ordered(names: tuple[str, ...], wanted: tuple[str, ...], values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values[:, [names.index(name) for name in wanted]], np.float32)


def _names(track: Track | None) -> tuple[str, ...] | None:
    return track.names if track else None


def _key(data: SideData) -> tuple[Any, ...]:
    """What the videos of a dataset have to agree on."""
    names = (frozenset(track.names) if track else None for track in (data.actions, data.poses))
    return (*names, bool(data.actions and data.actions.odd_word))


def _action_names(tracks: Mapping[str, Track], given: Sequence[str] | None) -> tuple[ActionType, tuple[str, ...]]:
    """Words are categories, and whole numbers are, unless other videos have fractions in their place."""
    kinds = {track.values.dtype.kind for track in tracks.values()}
    if kinds == {"U"}:
        return "categorical", tuple(
            given or sorted({word for track in tracks.values() for word in track.values.tolist()})
        )
    if kinds == {"i"}:
        most = 0
        for video, track in tracks.items():
            low, high = int(track.values.min()), int(track.values.max())
            if low < 0 or high >= (len(given) if given else MOST_ACTIONS):
                limit = f"action_names= has {len(given)}" if given else f"0 to {MOST_ACTIONS - 1} are expected"
                raise DatasetError(
                    f"{video}: its actions are the whole numbers {low} to {high}, but {limit}; write words, or write "
                    f"fractions (such as 1.0) if they are quantities"
                )
            most = max(most, high)
        return "categorical", tuple(given or map(str, range(most + 1)))
    _refuse_names(given, "the actions are vectors" if kinds else "there are no actions")
    return "continuous", next((track.names for track in tracks.values()), ())


def _refuse_names(given: Sequence[str] | None, why: str) -> None:
    if given:
        raise DatasetError(
            f"action_names= names the actions of one column of words or whole numbers, but {why}; leave it out"
        )


def _difference(one: SideData, common: SideData) -> str:
    for what, found, expected in (
        ("actions", _names(one.actions), _names(common.actions)),
        ("poses", _names(one.poses), _names(common.poses)),
    ):
        if found is None and expected is not None:
            return f"has no {what}"
        if found is not None and expected is None:
            return f"has {what} ({', '.join(found)})"
        if found is not None and expected is not None and set(found) != set(expected):
            return f"has the {what} {', '.join(found)} instead of {', '.join(expected)}"
    word = one.actions.odd_word if one.actions else ""
    return f"has words as actions ({word})" if word else "has numbers as actions"
