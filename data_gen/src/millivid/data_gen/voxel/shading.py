"""Colours, 0 to 1, of what a ray meets: flat and low in frequency, so that small models can read them."""

import math

import numpy as np
from numpy.typing import NDArray

from .intersect import axis, normal
from .jit import compiled
from .scene import ABOVE, BELOW, FACADE, HALVES, PLAIN, SIDES, SOUTH, STRIPES

GROUND, NOTHING = -1, -2
"""What a ray meets when it is no solid."""

FIRST, SECOND, GLASS = 0, 1, 2
"""What of its solid's paint a point shows."""

STOREY, BAY = 2.4, 1.5
"""Height of a storey of a facade and least distance between its windows, in blocks."""

EDGE, HALO = 0.0015, 0.035
"""By how much less than the disc's its soft edge's cosine is, and its halo's: 1.5 and 13 degrees, roughly."""


@compiled
def skyline_crest(dx: float, dz: float, skyline: NDArray[np.float32]) -> float:
    """Tangent of the far mountains' elevation in the horizontal direction (dx, dz)."""
    directions = skyline.shape[0]
    turn = (math.atan2(dz, dx) / (2 * math.pi) + 1.0) * directions
    index = int(turn)
    part = turn - index
    return float(skyline[index % directions] * (1 - part) + skyline[(index + 1) % directions] * part)


@compiled
def sky_colour(
    dx: float,
    rise: float,
    dz: float,
    mountains: bool,
    crest: float,
    sky: NDArray[np.float64],
    light: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Sky, or far mountains as high as ``crest``, in the direction (dx, rise, dz), whose horizontal part has length 1."""
    towards, disc = dx * light[0, 0] + rise * light[0, 1] + dz * light[0, 2], light[3, 0]
    high, shine = 0, 0.0
    if mountains:
        high = 2
        mix = 0.4 + 0.6 * max(rise, 0.0) / (crest + 0.02)  # mist at the foot
    else:
        mix = min(max(rise, 0.0), 1.0)
        mix = mix * (1.6 - 0.6 * mix)
        if towards > disc - HALO:
            cosine = towards / math.sqrt(1.0 + rise * rise)
            shine = min(max((cosine - disc) / HALO + 1.0, 0.0), 1.0)
            shine = 0.35 * shine * shine + 0.65 * min(max((cosine - disc) / EDGE + 1.0, 0.0), 1.0)
    r = sky[1, 0] + (sky[high, 0] - sky[1, 0]) * mix
    g = sky[1, 1] + (sky[high, 1] - sky[1, 1]) * mix
    b = sky[1, 2] + (sky[high, 2] - sky[1, 2]) * mix
    return r + (sky[3, 0] - r) * shine, g + (sky[3, 1] - g) * shine, b + (sky[3, 2] - b) * shine


@compiled
def ground_cell(x: float, z: float, face: int, size: int) -> tuple[int, int]:
    """The column whose face was hit at (x, z): the one a little inside. Beyond the edge, the outermost one."""
    nx, _, nz = axis(face)
    i, j = math.floor(x - 1e-3 * nx), math.floor(z - 1e-3 * nz)
    return min(max(i, 0), size - 1), min(max(j, 0), size - 1)


@compiled
def ground_colour(
    i: int,
    j: int,
    x: float,
    z: float,
    face: int,
    rise: float,
    part: float,
    colour: NDArray[np.float32],
    water: NDArray[np.bool_],
    lit: NDArray[np.float32],
    sky: NDArray[np.float64],
    light: NDArray[np.float64],
) -> tuple[float, float, float]:
    """A face of column (i, j) at (x, z), seen under the slope ``rise``; ``part`` of the view distance away."""
    # What is read from arrays is read in any case: see `meet_solid`.
    r, g, b, wet = colour[i, j, 0], colour[i, j, 1], colour[i, j, 2], water[i, j]
    shade, sun = 0.06, light[0, 1] * _sunlit(x, z, lit)
    if face != ABOVE:
        nx, _, nz = axis(face)
        r, g, b = 0.88 * r, 0.86 * g, 0.86 * b
        shade, sun = 0.0, max(nx * light[0, 0] + nz * light[0, 2], 0.0)
    mirror = 0.0
    if wet:
        mirror = 0.6 / (1.0 + 2.5 * abs(rise)) ** 2  # the flatter the view, the more sky, as Fresnel has it
    r, g, b = r + (sky[1, 0] - r) * mirror, g + (sky[1, 1] - g) * mirror, b + (sky[1, 2] - b) * mirror
    return _lit(r, g, b, shade, sun, 0.0, part, sky, light)


@compiled
def paint_at(
    paint: int,
    face: int,
    x: float,
    y: float,
    z: float,
    solid: int,
    shapes: NDArray[np.float32],
    period: NDArray[np.float32],
) -> int:
    """`FIRST`, `SECOND` or `GLASS`: what a solid's paint is at a point of one of its faces."""
    if paint == PLAIN:
        return FIRST
    high = y - shapes[solid, 2]
    if paint == HALVES:
        return SECOND if high > period[solid] else FIRST
    if paint == STRIPES:
        return int(high / period[solid]) % 2
    if paint == SIDES:
        return SECOND if face >= ABOVE else FIRST
    if face in (ABOVE, BELOW):
        return FIRST
    # A facade: as many bays as fit, a window in each on every storey.
    along, half = (
        (x - shapes[solid, 0], shapes[solid, 4]) if face >= SOUTH else (z - shapes[solid, 1], shapes[solid, 5])
    )
    high -= period[solid]
    if paint - FACADE == face and high < STOREY:
        if abs(along) < 0.5 and high < 1.95:
            return SECOND
        if abs(along) < 0.95:
            return FIRST
    bay = 2 * half / max(1, int(2 * half / BAY))
    across = abs((along + half) % bay - bay / 2)
    level = high % STOREY
    return GLASS if high > 0 and across < 0.4 and 0.85 < level < 1.85 else FIRST


@compiled
def solid_colour(
    solid: int,
    shown: int,
    face: int,
    x: float,
    y: float,
    z: float,
    part: float,
    kinds: NDArray[np.int32],
    shapes: NDArray[np.float32],
    colours: NDArray[np.float32],
    sky: NDArray[np.float64],
    light: NDArray[np.float64],
) -> tuple[float, float, float]:
    """A face of a solid at (x, y, z), which shows this of its paint; ``part`` of the view distance away."""
    nx, ny, nz = normal(kinds[solid], shapes, solid, face, x, y, z)
    sun = max(nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2], 0.0)
    # Sides away from the sun still differ a little from each other.
    shade = 0.06 * ny + 0.04 * nx - 0.04 * nz
    first = min(shown, SECOND)
    r, g, b, glow = colours[solid, first, 0], colours[solid, first, 1], colours[solid, first, 2], 0.0
    if shown == GLASS:
        r, g, b, glow = sky[4, 0], sky[4, 1], sky[4, 2], light[3, 1]
    return _lit(r, g, b, shade, sun, glow, part, sky, light)


