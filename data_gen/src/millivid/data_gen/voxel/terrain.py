"""The ground of the block world: terraced hills, ponds with shores, large patches of colour; and the far skyline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .config import VoxelConfig

TERRACE = 0.5
"""Height of a step in the ground, in blocks."""

# Two tones of ground and a third that lies in patches on it, per climate.
CLIMATES = (
    ((0.47, 0.66, 0.30), (0.38, 0.58, 0.27), (0.80, 0.72, 0.48)),  # meadow and sand
    ((0.55, 0.66, 0.31), (0.46, 0.59, 0.28), (0.62, 0.49, 0.34)),  # dry meadow and earth
    ((0.41, 0.62, 0.38), (0.33, 0.54, 0.35), (0.63, 0.63, 0.62)),  # moss and stone
    ((0.84, 0.75, 0.53), (0.77, 0.67, 0.45), (0.58, 0.62, 0.34)),  # sand and grass
    ((0.85, 0.89, 0.93), (0.76, 0.82, 0.89), (0.52, 0.57, 0.48)),  # snow and tundra
    ((0.70, 0.55, 0.36), (0.62, 0.47, 0.31), (0.83, 0.74, 0.46)),  # autumn earth and straw
)
SHORE = (0.84, 0.77, 0.55)
WATER = (0.24, 0.50, 0.74)


@dataclass(frozen=True, kw_only=True, eq=False)
class Terrain:
    """Arrays [x, z]; see `Scene`."""

    ground: NDArray[np.float32]
    smooth: NDArray[np.float32]
    colour: NDArray[np.float32]
    water: NDArray[np.bool_]


def smooth_noise(rng: np.random.Generator, size: int, spacing: float) -> NDArray[np.float64]:
    """Noise in [0, 1], [size, size], that changes over about ``spacing`` blocks."""
    knots = int(np.ceil(size / spacing)) + 2
    position = (np.arange(size) + 0.5) / spacing + rng.random()
    index = position.astype(np.int64)
    part = position - index
    part = part**3 * (part * (6 * part - 15) + 10)  # Perlin 2002: first and second derivative vanish at the knots
    weights = np.zeros((size, knots + 1))
    weights[np.arange(size), index] = 1 - part
    weights[np.arange(size), index + 1] = part
    return weights @ rng.random((knots + 1, knots + 1)) @ weights.T


def make_terrain(rng: np.random.Generator, config: VoxelConfig, path: NDArray[np.float64]) -> Terrain:
    """Hills, ponds and colours. Ponds keep off the points of ``path`` [point, 2] and off the middle."""
    size = config.world_size
    hills = smooth_noise(rng, size, 18.0) * 0.8 + smooth_noise(rng, size, 9.0) * 0.2
    smooth = hills * config.hill_height
    first, second, patch = (np.asarray(colour) for colour in CLIMATES[int(rng.integers(len(CLIMATES)))])
    tone = np.round(smooth_noise(rng, size, 7.0) * 1.6 - 0.3, 1).clip(0, 1)[..., None]
    colour = first * (1 - tone) + second * tone
    colour[smooth_noise(rng, size, 11.0) > 0.66] = patch
    water = np.zeros((size, size), bool)
    for _ in range(rng.poisson(config.ponds * size**2 / 1000)):
        _dig_pond(rng, config.path_clearance, path, smooth, colour, water)
    ground = np.floor(smooth / TERRACE) * TERRACE
    ground[water] -= 0.15
    return Terrain(
        ground=ground.astype(np.float32),
        smooth=smooth.astype(np.float32),
        colour=colour.astype(np.float32),
        water=water,
    )


def _dig_pond(
    rng: np.random.Generator,
    clearance: float,
    path: NDArray[np.float64],
    smooth: NDArray[np.float64],
    colour: NDArray[np.float64],
    water: NDArray[np.bool_],
) -> None:
    """Draw one pond and, if it is clear of the path and of other ponds, change the arrays in place."""
    size = len(smooth)
    x, z = rng.uniform(0, size, 2)
    radius_x, radius_z = rng.uniform(2.2, 4.5, 2)
    wobble, phase = rng.uniform(0.1, 0.3), rng.uniform(0, 2 * np.pi)
    if np.hypot(path[:, 0] - x, path[:, 1] - z).min() < 1.35 * max(radius_x, radius_z) + clearance:
        return
    low_x, high_x = (int(np.clip(x + side * 4 * radius_x, 0, size)) for side in (-1, 1))
    low_z, high_z = (int(np.clip(z + side * 4 * radius_z, 0, size)) for side in (-1, 1))
    window = slice(low_x, high_x), slice(low_z, high_z)
    near, paint, wet = smooth[window], colour[window], water[window]  # views
    dx = (np.arange(low_x, high_x)[:, None] + 0.5 - x) / radius_x
    dz = (np.arange(low_z, high_z)[None, :] + 0.5 - z) / radius_z
    distance = np.hypot(dx, dz) * (1 + wobble * np.sin(3 * np.arctan2(dx, dz) + phase))
    inside = distance < 1
    if not inside.any() or wet[distance < 2.9].any():
        return
    level = np.floor(near[distance < 1.3].min() / TERRACE) * TERRACE
    bank = level + TERRACE + 0.05
    blend = np.clip((distance - 1.2) / 1.6, 0, 1)
    near[:] = bank + (near - bank) * blend
    near[inside] = level + 0.2
    paint[distance < 1.45] = SHORE
    paint[inside] = WATER
    wet |= inside


def make_skyline(rng: np.random.Generator, directions: int = 512) -> NDArray[np.float32]:
    """Far mountains: tangent of their elevation in every direction round the circle, smooth and never negative."""
    angle = np.arange(directions) * (2 * np.pi / directions)
    height = np.zeros(directions)
    for waves in (1, 2, 3, 5, 7):
        height += rng.normal() / waves**0.6 * np.sin(waves * angle + rng.uniform(0, 2 * np.pi))
    return (0.10 + 0.075 * height).clip(0, 0.32).astype(np.float32)


def make_sky(rng: np.random.Generator) -> NDArray[np.float32]:
    """Colours [4, 3] of zenith, horizon, mountains and sun."""
    skies = (
        ((0.32, 0.55, 0.88), (0.80, 0.89, 0.96), (0.55, 0.66, 0.80)),  # noon
        ((0.42, 0.60, 0.86), (0.93, 0.88, 0.80), (0.62, 0.62, 0.72)),  # haze
        ((0.44, 0.48, 0.78), (0.98, 0.80, 0.70), (0.58, 0.48, 0.62)),  # evening
    )
    zenith, horizon, mountains = skies[int(rng.integers(len(skies)))]
    return np.asarray([zenith, horizon, mountains, (1.0, 0.97, 0.86)], np.float32)
