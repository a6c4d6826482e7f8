"""The tables of videos: what is done, how the camera moves, where it comes back to, is stuck or jumps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..clips import ClipDataset, ClipIndex
from ..errors import DatasetError

NEGLIGIBLE = 0.1  # share of the usual step, and of the usual turn, up to which a camera counts as at rest
ROUNDING = 0.01  # share of large changes up to which a change is no part of the usual ones
REACH = 4.0  # usual steps within which two frames are at one place
ANGLE = 15.0  # degrees within which two frames at one place show one view
GAP_SECONDS = 2.0  # a place seen less than this before is not one that the camera comes back to
QUERIES = 1000  # frames of a video, evenly chosen, of which it is asked whether they come back
MOVES = 0.25  # share of an action's frames that must move or turn the camera, so that it counts as one that does
ACTING = 0.5  # continuous actions act where a component is at least this many times its root mean square
JUMP = 10.0  # usual steps in one frame above which the camera has jumped
STUCK_SECONDS = 1.0  # walking into something and turning away sooner is no defect


@dataclass(frozen=True, kw_only=True)
class Travel:
    """How the cameras of evenly chosen videos usually move; every video is measured against it.

    A frame comes back to a *place* if an earlier frame, at least ``gap`` frames before, lies within ``radius`` of it, and
    the camera was farther away in between. It comes back to a *view* if the same is true of frames that also look in its
    direction, to ``angle`` degrees.
    """

    plane: tuple[str, str]  # the two pose columns that a map shows, to the right and downward
    step: float  # median distance per frame, over frames in which the camera moves; 0 if it never does
    turn: float  # median change of yaw per frame, over frames in which it changes, in degrees; 0 if it never does
    radius: float
    gap: int
    angle: float = ANGLE
    active: tuple[int, ...] = ()  # actions that move or turn the camera; of continuous ones 1 for any, 0 for none
    scale: tuple[float, ...] = ()  # root mean square of each component of continuous actions


class Table(NamedTuple):
    """What is done in each frame of a video, and the pose of its camera by the names of its columns."""

    actions: NDArray[Any]
    path: pd.DataFrame  # NaN for what is not finite


def read_table(dataset: ClipDataset, video: str) -> Table:
    """A video's table. Raises DatasetError if it is damaged, or holds actions that no model could be given."""
    dataset.check(video, "tables")
    actions, poses, index = dataset.actions(video), dataset.poses(video), dataset.index
    names, wrong = index.action_names, ""
    if index.action_type == "continuous":
        wrong = "" if np.isfinite(actions).all() else "hold NaN or infinity"
    elif actions.min() < 0 or actions.max() >= len(names):
        wrong = f"lie in {actions.min()}..{actions.max()}, but there are {len(names)} action names"
    if wrong:
        raise DatasetError(f"the actions of {video} {wrong}; make it again.")
    return Table(actions, pd.DataFrame(poses, columns=list(index.pose_names)).where(np.isfinite(poses)))


def usual_travel(tables: Sequence[Table], index: ClipIndex) -> Travel | None:
    """How the cameras of some videos move; None where poses have no place, or none could be read."""
    plane, scale = map_axes(index.pose_names), ()
    if plane is None or not tables:
        return None
    if index.action_type == "continuous":
        every = np.concatenate([table.actions for table in tables])
        scale = tuple(np.sqrt(np.square(every, dtype=np.float64).mean(axis=0)).tolist())
    steps = pd.concat([path_steps(table.path) for table in tables], ignore_index=True)
    step, turn = _usual_change(steps.distance), _usual_change(steps.yaw.abs()) or _usual_change(steps.look)
    gap = max(2, round(GAP_SECONDS * index.fps))
    travel = Travel(plane=plane, step=step, turn=turn, radius=REACH * step, gap=gap, scale=scale)
    kinds = np.concatenate([_action_kinds(table.actions, travel) for table in tables])
    moves = (steps.notna().all(axis=1) & ~at_rest(steps, travel)).groupby(kinds).mean()
    return replace(travel, active=tuple(moves.index[moves >= MOVES].tolist()))


def _usual_change(changes: pd.Series) -> float:
    some = changes[changes > 0]
    # Poses of a camera at rest may still differ by rounding errors.
    return float(some[some >= ROUNDING * some.quantile(0.95)].median()) if len(some) else 0.0


def _action_kinds(actions: NDArray[Any], travel: Travel) -> NDArray[np.int64]:
    """What is done in each frame but the first: an action leads to the pose of its frame."""
    if actions.ndim == 1:
        return actions[1:]
    acting = (np.abs(actions[1:].astype(np.float64)) >= ACTING * np.array(travel.scale)) & (np.array(travel.scale) > 0)
    return np.any(acting, axis=1).astype(np.int64)


