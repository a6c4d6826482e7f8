"""The LOOPCRAFT agent: it wanders and often turns all the way round, so that it comes back to what it saw.

MilliVid (arXiv 2606.09056), appendix on LOOPCRAFT.
"""

import numpy as np
from numpy.typing import NDArray

FORWARD, LEFT, RIGHT = 0, 1, 2
ACTION_NAMES = ("forward", "left", "right")

TURN_COUNTS = (1, 2, 3, 4)
TURN_PROBABILITIES = (0.1, 0.3, 0.1, 0.5)


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
    counts = (num_frames, frames_per_action)
    if not all(isinstance(count, (int, np.integer)) and not isinstance(count, bool) and count > 0 for count in counts):
        raise ValueError(
            f"num_frames and frames_per_action must be at least 1; got {num_frames} and {frames_per_action}"
        )
    decisions: list[int] = []
    while len(decisions) * frames_per_action < num_frames:
        decisions += draw_bundle(rng)
    return hold(decisions, num_frames, frames_per_action)


def hold(decisions: list[int], num_frames: int, frames_per_action: int) -> NDArray[np.int64]:
    """The action of each of ``num_frames`` frames, int64, when each decision holds for ``frames_per_action`` of them."""
    return np.repeat(np.asarray(decisions, np.int64), frames_per_action)[:num_frames]


def check_action(action: object) -> None:
    """Raise ValueError unless it is one of the agent's actions."""
    if isinstance(action, (bool, float)) or np.ndim(action) or action not in (FORWARD, LEFT, RIGHT):  # type: ignore[arg-type]
        names = ", ".join(f"{index} {name}" for index, name in enumerate(ACTION_NAMES))
        raise ValueError(f"action must be one of {names}; got {action!r}")
