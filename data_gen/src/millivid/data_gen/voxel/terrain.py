"""The ground of the block world: terraced hills, ponds with shores, level ground for houses, large patches of colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .biomes import Biomes
from .climates import CLIMATES, WORLD_CLIMATES, Climate
from .config import VoxelConfig
from .houses import House
from .noise import smooth_noise

TERRACE = 0.5
"""Height of a step in the ground, in blocks."""

LEVELLED = 6.0
"""How far from a house the ground is changed for its sake, in blocks."""

POND_TRIES = 5

SHORE = (0.84, 0.77, 0.55)
WATER = (0.24, 0.50, 0.74)


@dataclass(frozen=True, kw_only=True, eq=False)
class Terrain:
    """Arrays [x, z]: see `Scene`; and the number of the climate."""

    ground: NDArray[np.float32]
    smooth: NDArray[np.float32]
    colour: NDArray[np.float32]
    water: NDArray[np.bool_]
    climate: NDArray[np.int64]


def make_terrain(
    rng: np.random.Generator,
    config: VoxelConfig,
    path: NDArray[np.float64],
    biomes: Biomes | None,
    houses: Sequence[House],
) -> Terrain:
    """Hills, ponds and colours, of one climate without ``biomes``. Ponds keep off the points of ``path`` [point, 2]."""
    size = config.world_size
    hills = smooth_noise(rng, size, 18.0) * 0.8 + smooth_noise(rng, size, 9.0) * 0.2
    smooth = hills * config.hill_height
    single = int(rng.integers(WORLD_CLIMATES))
    tone = np.round(smooth_noise(rng, size, 7.0) * 1.6 - 0.3, 1).clip(0, 1)[..., None]
    patchy = smooth_noise(rng, size, 11.0) > 0.66
    if biomes is None:
        climate = np.full((size, size), single)
        colour = _paint(CLIMATES[single], tone, patchy)
    else:
        climate = biomes.climate
        smooth *= biomes.hill_share @ [climate.roughness for climate in CLIMATES]
        colour = sum(
            (
                biomes.colour_share[..., kind, None] * _paint(CLIMATES[kind], tone, patchy)
                for kind in range(len(CLIMATES))
            ),
            start=np.zeros((size, size, 3)),
        )
    outlines = [path]
    for house in houses:
        _level(house, CLIMATES[climate[int(house.x), int(house.z)]], smooth, colour)
        outlines.append(house.outline())
    water = np.zeros((size, size), bool)
    dry = np.concatenate(outlines)
    for _ in range(rng.poisson(config.ponds * size**2 / 1000)):
        for _ in range(POND_TRIES if houses else 1):  # between houses, few places are left
            if _dig_pond(rng, config.path_clearance, dry, smooth, colour, water):
                break
    ground = np.floor(smooth / TERRACE) * TERRACE
    ground[water] -= 0.15
    return Terrain(
        ground=ground.astype(np.float32),
        smooth=smooth.astype(np.float32),
        colour=colour.astype(np.float32),
        water=water,
        climate=climate,
    )


def _paint(climate: Climate, tone: NDArray[np.float64], patchy: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Colours [x, z, 3] of ground that is all of one climate."""
    first, second, patch = (np.asarray(colour) for colour in climate.tones)
    colour = first * (1 - tone) + second * tone
    colour[patchy] = patch
    return colour


def _level(house: House, climate: Climate, smooth: NDArray[np.float64], colour: NDArray[np.float64]) -> None:
    """Change the arrays in place: level ground and a yard for a house."""
    reach = house.reach + LEVELLED
    low_x, high_x = (int(np.clip(house.x + side * reach, 0, len(smooth))) for side in (-1, 1))
    low_z, high_z = (int(np.clip(house.z + side * reach, 0, len(smooth))) for side in (-1, 1))
    near = smooth[low_x:high_x, low_z:high_z]
    distance = house.distance(np.arange(low_x, high_x) + 0.5, np.arange(low_z, high_z) + 0.5)
    level = np.floor(smooth[int(house.x), int(house.z)] / TERRACE) * TERRACE + TERRACE / 2
    blend = np.clip((distance - 1) / (LEVELLED - 1), 0, 1)
    near[:] = level + (near - level) * blend * blend * (3 - 2 * blend)
    colour[low_x:high_x, low_z:high_z][distance < 0.9] = climate.tones[2]


def _dig_pond(
    rng: np.random.Generator,
    clearance: float,
    path: NDArray[np.float64],
    smooth: NDArray[np.float64],
    colour: NDArray[np.float64],
    water: NDArray[np.bool_],
) -> bool:
    """Draw one pond and, if it is clear of the path and of other ponds, change the arrays in place."""
    size = len(smooth)
    x, z = rng.uniform(0, size, 2)
    radius_x, radius_z = rng.uniform(2.2, 4.5, 2)
    wobble, phase = rng.uniform(0.1, 0.3), rng.uniform(0, 2 * np.pi)
    if np.hypot(path[:, 0] - x, path[:, 1] - z).min() < 1.35 * max(radius_x, radius_z) + clearance:
        return False
    low_x, high_x = (int(np.clip(x + side * 4 * radius_x, 0, size)) for side in (-1, 1))
    low_z, high_z = (int(np.clip(z + side * 4 * radius_z, 0, size)) for side in (-1, 1))
    window = slice(low_x, high_x), slice(low_z, high_z)
    near, paint, wet = smooth[window], colour[window], water[window]  # views
    dx = (np.arange(low_x, high_x)[:, None] + 0.5 - x) / radius_x
    dz = (np.arange(low_z, high_z)[None, :] + 0.5 - z) / radius_z
    distance = np.hypot(dx, dz) * (1 + wobble * np.sin(3 * np.arctan2(dx, dz) + phase))
    inside = distance < 1
    if not inside.any() or wet[distance < 2.9].any():
        return False
    level = np.floor(near[distance < 1.3].min() / TERRACE) * TERRACE
    bank = level + TERRACE + 0.05
    blend = np.clip((distance - 1.2) / 1.6, 0, 1)
    near[:] = bank + (near - bank) * blend
    near[inside] = level + 0.2
    paint[distance < 1.45] = SHORE
    paint[inside] = WATER
    wet |= inside
    return True
