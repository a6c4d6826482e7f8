"""Houses: where they stand, and what of."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .climates import BRICK, CLAY, Climate, Colour
from .config import VoxelConfig
from .scene import BOX, EAST, FACADE, NORTH, PYRAMID, RIDGE_X, RIDGE_Z, SIDES, SOUTH, WEST
from .solids import Solids, choose_places

KINDS = ("cottage", "longhouse", "townhouse", "flat", "chapel")
# Per kind: half length, half width, height of the walls, height of the roof.
SIZES = ((2.0, 1.6, 2.5, 1.5), (2.9, 1.6, 2.5, 1.5), (1.8, 1.7, 4.9, 1.8), (2.2, 1.9, 2.9, 0.35), (2.5, 1.4, 2.8, 1.7))

EAVES = 0.3
CELLAR = 1.5
"""Walls go on below the ground, which may be lower on one side."""

HOUSE_REACH = 4.1
DOORS: tuple[Colour, ...] = (
    (0.20, 0.30, 0.62),
    (0.62, 0.16, 0.14),
    (0.16, 0.42, 0.28),
    (0.36, 0.22, 0.13),
    (0.93, 0.72, 0.20),
)


@dataclass(frozen=True, kw_only=True)
class House:
    """Middle, half widths along x and z, what of `KINDS`, and the face with the door."""

    x: float
    z: float
    half_x: float
    half_z: float
    kind: str
    door: int

    @property
    def reach(self) -> float:
        """Radius of a circle round the middle that nothing of the house leaves."""
        return math.hypot(self.half_x, self.half_z) + 0.5

    def distance(self, x: NDArray[Any], z: NDArray[Any]) -> NDArray[np.float64]:
        """How far (x[i], z[j]) is from the outline: [i, j], 0 inside."""
        apart_x, apart_z = (np.abs(x - self.x) - self.half_x).clip(0), (np.abs(z - self.z) - self.half_z).clip(0)
        return np.hypot(apart_x[:, None], apart_z[None, :])

    def outline(self) -> NDArray[np.float64]:
        """Points [8, 2] of the outline: its corners and the middles of its sides."""
        sides = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        return np.array([(self.x + i * self.half_x, self.z + j * self.half_z) for i, j in sides])


def draw_houses(rng: np.random.Generator, config: VoxelConfig, path: NDArray[np.float64]) -> list[House]:
    """Houses off the points of ``path`` [point, 2], with their doors towards it."""
    if config.building_spacing == 0:
        return []
    size, spacing = config.world_size, config.building_spacing
    most = int(size**2 / spacing**2)
    taken, water = np.zeros((most, 3)), np.zeros((size, size), np.bool_)
    places = rng.uniform(0, size, (6 * most, 2))
    count = choose_places(places, HOUSE_REACH, 0.8 * spacing, path, config.path_clearance, water, taken, 0, most)
    houses = []
    for x, z in taken[:count, :2]:
        kind = int(rng.integers(len(KINDS)))
        long, short = (side * rng.uniform(0.93, 1.07) for side in SIZES[kind][:2])
        half_x, half_z = (long, short) if rng.integers(2) else (short, long)
        to_x, to_z = path[np.hypot(path[:, 0] - x, path[:, 1] - z).argmin()] - (x, z)
        door = (EAST if to_x > 0 else WEST) if abs(to_x) > abs(to_z) else (NORTH if to_z > 0 else SOUTH)
        houses.append(House(x=x, z=z, half_x=half_x, half_z=half_z, kind=KINDS[kind], door=door))
    return houses


def add_house(solids: Solids, rng: np.random.Generator, house: House, base: float, climate: Climate) -> None:
    """Build a house on ground of height ``base``, in colours of its climate."""
    _, _, height, rise = SIZES[KINDS.index(house.kind)]
    walls = climate.walls[int(rng.integers(len(climate.walls)))]
    roof = climate.roofs[int(rng.integers(len(climate.roofs)))]
    door = DOORS[int(rng.integers(len(DOORS)))]
    at, half = (house.x, house.z), (house.half_x, house.half_z)
    along_x = house.half_x > house.half_z
    eaves, top = base + height, base + height + rise
    wide = (house.half_x + EAVES, house.half_z + EAVES)
    solids.add(BOX, at, (base - CELLAR, eaves), half, walls, door, FACADE + house.door, CELLAR)
    if house.kind == "townhouse":
        solids.add(PYRAMID, at, (eaves, top), wide, roof)
    elif house.kind == "flat":
        solids.add(BOX, at, (eaves, top), (house.half_x + 0.15, house.half_z + 0.15), roof)
        solids.add(BOX, at, (top, top + 0.8), (house.half_x * 0.4, house.half_z * 0.4), walls)
    elif along_x:  # a gable roof: its ends are walls
        solids.add(RIDGE_X, at, (eaves, top), wide, walls, roof, SIDES)
    else:
        solids.add(RIDGE_Z, at, (eaves, top), wide, roof, walls, SIDES)
    side = float(rng.choice((-1.0, 1.0)))
    if house.kind == "chapel":
        end = side * (max(half) - 0.45)
        spot = (house.x + end, house.z) if along_x else (house.x, house.z + end)
        solids.add(BOX, spot, (base - CELLAR, base + 5.4), (0.85, 0.85), walls)
        solids.add(PYRAMID, spot, (base + 5.4, base + 7.6), (1.1, 1.1), roof)
    elif house.kind in ("cottage", "longhouse"):
        end = 0.55 * side * max(half)
        spot = (house.x + end, house.z) if along_x else (house.x, house.z + end)
        solids.add(BOX, spot, (eaves, top + 0.6), (0.3, 0.3), CLAY if walls == BRICK else BRICK)
