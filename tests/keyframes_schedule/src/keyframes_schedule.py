"""A schedule that lives outside MilliVid: the newest frames, and older ones in even steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from millivid.rollout import Chunk, Schedule, check_tokens_per_level, make_step


@dataclass(frozen=True, kw_only=True)
class Keyframes(Schedule):
    """At the finest level: `recent` newest frames and `keyframes` older ones, `stride` frames apart, write one frame."""

    name: ClassVar[str] = "keyframes"
    num_levels: ClassVar[int] = 1

    recent: int = 2
    keyframes: int = 3
    stride: int = 4

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        tokens = check_tokens_per_level(tokens_per_level, self.num_levels)
        old = self.keyframes * self.stride
        target = old + self.recent
        context = [(frame, frame + 1) for frame in range(0, old, self.stride)] + [(old, target)]
        step = make_step(target + 1, [context], [[(target, target + 1)]], group=0)
        return Chunk(steps=(step,), tokens_per_level=tokens, target_start=target)
