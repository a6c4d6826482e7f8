"""Two schedules that finish one level before the next: roll out the coarsest, then upscale level by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .checks import ScheduleError, check_integer, check_tokens_per_level
from .chunk import Chunk
from .schedule import Schedule
from .steps import Step, make_step


@dataclass(frozen=True, kw_only=True)
class RolloutUpscale(Schedule):
    """Every level slides by half its width, reading its own past and the coarser level's frames over the targets.

    base: width in frames at the finest level; the width at level l is base * 4^l, at the coarsest 9/8 of that.
    num_levels: levels used.

    Where the coarsest width is odd its target half is the longer one and the overlap is written twice. Raises
    ScheduleError for a width that cannot be halved; `chunk` does unless tokens per frame fall by 4 from level to level.
    """

    name: ClassVar[str] = "rollout_upscale"

    base: int
    num_levels: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", check_integer(self.base, "base", 2))
        object.__setattr__(self, "num_levels", check_integer(self.num_levels, "num_levels", 1))
        if self.num_levels > 1 and self.base % 2:
            raise ScheduleError(
                f"base {self.base} cannot be halved into context and targets; {self.base - 1} and {self.base + 1} can"
            )

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, self.num_levels)
        _check_factor_four(tokens)
        coarsest = self.num_levels - 1
        width = self.base * 4**coarsest * 9 // 8
        num_frames = width // 2 + width
        steps = _rollout(num_frames, width, coarsest)
        for level in reversed(range(coarsest)):
            half = self.base * 4**level // 2
            for start in range(width // 2, num_frames, half):
                end = start + half
                context = {level: (start - half, start), level + 1: (start, end)}
                steps.append(_upscaling_step(num_frames, self.num_levels, level, (start, end), context))
        return Chunk(steps=tuple(steps), tokens_per_level=tokens, target_start=width // 2, rewrites=width % 2 == 1)


@dataclass(frozen=True, kw_only=True)
class Upscale(Schedule):
    """The coarsest level slides by half its width; finer levels are written in whole windows from the coarser alone.

    base: window in frames at the finest level; the window at level l is base * 4^l, at the coarsest 5/4 of that.
    num_levels: levels used.

    Where the coarsest width is odd its target half is the longer one and the overlap is written twice. Raises
    ScheduleError for a width that cannot be halved; `chunk` does unless tokens per frame fall by 4 from level to level.
    """

    name: ClassVar[str] = "upscale"

    base: int
    num_levels: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", check_integer(self.base, "base", 1))
        object.__setattr__(self, "num_levels", check_integer(self.num_levels, "num_levels", 1))
        if self.num_levels == 1 and self.base == 1:
            raise ScheduleError("base 1 at a single level has no room for context and targets; base 2 or 2 levels have")

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, self.num_levels)
        _check_factor_four(tokens)
        coarsest = self.num_levels - 1
        width = self.base * 4**coarsest * 5 // 4
        num_frames = width // 2 + width
        steps = _rollout(num_frames, width, coarsest)
        for level in reversed(range(coarsest)):
            window = self.base * 4**level
            for start in range(width // 2, num_frames, window):
                span = (start, start + window)
                steps.append(_upscaling_step(num_frames, self.num_levels, level, span, {level + 1: span}))
        return Chunk(steps=tuple(steps), tokens_per_level=tokens, target_start=width // 2, rewrites=width % 2 == 1)


def _rollout(num_frames: int, width: int, level: int) -> list[Step]:
    """The coarsest level: two windows of `width` frames, half a width apart, each half context and half targets."""
    half = width // 2
    return [
        _upscaling_step(num_frames, level + 1, level, (start + half, start + width), {level: (start, start + half)})
        for start in (0, half)
    ]


def _upscaling_step(
    num_frames: int, num_levels: int, level: int, target: tuple[int, int], context: dict[int, tuple[int, int]]
) -> Step:
    spans = [[context[at]] if at in context else [] for at in range(num_levels)]
    return make_step(num_frames, spans, [[target] if at == level else [] for at in range(num_levels)], group=level)


def _check_factor_four(tokens: Sequence[int]) -> None:
    for level in range(1, len(tokens)):
        if tokens[level] * 4 != tokens[level - 1]:
            raise ScheduleError(
                f"tokens per frame fall from {tokens[level - 1]} at level {level - 1} to {tokens[level]} at level {level}; "
                f"expected a factor of 4, as from {tokens[level] * 4} to {tokens[level]}: the widths rely on it"
            )
