"""The schedules that MilliVid is compared with: full resolution, and FramePack's one-sided and mirrored pyramids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .checks import ScheduleError, check_integer, check_integers, check_size, check_tokens_per_level
from .chunk import Chunk
from .schedule import Schedule
from .steps import Span, make_step


@dataclass(frozen=True, kw_only=True)
class FullResolution(Schedule):
    """The finest level only: the first half of `num_frames` is context, the second half target.

    num_frames: 2 or more; with an odd number the target half is the longer one. Raises ScheduleError.
    """

    name: ClassVar[str] = "full_resolution"

    num_frames: int = 14

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_frames", check_integer(self.num_frames, "num_frames", 2))

    @property
    def num_levels(self) -> int:
        return 1

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, 1)
        check_size(1, 1, self.num_frames)
        half = self.num_frames // 2
        step = make_step(self.num_frames, [[(0, half)]], [[(half, self.num_frames)]], group=0)
        return Chunk(steps=(step,), tokens_per_level=tokens, target_start=half)


@dataclass(frozen=True, kw_only=True)
class FramePack(Schedule):
    """Context that gets coarser with age, and a few target frames written at all levels in one step.

    num_targets: frames written per step, 1 or more.
    context: frames of context per level, finest (newest) first; at least one level has some.

    After Zhang and Agrawala 2025 (arXiv 2504.12626). Raises ScheduleError.
    """

    name: ClassVar[str] = "framepack"

    num_targets: int
    context: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_targets", check_integer(self.num_targets, "num_targets", 1))
        object.__setattr__(self, "context", _check_context(self.context))

    @property
    def num_levels(self) -> int:
        return len(self.context)

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        return _pyramid(tokens_per_level, self.context, [self.num_targets] + [0] * (self.num_levels - 1))


@dataclass(frozen=True, kw_only=True)
class FramePackMirrored(Schedule):
    """FramePack's context, and targets that mirror it: further into the future, ever coarser.

    targets: frames written per level, finest (first) to coarsest (last). Those of level 0 are written at all levels and
        kept; the coarser ones behind them are clipped.
    context: frames of context per level, finest (newest) first; as many levels as `targets`, at least one with some.

    Raises ScheduleError.
    """

    name: ClassVar[str] = "framepack_mirrored"

    targets: tuple[int, ...]
    context: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", check_integers(self.targets, "targets", "targets"))
        object.__setattr__(self, "context", _check_context(self.context))
        if len(self.targets) != len(self.context):
            raise ScheduleError(
                f"targets {self.targets} has {len(self.targets)} levels and context {self.context} has "
                f"{len(self.context)}; expected the same number"
            )

    @property
    def num_levels(self) -> int:
        return len(self.context)

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        return _pyramid(tokens_per_level, self.context, self.targets)


def _check_context(context: object) -> tuple[int, ...]:
    frames = check_integers(context, "context", "context", minimum=0)
    if not any(frames):
        raise ScheduleError(f"context {frames} has no frames; give at least one level 1 or more")
    return frames


def _pyramid(tokens_per_level: Sequence[int], context: Sequence[int], targets: Sequence[int]) -> Chunk:
    """One step: context per level whose coarsest is oldest, the finest targets at all levels, and coarser ones behind them."""
    tokens = check_tokens_per_level(tokens_per_level, len(context))
    check_size(1, len(tokens), sum(context) + sum(targets))
    start = end = sum(context)
    kept = (start, start + targets[0])
    read: list[list[Span]] = []
    written: list[list[Span]] = []
    for level, count in enumerate(targets):
        read.append([(sum(context[level + 1 :]), sum(context[level:]))])
        written.append([kept, (end, end + count)])
        end += count
    step = make_step(end, read, written, group=0)
    return Chunk(steps=(step,), tokens_per_level=tokens, target_start=start, num_clipped_frames=end - kept[1])
