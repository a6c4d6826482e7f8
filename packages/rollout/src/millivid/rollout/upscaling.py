"""Two schedules that finish one level before the next: roll out the coarsest, then upscale level by level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .checks import ScheduleError, check_flag, check_integer, check_size, check_tokens_per_level
from .chunk import Chunk
from .schedule import Schedule
from .steps import Span, Step, make_step


@dataclass(frozen=True, kw_only=True)
class _LevelByLevel(Schedule):
    """The coarsest level slides by half its width twice; every finer one is written in pieces, from the coarser one."""

    base: int
    num_levels: int
    pads: bool = False

    _coarsest_width_in_eighths: ClassVar[int]
    _reads_own_past: ClassVar[bool]

    def __post_init__(self) -> None:
        least = 2 if self._reads_own_past else 1
        object.__setattr__(self, "base", check_integer(self.base, "base", least))
        object.__setattr__(self, "num_levels", check_integer(self.num_levels, "num_levels", 1))
        check_flag(self.pads, "pads")
        if self.num_levels > 32:  # the width is a power of it
            raise ScheduleError(f"num_levels is {self.num_levels}; expected 32 at most")

    @property
    def _coarsest_width(self) -> int:
        return self.base * 4 ** (self.num_levels - 1) * self._coarsest_width_in_eighths // 8

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, self.num_levels)
        if not self.pads:
            _check_factor_four(tokens)
        coarsest, width = self.num_levels - 1, self._coarsest_width
        half, num_frames = width // 2, width // 2 + width
        check_size(2 + sum(num_frames // max(1, self.base * 4**level // 2) for level in range(coarsest)), 1, num_frames)
        steps = [
            self._step(num_frames, coarsest, (start + half, start + width), {coarsest: (start, start + half)})
            for start in (0, half)
        ]
        for level in reversed(range(coarsest)):
            window = self.base * 4**level
            piece = window // 2 if self._reads_own_past else window
            for start in range(half, num_frames, piece):
                target = (start, start + piece)
                past = {level: (start - piece, start)} if self._reads_own_past else {}
                steps.append(self._step(num_frames, level, target, past | {level + 1: target}))
        uneven = len({step.num_tokens(tokens) for step in steps}) > 1
        return Chunk(
            steps=tuple(steps), tokens_per_level=tokens, target_start=half, pads=uneven, rewrites=width % 2 == 1
        )

    def _step(self, num_frames: int, level: int, target: Span, context: Mapping[int, Span]) -> Step:
        levels = range(self.num_levels)
        read = [[context[at]] if at in context else [] for at in levels]
        return make_step(num_frames, read, [[target] if at == level else [] for at in levels], group=level)


@dataclass(frozen=True, kw_only=True)
class RolloutUpscale(_LevelByLevel):
    """Every level slides by half its width, reading its own past and the coarser level's frames over the targets.

    base: width in frames at the finest level; the width at level l is base * 4^l, at the coarsest 9/8 of that.
    num_levels: levels used.
    pads: allow a base that cannot be halved, the larger half of which is left out, and tokens per frame that do not fall by 4
        from level to level; steps then differ in length.

    Where the coarsest width is odd its target half is the longer one and the overlap is written twice. Raises
    ScheduleError for a width that cannot be halved; `chunk` does for tokens per frame that do not fall by 4, without `pads`.
    """

    name: ClassVar[str] = "rollout_upscale"
    _coarsest_width_in_eighths = 9
    _reads_own_past = True

    def __post_init__(self) -> None:
        super().__post_init__()
        tiles = self._coarsest_width % (self.base // 2) == 0
        if self.num_levels > 1 and self.base % 2 and not (self.pads and tiles):
            hint = ", and pads=True leaves a frame out" if tiles else ""
            raise ScheduleError(
                f"base {self.base} cannot be halved into context and targets; {self.base - 1} and {self.base + 1} can{hint}"
            )


@dataclass(frozen=True, kw_only=True)
class Upscale(_LevelByLevel):
    """The coarsest level slides by half its width; finer levels are written in whole windows from the coarser alone.

    base: window in frames at the finest level; the window at level l is base * 4^l, at the coarsest 5/4 of that.
    num_levels: levels used.
    pads: allow tokens per frame that do not fall by 4 from level to level; steps then differ in length.

    Where the coarsest width is odd its target half is the longer one and the overlap is written twice. Raises
    ScheduleError for a width that cannot be halved; `chunk` does for tokens per frame that do not fall by 4, without `pads`.
    """

    name: ClassVar[str] = "upscale"
    _coarsest_width_in_eighths = 10
    _reads_own_past = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_levels == 1 and self.base == 1:
            raise ScheduleError("base 1 at a single level has no room for context and targets; base 2 or 2 levels have")


def _check_factor_four(tokens: Sequence[int]) -> None:
    for level in range(1, len(tokens)):
        if tokens[level] * 4 != tokens[level - 1]:
            raise ScheduleError(
                f"tokens per frame fall from {tokens[level - 1]} at level {level - 1} to {tokens[level]} at level {level}; "
                f"expected a factor of 4, as from {tokens[level] * 4} to {tokens[level]}: "
                "the widths rely on it, and pads=True takes any"
            )
