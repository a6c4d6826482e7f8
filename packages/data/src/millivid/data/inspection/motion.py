"""How the camera moves, from poses alone: steps, turns, places and views that it comes back to, being stuck."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .findings import Travel

NEGLIGIBLE = 0.1
"""Share of the usual step, and of the usual turn, up to which a camera counts as not moving, or not turning."""
ROUNDING = 0.01
"""Share of large changes up to which a change is no part of the usual ones."""
MOVES = 0.25
"""Share of an action's frames that must move or turn the camera, so that the action counts as one that does."""
ACTING = 0.5
"""Continuous actions count as doing something where a component is at least this many times its root mean square."""
JUMP = 10.0
"""Usual steps in one frame above which the camera has jumped."""
STUCK_SECONDS = 1.0
"""Shorter stretches of not moving do not count: walking into something and turning away is no defect."""
REACH = 4.0
"""Usual steps within which two frames are at one place."""
ANGLE = 15.0
"""Degrees within which two frames at one place show one view."""
GAP_SECONDS = 2.0
"""A place that was seen less than this before is not one that the camera comes back to."""
QUERIES = 1000
"""Frames of a video, evenly chosen, for which it is found out whether they come back; of shorter videos all."""
CHUNK = 1 << 20
"""Pairs of poses that are compared at once."""

Poses = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PoseColumns:
    """Which columns of a pose say what; plane: the two that a map shows, to the right and downward."""

    plane: tuple[int, int]
    plane_names: tuple[str, str]
    place: tuple[int, ...]
    yaw: int | None
    pitch: int | None


