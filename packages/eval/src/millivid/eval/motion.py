"""What each action does to the camera, measured from recordings; dead reckoning with it; and ways back.

A pose is x, y (up), z, yaw, pitch. Yaw 0 looks along +z and grows to the right, so that right is -x there; angles are
in degrees. A motion is the change of a pose over one frame, as the camera before it sees it: right, up, ahead, yaw,
pitch. Pitch does not tilt the motion: ahead is level.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from .errors import EvaluationError

RIGHT, UP, AHEAD, YAW, PITCH = range(5)
NEGLIGIBLE = 1e-3
"""Share of a vocabulary's largest motion below which a motion counts as none."""

Motions = Float[np.ndarray, "action 5"]


def measure_motions(
    actions: Sequence[Int[np.ndarray, " frame"]], poses: Sequence[Float[np.ndarray, "frame 5"]], num_actions: int
) -> Motions:
    """The median motion of each action over recorded clips, whose pose i is the one after action i.

    A part whose median is not larger than its median absolute deviation is noise, such as the ups and downs of a walk
    over hills, and counts as 0. nan for actions that no clip has. Raises EvaluationError for clips of other shapes.
    """
    taken, motions = [np.empty(0, np.int64)], [np.empty((0, 5))]
    for clip_actions, clip_poses in zip(actions, poses, strict=True):
        if clip_poses.shape != (len(clip_actions), 5):
            raise EvaluationError(
                f"{len(clip_actions)} actions came with poses {clip_poses.shape}; each needs one of x, y, z, yaw, pitch"
            )
        before, after = clip_poses[:-1].astype(np.float64), clip_poses[1:].astype(np.float64)
        change = after - before
        right, ahead = _turned(-change[:, 0], change[:, 2], -before[:, 3])
        yaw = (change[:, 3] + 180) % 360 - 180
        taken.append(clip_actions[1:])
        motions.append(np.stack([right, change[:, 1], ahead, yaw, change[:, 4]], axis=1))
    every_action, every_motion = np.concatenate(taken), np.concatenate(motions)
    measured = np.full((num_actions, 5), np.nan)
    for action in range(num_actions):
        if len(found := every_motion[every_action == action]):
            median = np.median(found, axis=0)
            spread = np.median(np.abs(found - median), axis=0)
            measured[action] = np.where(np.abs(median) > spread, median, 0.0)
    return measured


def walk(
    pose: Float[np.ndarray, " 5"], actions: Int[np.ndarray, " frame"], motions: Motions
) -> Float[np.ndarray, "frame 5"]:
    """The pose after each action, by dead reckoning from `pose`; yaw in [0, 360).

    Raises EvaluationError for an action whose motion is not known.
    """
    steps = _motions_of(actions, motions)
    start = np.asarray(pose, np.float64)
    yaw = start[3] + np.cumsum(steps[:, YAW])
    right, ahead = _turned(steps[:, RIGHT], steps[:, AHEAD], yaw - steps[:, YAW])
    change = np.stack([-right, steps[:, UP], ahead], axis=1)
    return np.column_stack([start[:3] + np.cumsum(change, axis=0), yaw % 360, start[4] + np.cumsum(steps[:, PITCH])])


def returning(
    actions: Int[np.ndarray, " frame"], motions: Motions, tolerance: float = 0.1
) -> Int[np.ndarray, " frame"]:
    """Actions that undo the given ones: taken after them, they lead back to the same pose.

    In reverse order, each action is undone by the one whose motion is its opposite, or misses it by a share of at most
    `tolerance`. Where there is none (a vocabulary without "back"), the camera turns around, walks on, and turns around
    again in the end. Raises EvaluationError where a vocabulary cannot do that.
    """
    _motions_of(actions, motions)
    back: list[int] = []
    turned = False
    for action in np.asarray(actions)[::-1].tolist():
        undo = _undoing(action, motions, turned, tolerance)
        if undo is None and (undo := _undoing(action, motions, not turned, tolerance)) is not None:
            back += _turn_around(action, motions)
            turned = not turned
        if undo is None:
            raise EvaluationError(
                f"action {action} moves the camera by {_told(motions[action])}, and no action undoes it, not even "
                "after turning around; loops need actions with an opposite"
            )
        back.append(undo)
    if turned:
        back += _turn_around(int(actions[0]), motions)
    return np.asarray(back, np.int64)


def _turned(right: np.ndarray, ahead: np.ndarray, yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(right, ahead) of a camera at `yaw` degrees as those of a camera at 0."""
    sin, cos = np.sin(np.deg2rad(yaw)), np.cos(np.deg2rad(yaw))
    return right * cos + ahead * sin, ahead * cos - right * sin


def _motions_of(actions: np.ndarray, motions: Motions) -> np.ndarray:
    unknown = sorted(set(np.asarray(actions).tolist()) - set(np.flatnonzero(np.isfinite(motions).all(axis=1)).tolist()))
    if unknown:
        raise EvaluationError(
            f"the motion of action {unknown[0]} is not known; measure it from clips in which that action is taken"
        )
    return motions[np.asarray(actions, np.int64)]


def _sizes(motions: np.ndarray) -> np.ndarray:
    """Length and angle [..., 2] of motions, [..., 5]."""
    return np.stack([np.linalg.norm(motions[..., :3], axis=-1), np.linalg.norm(motions[..., 3:], axis=-1)], axis=-1)


def _undoing(action: int, motions: Motions, turned: bool, tolerance: float) -> int | None:
    """The action whose motion is nearest to the opposite of an action's, for a camera that may be turned around."""
    wanted = -motions[action]
    # The way back is seen by the camera after the action, which may have turned too.
    wanted[RIGHT], wanted[AHEAD] = _turned(wanted[RIGHT], wanted[AHEAD], -motions[action, YAW])
    if turned:
        wanted[[RIGHT, AHEAD]] *= -1
    slack = tolerance * _sizes(wanted) + NEGLIGIBLE * np.nanmax(_sizes(motions), axis=0) + 1e-12
    misses = np.nan_to_num(_sizes(motions - wanted) / slack, nan=np.inf).max(axis=-1)
    return int(misses.argmin()) if misses.min() <= 1 else None


def _turn_around(action: int, motions: Motions) -> list[int]:
    """The fewest frames of one turning action that make 180 degrees."""
    longest = np.nanmax(_sizes(motions)[:, 0])
    ways: list[list[int]] = []
    for turn, motion in enumerate(motions):
        if abs(motion[YAW]) > 0 and _sizes(motion)[0] <= NEGLIGIBLE * longest and abs(motion[PITCH]) < NEGLIGIBLE:
            count = round(180 / abs(float(motion[YAW])))
            if math.isclose(count * abs(motion[YAW]), 180, abs_tol=0.1):
                ways.append([turn] * count)
    if not ways:
        raise EvaluationError(
            f"no action undoes action {action} directly, and none turns the camera around in a whole number of frames; "
            "loops need an action with the opposite motion, or one that turns by a whole fraction of 180 degrees"
        )
    return min(ways, key=len)


def _told(motion: np.ndarray) -> str:
    parts = zip(("right", "up", "ahead", "yaw", "pitch"), motion, strict=True)
    return ", ".join(f"{name} {value:.3g}" for name, value in parts)
