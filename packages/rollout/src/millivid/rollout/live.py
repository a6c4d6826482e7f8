"""Writing ahead while nobody knows how long an action lasts: a change gives up the future, and nothing that was shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .checks import ScheduleError, check_integer
from .chunk import Chunk
from .plan import PlannedStep
from .schedule import Schedule
from .steps import Role


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a chunk may end early: after `steps` of its steps, with its first `frames` frames final at every level."""

    steps: int
    frames: int


@cache
def cuts(chunk: Chunk) -> tuple[Cut, ...]:
    """Every number of frames that a chunk can end with, and the fewest steps for it; none of no frames, the last of all.

    A frame is final once no later step writes it, at whatever level.
    """
    last_write = np.zeros(chunk.num_frames, dtype=np.int64)
    for number, step in enumerate(chunk.steps, start=1):
        last_write[(step.roles == Role.TARGET).any(axis=0)] = number
    first = chunk.target_start
    steps = np.maximum.accumulate(last_write[first : first + chunk.num_kept_frames])
    ends = [*np.flatnonzero(np.diff(steps)) + 1, len(steps)]
    return tuple(Cut(steps=int(steps[end - 1]), frames=int(end)) for end in ends)


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """How far a video is written whose actions are not known in advance; a value, whose changes are new values.

    The next frames are written as a chunk, as if the action that is held now stayed. When it changes, `change` gives up what
    lies behind the frames that were shown, and the next chunk begins there: its first frames come after one step for each
    level.

    chunk: what is written at a time. first: the video frame that it begins to write. done: how many of its steps are run.

    Raises ScheduleError for a first frame before which there is too little context.
    """

    chunk: Chunk
    first: int
    done: int = 0

    def __post_init__(self) -> None:
        check_integer(self.first, "first", self.chunk.num_context_frames)
        check_integer(self.done, "done", 0)

    @property
    def finished(self) -> int:
        """The first video frame that is not final."""
        return self.first + max((cut.frames for cut in cuts(self.chunk) if cut.steps <= self.done), default=0)

    @property
    def next_step(self) -> PlannedStep:
        """The step to run next. Its index is that in the chunk."""
        return PlannedStep(self.first - self.chunk.target_start, self.chunk.steps[self.done], self.done, self.done)

    def ran(self) -> "LivePlan":
        """After the next step has been run; after a chunk's last one the next chunk begins."""
        last = cuts(self.chunk)[-1]
        if self.done + 1 == last.steps:
            return LivePlan(chunk=self.chunk, first=self.first + last.frames)
        return LivePlan(chunk=self.chunk, first=self.first, done=self.done + 1)

    def change(self, shown: int) -> "LivePlan":
        """After the action has changed, with video frames before `shown` seen: a chunk from there on.

        Frames from the new chunk's `first` on are to be written again, with the new action; what was planned of them, at any
        level, is void. Frames of earlier chunks stay, seen or not. Raises ScheduleError for frames that were not finished.
        """
        if shown > self.finished:
            raise ScheduleError(f"{shown} frames cannot have been shown; {self.finished} are finished")
        return LivePlan(chunk=self.chunk, first=max(self.first, shown))


@dataclass(frozen=True, kw_only=True)
class LiveCost:
    """What it takes to write a video whose action changes now and then.

    steps_per_frame: rollout steps per frame that is shown. steps_to_answer: from a change to the first frames with the new
    action, which are the next to be shown.
    """

    steps_per_frame: float
    steps_to_answer: int


def live_cost(schedule: Schedule, tokens_per_level: Sequence[int], change_every: int | None = None) -> LiveCost:
    """The cost of a schedule when the action changes after every so many shown frames, or never.

    No more is written than the window that is shown next. Raises ScheduleError for a chunk that cannot be, and for a number of
    frames below 1.
    """
    chunk = schedule.chunk(tokens_per_level)
    start = chunk.num_context_frames
    every = None if change_every is None else check_integer(change_every, "change_every", 1)
    live, steps, frames = LivePlan(chunk=chunk, first=start), 0, 20 * max(chunk.num_kept_frames, every or 1)
    for shown in range(frames):
        if every is not None and shown and shown % every == 0:
            live = live.change(start + shown)
        while live.finished <= start + shown:
            live, steps = live.ran(), steps + 1
    return LiveCost(steps_per_frame=steps / frames, steps_to_answer=cuts(chunk)[0].steps)