@compiled
def _lit(
    r: float,
    g: float,
    b: float,
    shade: float,
    sun: float,
    glow: float,
    part: float,
    sky: NDArray[np.float64],
    light: NDArray[np.float64],
) -> tuple[float, float, float]:
    fog = part * part
    clear = 1 - fog
    around = 1 + shade * (1 / 0.62)
    return (
        r * max(around * light[1, 0] + sun * light[2, 0], glow) * clear + sky[1, 0] * fog,
        g * max(around * light[1, 1] + sun * light[2, 1], glow) * clear + sky[1, 1] * fog,
        b * max(around * light[1, 2] + sun * light[2, 2], glow) * clear + sky[1, 2] * fog,
    )


@compiled
def _sunlit(x: float, z: float, lit: NDArray[np.float32]) -> float:
    """Bilinear reading of the shadow map, so that shadows are soft."""
    size = lit.shape[0]
    # Two texels per block; see SHADOW_TEXELS.
    u, v = min(max(2 * x - 0.5, 0.0), size - 1.001), min(max(2 * z - 0.5, 0.0), size - 1.001)
    i, j = int(u), int(v)
    u, v = u - i, v - j
    low = lit[i, j] * (1 - v) + lit[i, j + 1] * v
    high = lit[i + 1, j] * (1 - v) + lit[i + 1, j + 1] * v
    return float(low * (1 - u) + high * u)
