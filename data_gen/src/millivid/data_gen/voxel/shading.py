"""Colours, 0 to 1, of what a ray meets: flat and low in frequency, so that small models can read them."""

import math

import numpy as np
from numpy.typing import NDArray

from .intersect import Solid, axis, normal
from .jit import compiled
from .scene import ABOVE, HALVES, PLAIN, STRIPES

Colour = tuple[float, float, float]

FIRST, SECOND = 0, 1
"""Which colour of its solid a point shows."""

SUN = (0.49, 0.755, -0.4355)
"""Towards the sun, which stands in the same place in all worlds."""

AROUND, SUNLIGHT = 0.62, 0.42
"""Brightness of the light from all around and of that from the sun."""


@compiled
def skyline_crest(dx: float, dz: float, skyline: NDArray[np.float32]) -> float:
    """Tangent of the far mountains' elevation in the horizontal direction (dx, dz)."""
    directions = skyline.shape[0]
    turn = (math.atan2(dz, dx) / (2 * math.pi) + 1.0) * directions
    index = int(turn)
    part = turn - index
    return float(skyline[index % directions] * (1 - part) + skyline[(index + 1) % directions] * part)


@compiled
def sky_colour(rise: float, mountains: bool, crest: float, sky: NDArray[np.float64]) -> Colour:
    """The sky, or far mountains as high as ``crest``, under the slope ``rise``."""
    if mountains:
        high, mix = 2, 0.4 + 0.6 * max(rise, 0.0) / (crest + 0.02)  # mist at the foot
    else:
        high, mix = 0, min(max(rise, 0.0), 1.0)
        mix = mix * (1.6 - 0.6 * mix)
    return (
        sky[1, 0] + (sky[high, 0] - sky[1, 0]) * mix,
        sky[1, 1] + (sky[high, 1] - sky[1, 1]) * mix,
        sky[1, 2] + (sky[high, 2] - sky[1, 2]) * mix,
    )


@compiled
def ground_colour(
    i: int, j: int, face: int, part: float, colour: NDArray[np.float32], sky: NDArray[np.float64]
) -> Colour:
    """A face of column (i, j); ``part`` of the view distance away."""
    r, g, b = colour[i, j, 0], colour[i, j, 1], colour[i, j, 2]
    shade, sun = 0.06, SUN[1]
    if face != ABOVE:
        nx, _, nz = axis(face)
        r, g, b = 0.88 * r, 0.86 * g, 0.86 * b
        shade, sun = 0.0, max(nx * SUN[0] + nz * SUN[2], 0.0)
    return _lit(r, g, b, shade, sun, part, sky)


@compiled
def solid_colour(
    solid: Solid, shown: int, face: int, hit: tuple[float, float, float], part: float, sky: NDArray[np.float64]
) -> Colour:
    """A face of a solid at the point ``hit``, which shows this of its paint; ``part`` of the view distance away."""
    nx, ny, nz = normal(solid, face, *hit)
    sun = max(nx * SUN[0] + ny * SUN[1] + nz * SUN[2], 0.0)
    # Sides away from the sun still differ a little from each other.
    shade = 0.06 * ny + 0.04 * nx - 0.04 * nz
    colour = solid.colours[shown]
    return _lit(colour[0], colour[1], colour[2], shade, sun, part, sky)


@compiled
def paint_at(solid: Solid, face: int, y: float) -> int:
    """`FIRST` or `SECOND`: what a solid's paint is at the height ``y`` of one of its faces."""
    if solid.paint == PLAIN:
        return FIRST
    high = y - solid.bottom
    if solid.paint == HALVES:
        return SECOND if high > solid.period else FIRST
    if solid.paint == STRIPES:
        return int(high / solid.period) % 2
    return SECOND if face >= ABOVE else FIRST  # SIDES


@compiled
def _lit(r: float, g: float, b: float, shade: float, sun: float, part: float, sky: NDArray[np.float64]) -> Colour:
    fog = part * part
    clear = 1 - fog
    bright = (1 + shade * (1 / 0.62)) * AROUND + sun * SUNLIGHT
    return (
        r * bright * clear + sky[1, 0] * fog,
        g * bright * clear + sky[1, 1] * fog,
        b * bright * clear + sky[1, 2] * fog,
    )
