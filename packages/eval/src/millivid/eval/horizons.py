"""Horizons: named stretches of the generated frames, counted from 1."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from millivid.files.values import check_number

from .errors import EvaluationError


@dataclass(frozen=True)
class Horizon:
    """Generated frames `first` to `last`, both included; frame 1 is the first generated one."""

    name: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if not self.name:
            raise EvaluationError("a horizon needs a name")
        hint = ": frames count from 1, and the last may not come before the first"
        for frame, value, least in (("first", self.first, 1), ("last", self.last, self.first)):
            name = f"the {frame} frame of horizon {self.name!r}"
            check_number(value, name, least, whole=True, hint=hint, error=EvaluationError)

    @property
    def span(self) -> slice:
        """The same frames as a slice of an array over generated frames (which counts from 0)."""
        return slice(self.first - 1, self.last)

    @property
    def label(self) -> str:
        """`short 1-64`, with an en dash."""
        return f"{self.name} {self.first}\N{EN DASH}{self.last}"


# Paper, section 5: 768 generated frames after 256 of context.
PAPER_HORIZONS = (Horizon("short", 1, 64), Horizon("medium", 65, 256), Horizon("long", 257, 768))
NAMES = {1: ("all",), 2: ("short", "long"), 3: ("short", "medium", "long")}


def horizons_from(edges: Sequence[int] = (16, 64, 128)) -> tuple[Horizon, ...]:
    """Horizons that end at `edges`: (16, 64, 128) gives short 1-16, medium 17-64, long 65-128.

    Three edges are named short, medium, long; two short, long; one all; more are named by their frames. Raises
    EvaluationError unless edges rise from at least 1.
    """
    edges = tuple(edges)
    for edge in edges:
        check_number(edge, f"of the horizon edges {edges}, one", 0, whole=True, error=EvaluationError)
    if not edges or edges[0] < 1 or any(b <= a for a, b in itertools.pairwise(edges)):
        raise EvaluationError(f"horizon edges {edges} must rise, from 1 or more: (16, 64, 128) for instance")
    firsts = [1, *(edge + 1 for edge in edges[:-1])]
    names = NAMES.get(len(edges), tuple(f"{a}-{b}" for a, b in zip(firsts, edges, strict=True)))
    return tuple(Horizon(*each) for each in zip(names, firsts, edges, strict=True))


def clip_horizons(horizons: Sequence[Horizon], count: int) -> tuple[Horizon, ...]:
    """The part of each horizon that `count` generated frames reach; those beyond are dropped.

    Raises EvaluationError when none is left or two have one name.
    """
    names = [horizon.name for horizon in horizons]
    if len(set(names)) < len(names):
        raise EvaluationError(f"horizons {names} must have different names")
    clipped = tuple(Horizon(h.name, h.first, min(h.last, count)) for h in horizons if h.first <= count)
    if not clipped:
        first = min((h.first for h in horizons), default=1)
        raise EvaluationError(
            f"{count} frames to evaluate, but the horizons begin at frame {first}; pass other horizons"
        )
    return clipped
