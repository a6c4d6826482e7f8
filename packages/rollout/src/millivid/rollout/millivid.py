"""The MilliVid schedule: a long, coarse future first, then ever finer pieces of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .checks import (
    ScheduleError,
    check_flag,
    check_integer,
    check_integers,
    check_size,
    check_tokens_per_level,
    multiples_around,
)
from .chunk import Chunk
from .schedule import Schedule
from .steps import Span, Step, make_step


@dataclass(frozen=True, kw_only=True)
class MilliVid(Schedule):
    """Coarse to fine, depth first, with a fixed token budget (arXiv 2606.09056).

    windows: frames per level that a step sees, finest level first; each a multiple of the one before.
    history: further tokens that a step spends on older frames of the level it writes.
    pads: allow a history that is not a whole number of frames at every level; steps then differ in length.

    Every step sees `sum(windows[l] * tokens_per_level[l]) + history` tokens (at most, if `pads`). Raises ScheduleError
    for windows that are not positive integers or do not divide, and, in `chunk`, for a history that does not divide.
    """

    name: ClassVar[str] = "millivid"

    windows: tuple[int, ...]
    history: int = 0
    pads: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", check_integers(self.windows, "windows", "window"))
        object.__setattr__(self, "history", check_integer(self.history, "history", 0))
        check_flag(self.pads, "pads")
        for level in range(1, self.num_levels):
            window, finer = self.windows[level], self.windows[level - 1]
            if window % finer:
                raise ScheduleError(
                    f"window {window} at level {level} is not a multiple of window {finer} at level {level - 1}; "
                    f"{multiples_around(window, finer)}"
                )

    @property
    def num_levels(self) -> int:
        return len(self.windows)

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, self.num_levels)
        short = next((level for level, count in enumerate(tokens) if self.history % count), None)
        if short is not None and not self.pads:
            raise ScheduleError(
                f"history {self.history} is not a whole number of frames at level {short} ({tokens[short]} tokens per "
                f"frame); {multiples_around(self.history, math.lcm(*tokens), minimum=0)}, and pads=True takes any"
            )
        history = [self.history // count for count in tokens]  # further frames of each level, where it is the target
        num_frames = sum(self.windows) + history[-1]
        check_size(sum(self.windows[-1] // window for window in self.windows), self.num_levels, num_frames)
        target_start = num_frames - self.windows[-1]
        # The newest window of every level; one that is not begun yet lies just before the targets.
        newest = [(target_start - window, target_start) for window in self.windows]
        steps = []
        for level, target in _depth_first(self.windows, self.num_levels - 1, target_start):
            newest[level] = target
            steps.append(_step(num_frames, newest, history, level))
        return Chunk(
            steps=tuple(steps), tokens_per_level=tokens, target_start=target_start, pads=self.pads and short is not None
        )


def _depth_first(windows: Sequence[int], level: int, start: int) -> Iterator[tuple[int, Span]]:
    """Yield (level, target span): a window, then its pieces one level finer, each refined before the next is begun."""
    yield level, (start, start + windows[level])
    if level:
        for piece in range(start, start + windows[level], windows[level - 1]):
            yield from _depth_first(windows, level - 1, piece)


def _step(num_frames: int, newest: Sequence[Span], history: Sequence[int], target_level: int) -> Step:
    """Lay out context around the targets, finest level first, so that the levels cover one span without overlap.

    `left` and `right` bound the span that finer levels already cover.
    """
    left = right = newest[0][0]
    context: list[list[Span]] = []
    for level, (start, end) in enumerate(newest):
        if level == target_level:
            before, past = history[level], 0
        else:
            # Frames of the newest window to the right of the covered span stay where they are. All others go to its
            # left: those that lie there already, and those that overlap with it, moved further into the past.
            past = max(0, end - right)
            before = end - start - past
        context.append([(left - before, left), (right, right + past)])
        left, right = left - before, right + past
    targets = [[span] if level == target_level else [] for level, span in enumerate(newest)]
    return make_step(num_frames, context, targets, group=target_level)
