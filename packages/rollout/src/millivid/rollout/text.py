"""A step as text: levels as rows, frames as columns."""

import numpy as np
from numpy.typing import NDArray

from .checks import ScheduleError, check_integer
from .chunk import Chunk
from .steps import Role


def draw_text(chunk: Chunk, step_index: int) -> str:
    """Draw one step, a line per level (finest first), a character per frame of the chunk.

    `C` context, `T` target; of the cells that the step does not see, `w` is already written (or given) and `.` pending.
    Raises ScheduleError for a step that the chunk does not have.
    """
    step_index = check_step_index(chunk, step_index)
    roles = chunk.steps[step_index].roles
    letters = np.array([".", "C", "T"])[roles]
    letters[(roles == Role.UNSEEN) & chunk.available(step_index)] = "w"
    return "\n".join("".join(row) for row in letters)


def describe_step(chunk: Chunk, step_index: int, start: int = 0) -> str:
    """Say in one line what a step writes: "step 6 of 21: level 1 (64 tokens/frame) writes frames 25-28".

    Steps count from 0; `start` is added to frames. Raises ScheduleError for a step that the chunk does not have.
    """
    step_index = check_step_index(chunk, step_index)
    step = chunk.steps[step_index]
    spans = {
        level: " and ".join(_name_span(first + start, last + start) for first, last in target_spans(step.roles[level]))
        for level in step.target_levels
    }
    head = f"step {step_index} of {len(chunk.steps)}:"
    if len(spans) == 1:
        ((level, span),) = spans.items()
        return f"{head} level {level} ({chunk.tokens_per_level[level]} tokens/frame) writes {span}"
    if len(set(spans.values())) == 1:
        return f"{head} levels {', '.join(map(str, spans))} write {spans[step.target_levels[0]]}"
    return f"{head} writes " + ", ".join(f"{span} (level {level})" for level, span in spans.items())


def check_step_index(chunk: Chunk, step_index: int) -> int:
    """Return `step_index` if the chunk has such a step. Raises ScheduleError."""
    step_index = check_integer(step_index, "step index", 0)
    if step_index >= len(chunk.steps):
        raise ScheduleError(f"step index is {step_index}; expected 0 to {len(chunk.steps) - 1}")
    return step_index


def target_spans(row: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """First and last frame of every run of targets in a row of roles."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], row == Role.TARGET, [0]))))
    return [(int(first), int(past) - 1) for first, past in edges.reshape(-1, 2)]


def _name_span(first: int, last: int) -> str:
    return f"frame {first}" if first == last else f"frames {first}-{last}"