def pose_columns(names: Sequence[str]) -> PoseColumns | None:
    """The columns by their names: x and z (y is up then), or x and y; None where a pose has no such place."""
    at = {name: index for index, name in enumerate(names)}
    plane = ("x", "z") if "z" in at else ("x", "y")
    if not at.keys() >= set(plane):
        return None
    place = tuple(at[name] for name in ("x", "y", "z") if name in at)
    return PoseColumns(
        plane=(at[plane[0]], at[plane[1]]), plane_names=plane, place=place, yaw=at.get("yaw"), pitch=at.get("pitch")
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """Changes from each frame to the next, float64 [frame - 1]: way in space, way seen from above, yaw, and look (degrees)."""

    way: NDArray[np.float64]
    above: NDArray[np.float64]
    yaw: NDArray[np.float64]
    look: NDArray[np.float64]


def steps(poses: Poses, columns: PoseColumns) -> Steps:
    """Changes of the pose; those from or to a pose that is not finite are NaN."""
    wide = poses.astype(np.float64)
    wide[~np.isfinite(wide)] = np.nan
    change = np.diff(wide, axis=0)
    none = np.zeros(len(change))
    yaw = none if columns.yaw is None else (change[:, columns.yaw] + 180) % 360 - 180
    pitch = none if columns.pitch is None else change[:, columns.pitch]
    return Steps(
        way=np.linalg.norm(change[:, columns.place], axis=1),
        above=np.linalg.norm(change[:, columns.plane], axis=1),
        yaw=yaw,
        look=np.hypot(yaw, pitch),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Usual:
    """What cameras of a dataset usually do: their step, their turn (0: none), and which kinds of actions cause either."""

    step: float
    turn: float
    active: NDArray[np.bool_]

    def unmoved(self, found: Steps) -> NDArray[np.bool_]:
        """Frames in which the camera neither moves nor turns; bool [frame - 1]."""
        return (found.way <= NEGLIGIBLE * self.step) & (found.look <= NEGLIGIBLE * self.turn)


def action_kinds(actions: NDArray[np.generic], scale: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """What is done in each frame: the action; of continuous ones 1 for something, 0 for nothing much.

    scale: root mean square of each component; None for categorical actions.
    """
    if scale is None:
        return actions.astype(np.int64)
    return np.any((np.abs(actions.astype(np.float64)) >= ACTING * scale) & (scale > 0), axis=1).astype(np.int64)


def usual_motion(samples: Sequence[Steps], kinds: Sequence[NDArray[np.int64]], num_kinds: int) -> Usual:
    """The usual step and turn of some videos. kinds: what is done, int64 [frame]; it leads to the pose of its frame."""
    if not samples:
        return Usual(step=0.0, turn=0.0, active=np.zeros(num_kinds, bool))
    way, look, yaw = (np.concatenate([getattr(found, name) for found in samples]) for name in ("way", "look", "yaw"))
    every = Usual(step=_typical(way), turn=_typical(np.abs(yaw)) or _typical(look), active=np.zeros(0, bool))
    moved = np.isfinite(way) & np.isfinite(look) & ~every.unmoved(Steps(way=way, above=way, yaw=yaw, look=look))
    done = np.concatenate([kind[1:] for kind in kinds])
    taken = np.bincount(done, minlength=num_kinds)[:num_kinds]
    moving = np.bincount(done[moved], minlength=num_kinds)[:num_kinds]
    return Usual(step=every.step, turn=every.turn, active=(taken > 0) & (moving >= MOVES * taken))


def _typical(changes: NDArray[np.float64]) -> float:
    """The median of the changes that are any."""
    some = changes[np.isfinite(changes) & (changes > 0)]
    if not len(some):
        return 0.0
    # Poses of a camera at rest may still differ by rounding errors.
    return float(np.median(some[some >= ROUNDING * np.quantile(some, 0.95)]))


def stuck_stretches(unmoved: NDArray[np.bool_], acting: NDArray[np.bool_], least: int) -> NDArray[np.int64]:
    """Lengths of the stretches of at least `least` frames that act without moving."""
    stuck = np.concatenate([[False], unmoved & acting, [False]])
    edges = np.flatnonzero(stuck[1:] != stuck[:-1])
    lengths = edges[1::2] - edges[::2]
    return lengths[lengths >= least]


def describe_travel(columns: PoseColumns, usual: Usual, fps: float) -> Travel:
    """What comes back means in this dataset; its shares of frames are still to be measured."""
    return Travel(
        plane=columns.plane_names,
        step=usual.step,
        turn=usual.turn,
        radius=REACH * usual.step,
        gap=max(2, round(GAP_SECONDS * fps)),
        angle=ANGLE,
        moving=0.0,
        turning_up=None,
        turning_down=None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Returns:
    """Which frames come back; see `Travel`. frames: those that were asked about; places, views: bool, one for each of them."""

    frames: NDArray[np.int64]
    places: NDArray[np.bool_]
    views: NDArray[np.bool_] | None


def returns(poses: Poses, columns: PoseColumns, travel: Travel, queries: int = QUERIES) -> Returns:
    """The frames of a video that come back to a place, and to a view (None without yaw)."""
    asked = np.unique(np.linspace(0, len(poses) - 1, min(queries, len(poses))).round().astype(int))
    place = poses[:, columns.place]
    look = None if columns.yaw is None else _directions(poses, columns)
    places, views = [], []
    for rows in np.array_split(asked, min(len(asked), -(-len(asked) * len(poses) // CHUNK))):
        near = np.zeros((len(rows), len(poses)), np.float32)
        for axis in place.T:
            near += (axis[rows, None] - axis) ** 2
        same = near <= np.float32(travel.radius * (1 + 1e-5)) ** 2
        places.append(_come_back(same, rows, travel.gap))
        if look is not None:
            same &= look[rows] @ look.T >= np.float32(np.cos(np.radians(travel.angle)) - 1e-6)
            views.append(_come_back(same, rows, travel.gap))
    return Returns(
        frames=asked, places=np.concatenate(places), views=np.concatenate(views) if look is not None else None
    )


def _come_back(same: NDArray[np.bool_], rows: NDArray[np.int64], gap: int) -> NDArray[np.bool_]:
    """Of each row (a frame), whether a frame `gap` before it or earlier is the same and one between is not."""
    before = np.arange(same.shape[1]) < rows[:, None]
    away = before & ~same
    last_away = np.where(away.any(axis=1), same.shape[1] - 1 - away[:, ::-1].argmax(axis=1), -1)
    earliest = np.where((same & before).any(axis=1), same.argmax(axis=1), same.shape[1])
    return earliest < np.minimum(last_away, rows - gap + 1)


def _directions(poses: Poses, columns: PoseColumns) -> NDArray[np.float32]:
    assert columns.yaw is not None
    yaw = np.radians(poses[:, columns.yaw])
    pitch = np.zeros_like(yaw) if columns.pitch is None else np.radians(poses[:, columns.pitch])
    return np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)
