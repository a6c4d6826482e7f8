"""Where a walk is, by its actions alone: x, y (up), z, yaw and pitch, as datasets have them."""

import math
from collections.abc import Sequence

from torch import Tensor

Pose = tuple[float, ...]


def given_poses(actions: Tensor, poses: Tensor | None, odometry: Sequence[tuple[float, float]] | None) -> list[Pose]:
    """Those of the context: as given, else by odometry from the origin, else none."""
    if poses is not None and odometry is not None:
        return [tuple(pose) for pose in poses.tolist()]
    found: list[Pose] = [(0.0,) * 5 if odometry is not None else ()]
    for action in actions:
        found.append(next_pose(found[-1], action, odometry))
    return found[1:]


def next_pose(pose: Pose, action: Tensor, odometry: Sequence[tuple[float, float]] | None) -> Pose:
    """The pose after an action of known distance and turn (in degrees, to the left): first the turn, then the way."""
    if odometry is None:
        return ()
    x, y, z, yaw, pitch = pose
    distance, turn = odometry[int(action)]
    yaw = (yaw - turn) % 360
    return (
        x - distance * math.sin(math.radians(yaw)),
        y,
        z + distance * math.cos(math.radians(yaw)),
        yaw,
        pitch,
    )
