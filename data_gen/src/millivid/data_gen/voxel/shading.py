"""Colours, 0 to 1, of what a ray meets: flat and low in frequency, so that small models can read them."""

import math

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .scene import HALVES, SIDES, STRIPES

GROUND, NOTHING = -1, -2
"""What a ray meets when it is no solid."""

# Towards the sun, a unit vector; the same in all worlds, so that light and shadow tell the direction.
SUN_X, SUN_Y, SUN_Z = 0.49, 0.755, -0.4355
AMBIENT = 0.62
SUNLIGHT = 0.42


@compiled
def skyline_crest(dx: float, dz: float, skyline: NDArray[np.float32]) -> float:
    """Tangent of the far mountains' elevation in the horizontal direction (dx, dz)."""
    directions = skyline.shape[0]
    turn = (math.atan2(dz, dx) / (2 * math.pi) + 1.0) * directions
    index = int(turn)
    part = turn - index
    return float(skyline[index % directions] * (1 - part) + skyline[(index + 1) % directions] * part)


@compiled
def sky_colour(rise: float, crest: float, sky: NDArray[np.float32]) -> tuple[float, float, float]:
    """Sky, or far mountains up to ``crest``, at the elevation whose tangent is ``rise``."""
    rise = max(rise, 0.0)
    if rise < crest:
        mix = 0.4 + 0.6 * rise / (crest + 0.02)  # mist at the foot
        high = 2
    else:
        mix = min(rise, 1.0)
        mix = mix * (1.6 - 0.6 * mix)
        high = 0
    return (
        sky[1, 0] + (sky[high, 0] - sky[1, 0]) * mix,
        sky[1, 1] + (sky[high, 1] - sky[1, 1]) * mix,
        sky[1, 2] + (sky[high, 2] - sky[1, 2]) * mix,
    )


@compiled
def ground_colour(
    x: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    rise: float,
    part: float,
    ground: NDArray[np.float32],
    colour: NDArray[np.float32],
    water: NDArray[np.bool_],
    lit: NDArray[np.float32],
    sky: NDArray[np.float32],
) -> tuple[float, float, float]:
    """Ground at (x, z), seen under the slope ``rise``; ``part`` of the view distance away."""
    size = ground.shape[0]
    # A little inside the column that was hit.
    i = min(max(math.floor(x - 1e-3 * nx), 0), size - 1)
    j = min(max(math.floor(z - 1e-3 * nz), 0), size - 1)
    r, g, b = colour[i, j, 0], colour[i, j, 1], colour[i, j, 2]
    if ny > 0.5:
        sun = SUN_Y * _sunlit(x, z, lit)
    else:
        r, g, b = 0.88 * r, 0.86 * g, 0.86 * b
        sun = max(nx * SUN_X + nz * SUN_Z, 0.0)
    if water[i, j]:
        mirror = 0.6 / (1.0 + 2.5 * abs(rise)) ** 2  # the flatter the view, the more sky, as Fresnel has it
        r, g, b = r + (sky[1, 0] - r) * mirror, g + (sky[1, 1] - g) * mirror, b + (sky[1, 2] - b) * mirror
    return _lit(r, g, b, AMBIENT + 0.06 * ny + SUNLIGHT * sun, part, sky)


@compiled
def solid_colour(
    solid: int,
    y: float,
    nx: float,
    ny: float,
    nz: float,
    part: float,
    shapes: NDArray[np.float32],
    paints: NDArray[np.int32],
    colours: NDArray[np.float32],
    period: NDArray[np.float32],
    sky: NDArray[np.float32],
) -> tuple[float, float, float]:
    """A solid at height ``y`` with a normal; ``part`` of the view distance away."""
    paint, second = paints[solid], 0
    high = y - shapes[solid, 2]
    if paint == HALVES:
        second = 1 if high > period[solid] else 0
    elif paint == STRIPES:
        second = int(high / period[solid]) % 2
    elif paint == SIDES:
        second = 1 if abs(nz) > 0.7 or ny > 0.7 else 0
    sun = max(nx * SUN_X + ny * SUN_Y + nz * SUN_Z, 0.0)
    # Sides away from the sun still differ a little from each other.
    light = AMBIENT + 0.06 * ny + 0.04 * nx - 0.04 * nz + SUNLIGHT * sun
    r, g, b = colours[solid, second, 0], colours[solid, second, 1], colours[solid, second, 2]
    return _lit(r, g, b, light, part, sky)


@compiled
def _lit(
    r: float, g: float, b: float, light: float, part: float, sky: NDArray[np.float32]
) -> tuple[float, float, float]:
    fog = part * part
    clear = light * (1 - fog)
    return r * clear + sky[1, 0] * fog, g * clear + sky[1, 1] * fog, b * clear + sky[1, 2] * fog


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
