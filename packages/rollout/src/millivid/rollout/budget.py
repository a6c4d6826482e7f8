"""What a schedule costs, and which schedule fits a token budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from .checks import ScheduleError, check_integer, check_tokens_per_level
from .millivid import MilliVid
from .schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it takes to write a video with a schedule.

    tokens_per_step: sequence length of the model, padding included.
    steps_per_chunk, frames_per_chunk: rollout steps and kept frames of one chunk.
    steps_per_frame: rollout steps per kept frame.
    tokens_per_frame: tokens that the model processes per kept frame and denoising step.
    horizon: frames of memory before the targets, which must exist before the first chunk.
    """

    tokens_per_step: int
    steps_per_chunk: int
    frames_per_chunk: int
    steps_per_frame: float
    tokens_per_frame: float
    horizon: int


def cost(schedule: Schedule, tokens_per_level: Sequence[int]) -> Cost:
    """The cost of a schedule on a pyramid with these tokens per frame (finest first). Raises ScheduleError."""
    chunk = schedule.chunk(tokens_per_level)
    steps, frames = len(chunk.steps), chunk.num_kept_frames
    return Cost(
        tokens_per_step=chunk.num_tokens,
        steps_per_chunk=steps,
        frames_per_chunk=frames,
        steps_per_frame=steps / frames,
        tokens_per_frame=steps * chunk.num_tokens / frames,
        horizon=chunk.num_context_frames,
    )


def suggest(budget: int, tokens_per_level: Sequence[int]) -> MilliVid:
    """The MilliVid schedule in which every step has exactly `budget` tokens, split evenly as in the paper.

    Every level gets the same number of tokens, and the history budget gets as many again: with L levels a share is
    budget / (L + 1), and the window at level l is share / tokens_per_level[l] frames.

    Raises ScheduleError, naming the nearest budgets that work, when the share is not a whole number of finest frames,
    and when the tokens of a level do not divide those of the level below.
    """
    tokens = check_tokens_per_level(tokens_per_level)
    budget = check_integer(budget, "budget", 1)
    for level in range(1, len(tokens)):
        if tokens[level - 1] % tokens[level]:
            raise ScheduleError(
                f"{tokens[level]} tokens per frame at level {level} do not divide the {tokens[level - 1]} at level "
                f"{level - 1}; expected a pyramid such as (256, 64, 16, 4)"
            )
    unit = tokens[0] * (len(tokens) + 1)
    if budget % unit:
        below = budget // unit * unit
        nearest = f"{below} and {below + unit} work" if below else f"{unit} is the smallest that works"
        raise ScheduleError(
            f"budget {budget} cannot be shared evenly by {len(tokens)} levels and the history at {tokens} tokens per "
            f"frame; expected a multiple of {unit}: {nearest}"
        )
    share = budget // (len(tokens) + 1)
    return MilliVid(windows=tuple(share // count for count in tokens), history=share)
