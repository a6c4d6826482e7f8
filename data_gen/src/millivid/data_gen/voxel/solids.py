"""A growing list of solids, and where they may stand."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .scene import PLAIN

Place = tuple[float, float, float]
"""x, z and the radius that what stands there needs."""


@dataclass
class Solids:
    """See `Scene` for the columns."""

    kinds: list[int] = field(default_factory=list)
    shapes: list[tuple[float, float, float, float, float, float]] = field(default_factory=list)
    paints: list[int] = field(default_factory=list)
    colours: list[tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=list)
    period: list[float] = field(default_factory=list)

    def add(
        self,
        kind: int,
        centre: tuple[float, float],
        heights: tuple[float, float],
        half: tuple[float, float],
        first: tuple[float, ...],
        second: tuple[float, ...] | None = None,
        paint: int = PLAIN,
        period: float = 1.0,
    ) -> None:
        """Append one solid."""
        self.kinds.append(kind)
        self.shapes.append((*centre, *heights, *half))
        self.paints.append(paint)
        self.colours.append((first, second or first))
        self.period.append(period)


def choose_places(
    rng: np.random.Generator,
    size: int,
    most: int,
    reach: float,
    spacing: float,
    path: NDArray[np.float64],
    clearance: float,
    taken: list[Place],
) -> list[Place]:
    """At most ``most`` places of this ``reach``, drawn at random in a world of this ``size``.

    They are ``spacing`` apart, and keep off the edge, off what is ``taken``, and by ``clearance`` off ``path`` [point, 2].
    """
    drawn = rng.uniform(0, size, (4 * most, 2))
    inside = ((drawn > reach + 1) & (drawn < size - reach - 1)).all(axis=1)
    others, count = np.empty((len(taken) + most, 3)), len(taken)  # x, z, and the square of how far away to stay
    for index, (x, z, radius) in enumerate(taken):
        others[index] = x, z, (radius + reach + 0.5) ** 2
    for place in drawn[inside]:
        if count == len(others):
            break
        near_path = ((path - place) ** 2).sum(axis=1) < (clearance + reach) ** 2
        near_others = ((others[:count, :2] - place) ** 2).sum(axis=1) < others[:count, 2]
        if not near_path.any() and not near_others.any():
            others[count] = *place, spacing**2
            count += 1
    return [(float(x), float(z), reach) for x, z, _ in others[len(taken) : count]]
