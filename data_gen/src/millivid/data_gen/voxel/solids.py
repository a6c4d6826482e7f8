"""Solids, and where they may stand."""

import numpy as np
from numpy.typing import NDArray

from .scene import PLAIN, SOLID

Colour = tuple[float, float, float]

Place = tuple[float, float, float]
"""x, z and the radius that what stands there needs."""


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
    # x, z, and the square of how far away to stay.
    others, count = np.empty((3, len(taken) + most)), len(taken)
    others[:, :count] = np.array([(x, z, (radius + reach + 0.5) ** 2) for x, z, radius in taken]).reshape(-1, 3).T
    for x, z in drawn[inside]:
        if count == others.shape[1]:
            break
        near_path = (path[:, 0] - x) ** 2 + (path[:, 1] - z) ** 2 < (clearance + reach) ** 2
        if near_path.any():
            continue
        other_x, other_z, apart = others[:, :count]
        if not ((other_x - x) ** 2 + (other_z - z) ** 2 < apart).any():
            others[:, count] = x, z, spacing**2
            count += 1
    return [(float(x), float(z), reach) for x, z in others[:2, len(taken) : count].T]
