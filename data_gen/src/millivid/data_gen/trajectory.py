"""Flat-plane paths of action sequences, and the choice of test sequences that come back to where they were."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

from .agent import FORWARD, LEFT, RIGHT, draw_actions

DRAWN, KEPT = 100, 10
"""Sequences of which a test video's is one of the best."""

Plan = Callable[[np.random.Generator, int], NDArray[np.int64]]
"""Draws an agent's actions for so many frames."""


def flat_path(actions: NDArray[np.int64], frames_per_action: int) -> NDArray[np.float64]:
    """Where an agent is after every frame if nothing is in its way.

    actions: [frame]; a forward frame moves by 1 unit, a turning frame turns by 90 / ``frames_per_action`` degrees. Returns
    float64 [frame, 3]: x, z, heading in degrees in [0, 360). The start is (0, 0, 0); heading 0 goes to +z, 90 to -x.
    """
    check_number(frames_per_action, "frames_per_action", 1, whole=True)
    turns = np.cumsum((actions == RIGHT).astype(np.int64) - (actions == LEFT)) % (4 * frames_per_action)
    heading = turns * (90.0 / frames_per_action)
    forward = actions == FORWARD
    x = np.cumsum(np.where(forward, -_sin_degrees(heading), 0.0))
    z = np.cumsum(np.where(forward, _sin_degrees(heading + 90.0), 0.0))
    return np.stack([x, z, heading], axis=1)


def _sin_degrees(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sine that is exact at right angles, so that a walk round a block ends where it began."""
    return np.where(angle % 180.0 == 0.0, 0.0, np.sin(np.deg2rad(angle)))


def chamfer_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Mean distance from each point of ``first`` to the nearest of ``second`` plus the same the other way round.

    first, second: [point, axis], at least one point each.
    """
    if first.ndim != 2 or first.shape[1:] != second.shape[1:] or not (len(first) and len(second)):
        raise ValueError(
            f"points are {first.shape} and {second.shape}; expected (point, axis) with at least one point each"
        )
    squared = ((first[:, None, :] - second[None, :, :]) ** 2).sum(-1)
    return float(np.sqrt(squared.min(axis=1)).mean() + np.sqrt(squared.min(axis=0)).mean())


def distance_covered(positions: NDArray[np.floating[Any]]) -> float:
    """Length of the way over the ground: the sum of the steps between positions, [frame, axis]."""
    return float(np.linalg.norm(np.diff(positions.astype(np.float64), axis=0), axis=1).sum())


def draw_test_actions(
    rng: np.random.Generator,
    num_frames: int,
    frames_per_action: int,
    context: int,
    plan: Plan | None = None,
) -> NDArray[np.int64]:
    """Actions whose second part stays near the first, int64 [num_frames]: one of the 10 best of 100 drawn sequences.

    A sequence's score is the Chamfer distance between its flat path in frames [:context] and [context:]; low is good. plan:
    draws a sequence of so many frames; None for the LOOPCRAFT agent. Raises ValueError where ``context`` leaves one of the
    two parts empty.
    """
    check_number(num_frames, "num_frames", 2, whole=True)
    if isinstance(context, (bool, float)) or context not in range(1, num_frames):
        raise ValueError(f"context must lie in 1..{num_frames - 1} for {num_frames} frames; got {context}")
    plan = plan or partial(draw_actions, frames_per_action=frames_per_action)
    drawn = [plan(rng, num_frames) for _ in range(DRAWN)]
    paths = [flat_path(actions, frames_per_action)[:, :2] for actions in drawn]
    scores = [chamfer_distance(path[:context], path[context:]) for path in paths]
    best = np.argsort(scores, kind="stable")[:KEPT]
    return drawn[int(rng.choice(best))]
