"""How well a video closes its loops: what a view shows when the camera is back, against what it showed before."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from millivid.files.values import check_number

from .errors import EvaluationError
from .frames import to_unit_range
from .pixels import mean_squared_error

STILL = 1e-12
"""A mean distance up to here is that of equal frames: one grey level of one pixel of a 512x512 frame makes more."""
AWAY_FRAMES = 16
SAME_DISTANCE, SAME_ANGLE = 1e-3, 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopClosure:
    """Pairs of frames (first, second) that show one view; of each the distance, and the closure.

    Closure is the distance over the mean one to frames on the way: 0 came back exactly, 1 is as far as anything seen on the
    way, nan where nothing changed on the way. Distances are mean squared errors.
    """

    pairs: Int[np.ndarray, "pair 2"]
    distances: Float[np.ndarray, " pair"]
    closures: Float[np.ndarray, " pair"]

    @property
    def value(self) -> float:
        """The mean closure; nan where the camera did not come back, or nothing changed on the way."""
        defined = self.closures[~np.isnan(self.closures)]
        return float(defined.mean()) if len(defined) else math.nan


def loop_closure(
    frames: UInt8[np.ndarray, "frame height width 3"],
    poses: Float[np.ndarray, "frame 5"],
    context: int = 1,
    *,
    away_distance: float = 1.5,
    away_angle: float = 45.0,
) -> LoopClosure:
    """Compare every frame of a video that comes back, from the last context frame on, with the view's earlier frame.

    No true frame is needed. poses, away_distance, away_angle: see `find_returns`. At most 16 frames of a way, evenly spread,
    say how far it led. Raises EvaluationError where these do not go together.
    """
    check_number(context, "context", 1, len(frames), whole=True, error=EvaluationError)
    for name, value in {"away_distance": away_distance, "away_angle": away_angle}.items():
        check_number(value, name, 0, error=EvaluationError)
    if frames.dtype != np.uint8 or frames.ndim != 4:
        raise EvaluationError(f"frames are {frames.dtype} {frames.shape}; expected uint8 (frame, height, width, 3)")
    if poses.shape != (len(frames), 5) or not np.isfinite(poses).all():
        raise EvaluationError(
            f"{len(frames)} frames came with poses {poses.shape}; each frame needs one of x, y, z, yaw, pitch, finite numbers"
        )
    pairs = find_returns(poses, context - 1, away_distance, away_angle)
    distances, closures = [], []
    for s, t in pairs:
        moved, turned = _apart(poses[s], poses[s + 1 : t])
        away = s + 1 + np.flatnonzero((moved >= away_distance) | (turned >= away_angle))
        some = away[np.unique(np.linspace(0, len(away) - 1, min(AWAY_FRAMES, len(away))).round().astype(int))]
        images = to_unit_range(frames[np.array([t, *some])])
        earlier = to_unit_range(frames[s][None]).expand_as(images)
        back, *led = mean_squared_error(images, earlier).double().tolist()
        distances.append(back)
        closures.append(back / np.mean(led) if np.mean(led) > STILL else math.nan)
    return LoopClosure(pairs=pairs, distances=np.array(distances, float), closures=np.array(closures, float))


def find_returns(
    poses: Float[np.ndarray, "frame 5"], first: int, away_distance: float = 1.5, away_angle: float = 45.0
) -> Int[np.ndarray, "pair 2"]:
    """Pairs (s, t), first <= s < t, of equal poses between which the camera was away; for each t the latest such s.

    poses: x, y, z, yaw, pitch. Equal: within a thousandth of the poses' unit and a tenth of a degree, of yaw and of pitch.
    Away: some frame in between is at least `away_distance` or `away_angle` degrees from s.
    """
    latest = np.full(len(poses), -1)
    for s in range(first, len(poses) - 2):
        moved, turned = _apart(poses[s], poses[s + 1 :])
        been_away = np.logical_or.accumulate((moved >= away_distance) | (turned >= away_angle))
        same = (moved <= SAME_DISTANCE) & (turned <= SAME_ANGLE)
        latest[s + 2 :][same[1:] & been_away[:-1]] = s
    seconds = np.flatnonzero(latest >= 0)
    return np.stack([latest[seconds], seconds], axis=1)


def _apart(pose: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the others are from a pose, and by how many degrees of yaw or pitch."""
    pose, others = np.asarray(pose, np.float64), np.asarray(others, np.float64)
    yaw = (others[:, 3] - pose[3] + 180) % 360 - 180
    return np.linalg.norm(others[:, :3] - pose[:3], axis=1), np.maximum(np.abs(yaw), np.abs(others[:, 4] - pose[4]))
