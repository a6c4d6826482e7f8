"""A growing list of solids, and where they may stand."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .scene import PLAIN


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


@compiled
def choose_places(
    places: NDArray[np.float64],
    reach: float,
    spacing: float,
    path: NDArray[np.float64],
    clearance: float,
    water: NDArray[np.bool_],
    taken: NDArray[np.float64],
    num_taken: int,
    most: int,
) -> int:
    """Take places in order that are far enough from each other, from those taken, from the path and from water.

    ``taken`` [place, 3] (x, z, reach) is filled from row ``num_taken`` on; returns its new number of rows.
    """
    size = water.shape[0]
    begun = num_taken
    for index in range(places.shape[0]):
        if num_taken - begun >= most:
            break
        x, z = places[index, 0], places[index, 1]
        free = reach + 1 < x < size - reach - 1 and reach + 1 < z < size - reach - 1
        if free:
            for i in range(int(x - reach), int(x + reach) + 1):
                for j in range(int(z - reach), int(z + reach) + 1):
                    free = free and not water[i, j]
        other = 0
        while free and other < num_taken:
            apart = spacing if other >= begun else taken[other, 2] + reach + 0.5
            free = (taken[other, 0] - x) ** 2 + (taken[other, 1] - z) ** 2 >= apart**2
            other += 1
        point = 0
        limit = (clearance + reach) ** 2
        while free and point < path.shape[0]:
            free = (path[point, 0] - x) ** 2 + (path[point, 1] - z) ** 2 >= limit
            point += 1
        if free:
            taken[num_taken, 0], taken[num_taken, 1], taken[num_taken, 2] = x, z, reach
            num_taken += 1
    return num_taken
