"""Things to remember: landmarks of distinct shapes and colours; and trees."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .scene import BOX, CONE, CYLINDER, HALVES, PLAIN, PYRAMID, SIDES, SOLID, SPHERE, STRIPES

Colour = tuple[float, float, float]

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


def make_solid(
    kind: int,
    centre: tuple[float, float],
    heights: tuple[float, float],
    half: tuple[float, float],
    first: Colour,
    second: Colour | None = None,
    paint: int = PLAIN,
    period: float = 1.0,
) -> NDArray[np.void]:
    """One `SOLID`."""
    return np.array((kind, paint, period, (first, second or first), *centre, *heights, *half), SOLID)


def make_landmark(rng: np.random.Generator, x: float, z: float, base: float) -> Iterator[NDArray[np.void]]:
    """One landmark of a random shape in two random hues at (x, z); its footprint's radius is at most 2 blocks."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    pick = rng.permutation(len(HUES))
    a, b = HUES[pick[0]], HUES[pick[1]]
    scale = rng.uniform(0.85, 1.15)
    turned = bool(rng.integers(2))
    bottom = base - 1.0  # reaches into the ground, which may be lower beside the centre
    at = (x, z)
    if shape == "pillar":
        height, half = 4.6 * scale, 0.75 * scale
        yield make_solid(BOX, at, (bottom, base + height), (half, half), a, b, HALVES, 1.0 + height / 2)
    elif shape == "tower":
        height, radius = 5.2 * scale, 1.0 * scale
        yield make_solid(CYLINDER, at, (bottom, base + height), (radius, radius), a, b, STRIPES, (1.0 + height) / 4.75)
        yield make_solid(CONE, at, (base + height, base + height + 1.8), (radius * 1.3, radius * 1.3), b)
    elif shape == "block":
        half = 1.35 * scale
        yield make_solid(BOX, at, (bottom, base + 2.2 * half), (half, half), a, b, SIDES)
    elif shape in ("arch", "gate"):
        across, depth = 1.55 * scale, 0.5
        height, lintel = (3.4 * scale, 0.9) if shape == "arch" else (5.0 * scale, 0.7)
        for side in (-1, 1):
            leg = (x + side * across, z) if not turned else (x, z + side * across)
            yield make_solid(BOX, leg, (bottom, base + height), (depth, depth), a)
        reach = across + (depth if shape == "arch" else depth + 0.45)
        span = (reach, depth) if not turned else (depth, reach)
        yield make_solid(BOX, at, (base + height, base + height + lintel), span, b)
    elif shape == "ball":
        radius, stand = 1.45 * scale, 0.9 + rng.uniform(0, 0.8)
        yield make_solid(CYLINDER, at, (bottom, base + stand), (radius * 0.45, radius * 0.45), b)
        yield make_solid(
            SPHERE, at, (base + stand - 0.2, base + stand - 0.2 + 2 * radius), (radius, radius), a, b, HALVES, radius
        )
    elif shape == "pyramid":
        half, height = 1.8 * scale, 3.6 * scale
        yield make_solid(PYRAMID, at, (base - 0.5, base + height), (half, half), a, b, HALVES, 0.5 + height * 0.45)
    else:  # obelisk
        half, height = 0.95 * scale, 6.2 * scale
        yield make_solid(BOX, at, (bottom, base + 1.1), (half, half), b)
        yield make_solid(PYRAMID, at, (base + 1.1, base + height), (half * 0.8, half * 0.8), a)


def make_tree(rng: np.random.Generator, x: float, z: float, base: float) -> Iterator[NDArray[np.void]]:
    """One tree at (x, z): round, conical or blocky. An agent who does not jump reaches its trunk alone."""
    leaves = LEAVES[int(rng.choice(5, p=(0.3, 0.3, 0.25, 0.08, 0.07)))]
    scale = rng.uniform(0.9, 1.2)
    kind, height, half = ((SPHERE, 2.7, 1.4), (CONE, 3.6, 1.4), (BOX, 2.0, 1.2))[int(rng.integers(3))]
    trunk = base + 2.3 * scale
    yield make_solid(CYLINDER, (x, z), (base - 1.0, trunk + 0.4), (0.28, 0.28), BARK)
    yield make_solid(kind, (x, z), (trunk, trunk + height * scale), (half * scale, half * scale), leaves)
