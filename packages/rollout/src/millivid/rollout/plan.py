"""Covering a video with chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .checks import ScheduleError, check_integer
from .chunk import Chunk
from .schedule import Schedule
from .steps import Grids, Role, Step, StepTokens


@dataclass(frozen=True)
class PlannedStep:
    """A step at its place in a video.

    chunk_start: video frame of the chunk's frame 0.
    step: the step; its frames are relative to the chunk.
    index: position in the plan, from 0.
    step_index: position in the chunk, from 0.
    """

    chunk_start: int
    step: Step
    index: int
    step_index: int

    def tokens(self, grids: Grids) -> StepTokens:
        """The step as token columns, in frames of the video; `grids` as for Step.tokens."""
        return self.step.tokens(grids, start=self.chunk_start)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every step, in order, that writes frames [start, video_end) of a video.

    chunk: the chunk that is repeated.
    chunk_starts: video frame of each chunk's frame 0.
    start: the first frame that is written.
    video_end: one past the last frame that is kept; may lie past the end that was asked for.
    buffer_end: one past the last frame that is written, clipped ones included; a buffer needs that much room.

    Iterating yields PlannedStep; the length is the number of steps.
    """

    chunk: Chunk
    chunk_starts: tuple[int, ...]
    start: int
    video_end: int
    buffer_end: int

    def not_needed(self, end: int) -> set[int]:
        """Indexes of the steps on which no frame before `end` depends, at its finest level."""
        needed = np.zeros((self.chunk.num_levels, self.buffer_end - self.chunk_starts[0]), dtype=bool)
        needed[0, : max(0, end - self.chunk_starts[0])] = True
        skipped = set()
        for planned in reversed(list(self)):
            first = planned.chunk_start - self.chunk_starts[0]
            here = needed[:, first : first + planned.step.num_frames]
            if (here & (planned.step.roles == Role.TARGET)).any():
                here |= planned.step.roles == Role.CONTEXT
            else:
                skipped.add(planned.index)
        return skipped

    def __len__(self) -> int:
        return len(self.chunk_starts) * len(self.chunk.steps)

    def __iter__(self) -> Iterator[PlannedStep]:
        for chunk_index, chunk_start in enumerate(self.chunk_starts):
            for step_index, step in enumerate(self.chunk.steps):
                yield PlannedStep(chunk_start, step, chunk_index * len(self.chunk.steps) + step_index, step_index)


def plan(
    schedule: Schedule,
    tokens_per_level: Sequence[int],
    start: int,
    end: int | None = None,
    limit: int | None = None,
) -> Plan:
    """Cover a video with chunks, from frame `start` on.

    Give one of the two: `end` writes at least frames [start, end), the last chunk may go past it; `limit` writes as many
    whole chunks as fit below it, clipped frames included. `start` frames must exist already.

    Raises ScheduleError when the schedule needs more context than `start` frames (it says how many), when nothing would
    be written, and when not exactly one of `end` and `limit` is given.
    """
    chunk = schedule.chunk(tokens_per_level)
    start = check_integer(start, "start", 0)
    if start < chunk.num_context_frames:
        raise ScheduleError(
            f"start {start} leaves {start} frames of context, but the schedule needs {chunk.num_context_frames}; "
            f"start at frame {chunk.num_context_frames} or later, or take a schedule with a shorter horizon"
        )
    kept, clipped = chunk.num_kept_frames, chunk.num_clipped_frames
    if (end is None) == (limit is None):
        raise ScheduleError(f"end is {end} and limit is {limit}; expected exactly one of the two")
    if end is not None:
        num_chunks = -(-(check_integer(end, "end", start + 1) - start) // kept)
    else:
        smallest = start + kept + clipped
        num_chunks = (check_integer(limit, "limit", smallest) - clipped - start) // kept
    video_end = start + num_chunks * kept
    return Plan(
        chunk=chunk,
        chunk_starts=tuple(range(start - chunk.target_start, video_end - chunk.target_start, kept)),
        start=start,
        video_end=video_end,
        buffer_end=video_end + clipped,
    )
