"""Things to remember: landmarks of distinct shapes and colours, and trees, as lists of solids."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .scene import BOX, CONE, CYLINDER, HALVES, PLAIN, PYRAMID, SIDES, SPHERE, STRIPES

HUES = (
    (0.86, 0.16, 0.15),  # red
    (0.96, 0.52, 0.10),  # orange
    (0.98, 0.83, 0.16),  # yellow
    (0.16, 0.62, 0.30),  # green
    (0.10, 0.68, 0.68),  # teal
    (0.18, 0.34, 0.82),  # blue
    (0.50, 0.23, 0.68),  # purple
    (0.95, 0.47, 0.68),  # pink
    (0.96, 0.95, 0.92),  # white
    (0.17, 0.17, 0.20),  # black
)
LEAVES = ((0.18, 0.45, 0.20), (0.28, 0.52, 0.22), (0.13, 0.38, 0.26), (0.78, 0.42, 0.16), (0.90, 0.60, 0.72))
BARK = (0.40, 0.28, 0.18)

SHAPES = ("pillar", "tower", "block", "arch", "ball", "pyramid", "gate", "obelisk")


@dataclass
class Solids:
    """A growing list of solids; see `Scene` for the columns."""

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


def add_landmark(solids: Solids, rng: np.random.Generator, x: float, z: float, base: float) -> None:
    """Build one landmark of a random shape in two random hues at (x, z); its footprint's radius is at most 2 blocks."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    pick = rng.permutation(len(HUES))
    a, b = HUES[pick[0]], HUES[pick[1]]
    scale = rng.uniform(0.85, 1.15)
    turned = bool(rng.integers(2))
    bottom = base - 1.0  # reaches into the ground, which may be lower beside the centre
    at = (x, z)
    if shape == "pillar":
        height, half = 4.6 * scale, 0.75 * scale
        solids.add(BOX, at, (bottom, base + height), (half, half), a, b, HALVES, 1.0 + height / 2)
    elif shape == "tower":
        height, radius = 5.2 * scale, 1.0 * scale
        solids.add(CYLINDER, at, (bottom, base + height), (radius, radius), a, b, STRIPES, (1.0 + height) / 4.75)
        solids.add(CONE, at, (base + height, base + height + 1.8), (radius * 1.3, radius * 1.3), b)
    elif shape == "block":
        half = 1.35 * scale
        solids.add(BOX, at, (bottom, base + 2.2 * half), (half, half), a, b, SIDES)
    elif shape in ("arch", "gate"):
        across, depth = 1.55 * scale, 0.5
        height, lintel = (3.4 * scale, 0.9) if shape == "arch" else (5.0 * scale, 0.7)
        for side in (-1, 1):
            leg = (x + side * across, z) if not turned else (x, z + side * across)
            solids.add(BOX, leg, (bottom, base + height), (depth, depth), a)
        reach = across + (depth if shape == "arch" else depth + 0.45)
        span = (reach, depth) if not turned else (depth, reach)
        solids.add(BOX, at, (base + height, base + height + lintel), span, b)
    elif shape == "ball":
        radius, stand = 1.45 * scale, 0.9 + rng.uniform(0, 0.8)
        solids.add(CYLINDER, at, (bottom, base + stand), (radius * 0.45, radius * 0.45), b)
        solids.add(
            SPHERE, at, (base + stand - 0.2, base + stand - 0.2 + 2 * radius), (radius, radius), a, b, HALVES, radius
        )
    elif shape == "pyramid":
        half, height = 1.8 * scale, 3.6 * scale
        solids.add(PYRAMID, at, (base - 0.5, base + height), (half, half), a, b, HALVES, 0.5 + height * 0.45)
    else:  # obelisk
        half, height = 0.95 * scale, 6.2 * scale
        solids.add(BOX, at, (bottom, base + 1.1), (half, half), b)
        solids.add(PYRAMID, at, (base + 1.1, base + height), (half * 0.8, half * 0.8), a)


def add_tree(solids: Solids, rng: np.random.Generator, x: float, z: float, base: float) -> None:
    """Build one tree at (x, z): round, conical or blocky; nothing but the trunk is within reach of the agent."""
    leaves = LEAVES[int(rng.choice(5, p=(0.3, 0.3, 0.25, 0.08, 0.07)))]
    scale = rng.uniform(0.9, 1.2)
    form = int(rng.integers(3))
    trunk = 2.3 * scale
    solids.add(CYLINDER, (x, z), (base - 1.0, base + trunk + 0.4), (0.28, 0.28), BARK)
    if form == 0:
        solids.add(SPHERE, (x, z), (base + trunk, base + trunk + 2.7 * scale), (1.4 * scale, 1.4 * scale), leaves)
    elif form == 1:
        solids.add(CONE, (x, z), (base + trunk, base + trunk + 3.6 * scale), (1.4 * scale, 1.4 * scale), leaves)
    else:
        solids.add(BOX, (x, z), (base + trunk, base + trunk + 2.0 * scale), (1.2 * scale, 1.2 * scale), leaves)


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
