"""The LOOPCRAFT agent: it wanders and often turns all the way round, so that it comes back to what it saw.

For test videos, those of its sequences of actions are chosen whose path comes back. MilliVid (arXiv 2606.09056), appendix on
LOOPCRAFT.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

FORWARD, LEFT, RIGHT = 0, 1, 2
ACTION_NAMES = ("forward", "left", "right")

TURN_COUNTS = (1, 2, 3, 4)
TURN_PROBABILITIES = (0.1, 0.3, 0.1, 0.5)

DRAWN, KEPT = 100, 10
"""Sequences of which a test video's is one of the best."""

Plan = Callable[[np.random.Generator, int], NDArray[np.int64]]
"""Draws an agent's actions for so many frames."""


def draw_bundle(rng: np.random.Generator) -> list[int]:
    """One bundle of the agent's decisions: turns in one direction mixed with forwards, a forward first.

    1 to 4 turns (with probability .1, .3, .1, .5), n to 3n - 1 forwards for n turns, shuffled; one more forward is
    put in front.
    """
    num_turns = int(rng.choice(TURN_COUNTS, p=TURN_PROBABILITIES))
    num_forwards = int(rng.integers(num_turns, 3 * num_turns))  # upper end excluded
    direction = int(rng.choice((LEFT, RIGHT)))
    bundle = [FORWARD] * num_forwards + [direction] * num_turns
    rng.shuffle(bundle)
    return [FORWARD, *bundle]


def draw_actions(rng: np.random.Generator, num_frames: int, frames_per_action: int) -> NDArray[np.int64]:
    """The action of every frame: bundle after bundle, each decision held for ``frames_per_action`` frames.

    Returns int64 [num_frames] of `FORWARD` 0, `LEFT` 1, `RIGHT` 2; the last decision may be cut short. Raises ValueError
    where a count is not positive.
    """
    check_number(num_frames, "num_frames", 1, whole=True)
    check_number(frames_per_action, "frames_per_action", 1, whole=True)
    decisions: list[int] = []
    while len(decisions) * frames_per_action < num_frames:
        decisions += draw_bundle(rng)
    return hold(decisions, num_frames, frames_per_action)


def hold(decisions: list[int], num_frames: int, frames_per_action: int) -> NDArray[np.int64]:
    """The action of each of ``num_frames`` frames, int64, when each decision holds for ``frames_per_action`` of them."""
    return np.repeat(np.asarray(decisions, np.int64), frames_per_action)[:num_frames]


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
    check_number(context, "context", 1, num_frames - 1, whole=True, hint=f" for {num_frames} frames")
    plan = plan or partial(draw_actions, frames_per_action=frames_per_action)
    drawn = [plan(rng, num_frames) for _ in range(DRAWN)]
    paths = [flat_path(actions, frames_per_action)[:, :2] for actions in drawn]
    scores = [chamfer_distance(path[:context], path[context:]) for path in paths]
    best = np.argsort(scores, kind="stable")[:KEPT]
    return drawn[int(rng.choice(best))]
