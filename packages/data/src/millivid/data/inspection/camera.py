"""How the camera moves, from poses alone: steps and turns, coming back to places and views."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .findings import Travel

NEGLIGIBLE = 0.1  # share of the usual step, and of the usual turn, up to which a camera counts as at rest
ROUNDING = 0.01  # share of large changes up to which a change is no part of the usual ones
REACH = 4.0  # usual steps within which two frames are at one place
ANGLE = 15.0  # degrees within which two frames at one place show one view
GAP_SECONDS = 2.0  # a place seen less than this before is not one that the camera comes back to
QUERIES = 1000  # frames of a video, evenly chosen, of which it is asked whether they come back


class CameraPath(NamedTuple):
    """Where a camera is and looks in each frame, float32; degrees, 0 where they are not recorded."""

    place: NDArray[np.float32]  # [frame, axis]
    above: NDArray[np.float32]  # [frame, 2]: what a map shows, to the right and downward
    yaw: NDArray[np.float32]
    pitch: NDArray[np.float32]


class Steps(NamedTuple):
    """Changes from each frame to the next, float64 [frame - 1]; NaN from or to a pose that is not finite."""

    distance: NDArray[np.float64]
    above: NDArray[np.float64]  # distance seen from above
    yaw: NDArray[np.float64]
    look: NDArray[np.float64]  # of yaw and pitch together


def map_axes(names: Sequence[str]) -> tuple[str, str] | None:
    """The pose columns of a map: x and z (y is up then), or x and y; None where a pose has no such place."""
    axes = ("x", "z") if "z" in names else ("x", "y")
    return axes if set(axes) <= set(names) else None


def camera_path(poses: NDArray[np.float32], names: Sequence[str]) -> CameraPath | None:
    """The path by the names of the pose's columns; None where a pose has no place."""
    axes, columns = map_axes(names), dict(zip(names, poses.T, strict=True))
    if axes is None:
        return None
    place, above = (np.stack([columns[n] for n in chosen if n in columns], axis=1) for chosen in ("xyz", axes))
    yaw, pitch = (columns.get(name, np.zeros(len(poses), np.float32)) for name in ("yaw", "pitch"))
    return CameraPath(place, above, yaw, pitch)


def path_steps(path: CameraPath) -> Steps:
    """The changes along a path; yaw changes by less than half a turn."""
    finite = (np.where(np.isfinite(values), values, np.nan).astype(np.float64) for values in path)
    place, above, yaw, pitch = (np.diff(values, axis=0) for values in finite)
    yaw = (yaw + 180) % 360 - 180
    return Steps(np.linalg.norm(place, axis=1), np.linalg.norm(above, axis=1), yaw, np.hypot(yaw, pitch))


def at_rest(steps: Steps, travel: Travel) -> NDArray[np.bool_]:
    """Where the camera neither moves nor turns."""
    return (steps.distance <= NEGLIGIBLE * travel.step) & (steps.look <= NEGLIGIBLE * travel.turn)


def usual_travel(samples: Sequence[Steps], plane: tuple[str, str], fps: float) -> Travel:
    """The usual step and turn of some videos, and what coming back means then; shares of frames are left at 0."""
    step = _usual_change([sample.distance for sample in samples])
    turn = _usual_change([np.abs(sample.yaw) for sample in samples]) or _usual_change([one.look for one in samples])
    gap = max(2, round(GAP_SECONDS * fps))
    return Travel(plane=plane, step=step, turn=turn, radius=REACH * step, gap=gap, angle=ANGLE)


def _usual_change(changes: Sequence[NDArray[np.float64]]) -> float:
    """The median of the changes that are any; 0 where there are none."""
    every = np.concatenate([np.zeros(0), *changes])
    some = every[np.isfinite(every) & (every > 0)]
    # Poses of a camera at rest may still differ by rounding errors.
    return float(np.median(some[some >= ROUNDING * np.quantile(some, 0.95)])) if len(some) else 0.0


def find_returns(
    path: CameraPath, travel: Travel, queries: int = QUERIES
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Evenly chosen frames, and which of them come back to a place, and to a view."""
    asked = np.unique(np.linspace(0, len(path.place) - 1, min(queries, len(path.place))).round().astype(int))
    yaw, pitch = np.radians(path.yaw), np.radians(path.pitch)
    look = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)
    reach, cosine = np.float32(travel.radius * (1 + 1e-5)) ** 2, np.float32(np.cos(np.radians(travel.angle)) - 1e-6)
    places, views = np.zeros((2, len(asked)), bool)
    for row, frame in enumerate(asked):
        near = np.square(path.place[:frame] - path.place[frame]).sum(axis=1) <= reach
        places[row] = _comes_back(near, travel.gap)
        views[row] = _comes_back(near & (look[:frame] @ look[frame] >= cosine), travel.gap)
    return asked, places, views


def _comes_back(same: NDArray[np.bool_], gap: int) -> bool:
    """same: whether each earlier frame is like this one. One at least `gap` before is, and one after that is not."""
    early = np.flatnonzero(same[: max(len(same) - gap + 1, 0)])
    return len(early) > 0 and not same[early[0] :].all()