def measure_table(table: Table, travel: Travel | None, index: ClipIndex) -> dict[str, float]:
    """A video's distance, turns, jumps and stuck frames."""
    row = {"nan_poses": table.path.isna().any(axis=1).sum()} if index.pose_names else {}
    if travel is None:
        return row
    steps, frames = path_steps(table.path), len(table.actions)
    row |= {
        "distance": steps.above.sum(),
        "moving": (steps.distance > NEGLIGIBLE * travel.step).sum() / frames,
        "jumps": (steps.above > JUMP * travel.step).sum() if travel.step > 0 else 0,
    }
    if "yaw" in index.pose_names:
        turns = steps.yaw.abs()
        row |= {"turned": turns.sum(), "turning": (turns > NEGLIGIBLE * travel.turn).sum() / frames}
    if index.action_names:
        stuck = at_rest(steps, travel) & np.isin(_action_kinds(table.actions, travel), travel.active)
        stretches = stuck.groupby((~stuck).cumsum()).sum()
        long = stretches[stretches >= max(2, min(round(STUCK_SECONDS * index.fps), frames - 1))]
        row |= {"stuck": long.sum() / frames, "longest_stuck": max(long, default=0)}
    return row


def measure_actions(tables: Sequence[NDArray[Any]], index: ClipIndex) -> pd.DataFrame:
    """Each name of actions, or component of continuous ones, over all videos."""
    names = pd.Index(index.action_names, name="name")
    if index.action_type == "continuous":
        every = pd.DataFrame(np.concatenate([np.zeros((0, len(names))), *tables]), columns=names)
        found = pd.DataFrame({"mean": every.mean(), "std": every.std(ddof=0)})
        return found.join(every.quantile([0, 0.25, 0.5, 0.75, 1]).set_axis(["low", "25%", "50%", "75%", "high"]).T)
    every = pd.Series(np.concatenate([np.zeros(0, np.int64), *tables]))
    begins = pd.Series(np.concatenate([np.zeros(0, bool), *(np.diff(actions, prepend=-1) != 0 for actions in tables)]))
    taken = begins.groupby(every).agg(["size", "sum"]).reindex(range(len(names)), fill_value=0).set_axis(names)
    found = pd.DataFrame({"frames": taken["size"], "share": taken["size"] / max(len(every), 1)})
    return found.assign(held=found.frames / taken["sum"].clip(lower=1))


def map_axes(names: Sequence[str]) -> tuple[str, str] | None:
    """The pose columns of a map: x and z (y is up then), or x and y; None where a pose has no such place."""
    axes = ("x", "z") if "z" in names else ("x", "y")
    return axes if set(axes) <= set(names) else None


def path_steps(path: pd.DataFrame) -> pd.DataFrame:
    """Changes to each frame from the one before; `above`: distance seen from above, `look`: of yaw and pitch together."""
    change = path.astype(float).diff().iloc[1:]
    distance, above = (
        np.linalg.norm(change[axes], axis=1) for axes in (_place(path), list(map_axes(path.columns) or ()))
    )
    yaw, pitch = (_angle(change, "yaw") + 180) % 360 - 180, _angle(change, "pitch")
    return pd.DataFrame({"distance": distance, "above": above, "yaw": yaw, "look": np.hypot(yaw, pitch)})


def _place(path: pd.DataFrame) -> list[str]:
    return [name for name in "xyz" if name in path]


def _angle(path: pd.DataFrame, name: str) -> pd.Series:
    return path.get(name, pd.Series(0, path.index, np.float32))


def at_rest(steps: pd.DataFrame, travel: Travel) -> pd.Series:
    """Where the camera neither moves nor turns."""
    return (steps.distance <= NEGLIGIBLE * travel.step) & (steps.look <= NEGLIGIBLE * travel.turn)


def find_returns(path: pd.DataFrame, travel: Travel, queries: int = QUERIES) -> pd.DataFrame:
    """Of evenly chosen frames, by frame: whether they come back to a `place`, and, with yaw, to a `view`."""
    asked = np.unique(np.linspace(0, len(path) - 1, min(queries, len(path))).round().astype(int))
    place, yaw, pitch = path[_place(path)].to_numpy(), *(np.radians(_angle(path, name)) for name in ("yaw", "pitch"))
    look = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)
    reach, cosine = np.float32(travel.radius * (1 + 1e-5)) ** 2, np.float32(np.cos(np.radians(travel.angle)) - 1e-6)
    found = []
    for frame in asked:
        near = np.square(place[:frame] - place[frame]).sum(axis=1) <= reach
        view = near & (look[:frame] @ look[frame] >= cosine)
        found.append({"place": _comes_back(near, travel.gap), "view": _comes_back(view, travel.gap)})
    return pd.DataFrame(found, index=asked).drop(columns=[] if "yaw" in path else "view")


def _comes_back(same: NDArray[np.bool_], gap: int) -> bool:
    """same: whether each earlier frame is like this one. One at least `gap` before is, and one after that is not."""
    early = np.flatnonzero(same[: max(len(same) - gap + 1, 0)])
    return len(early) > 0 and not same[early[0] :].all()
