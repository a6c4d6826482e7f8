"""From a seed to a world: houses, terrain, landmarks, trees, light, and the lists that the ray caster walks through."""

import numpy as np
from numpy.typing import NDArray

from .biomes import make_biomes
from .climates import CLIMATES
from .config import VoxelConfig
from .daylight import draw_hour, make_daylight, make_fixed_daylight, make_skyline
from .houses import add_house, draw_houses
from .jit import compiled
from .landmarks import add_landmark
from .plants import add_plant, add_tree
from .raycast import SHADOW_TEXELS, bake_shadows
from .scene import Scene
from .solids import Solids, choose_places
from .terrain import make_terrain

LANDMARK_REACH = 2.1
TREE_REACH = 0.8
JUMP_REACH = 1.5
"""Added for an agent who jumps: its head comes up to the crowns."""


def build_scene(seed: int, config: VoxelConfig, path: NDArray[np.float64]) -> Scene:
    """The world number ``seed``, whose obstacles keep off ``path``.

    Args:
        seed: at least 0.
        config: settings.
        path: [point, 2], x and z of places that have to stay free; at least one point.
    """
    # Streams of their own, so that what one setting adds leaves the rest of the world as it was.
    rng, biome_rng, house_rng, plant_rng, hour_rng = (np.random.default_rng([seed, stream]) for stream in range(1, 6))
    size = config.world_size
    biomes = make_biomes(biome_rng, size, config.biome_size) if config.biome_size else None
    houses = draw_houses(house_rng, config, path)
    terrain = make_terrain(rng, config, path, biomes, houses)
    solids = Solids()
    for house in houses:
        i, j = int(house.x), int(house.z)
        add_house(solids, house_rng, house, float(terrain.ground[i, j]), CLIMATES[terrain.climate[i, j]])
    num_landmarks, num_trees = (int(size**2 / spacing**2) for spacing in (config.landmark_spacing, config.tree_spacing))
    taken = np.zeros((len(houses) + num_landmarks + 2 * num_trees, 3))
    taken[: len(houses)] = [(house.x, house.z, house.reach) for house in houses] if houses else 0.0

    def place(places: NDArray[np.float64], reach: float, spacing: float, begun: int, most: int) -> int:
        return choose_places(places, reach, spacing, path, config.path_clearance, terrain.water, taken, begun, most)

    places = rng.uniform(0, size, (4 * num_landmarks, 2))
    count = place(places, LANDMARK_REACH, 0.8 * config.landmark_spacing, len(houses), num_landmarks)
    for x, z, _ in taken[len(houses) : count]:
        add_landmark(solids, rng, float(x), float(z), float(terrain.ground[int(x), int(z)]))
    reach, begun = TREE_REACH + (JUMP_REACH if config.jump else 0.0), count
    places = rng.uniform(0, size, (4 * num_trees, 2))
    if biomes is None:
        count = place(places, reach, 0.5 * config.tree_spacing, begun, num_trees)
        for x, z, _ in taken[begun:count]:
            add_tree(solids, rng, float(x), float(z), float(terrain.ground[int(x), int(z)]))
    else:
        places = plant_rng.uniform(0, size, (12 * num_trees, 2))
        growth = np.array([climate.growth for climate in CLIMATES])[terrain.climate]
        places = places[plant_rng.random(len(places)) < growth[places[:, 0].astype(int), places[:, 1].astype(int)]]
        count = place(places, reach, 0.4 * config.tree_spacing, begun, 2 * num_trees)
        for x, z, _ in taken[begun:count]:
            i, j = int(x), int(z)
            climate = CLIMATES[terrain.climate[i, j]]
            add_plant(solids, plant_rng, float(x), float(z), float(terrain.ground[i, j]), climate)
    shapes = np.asarray(solids.shapes, np.float32).reshape(-1, 6)
    cell_start, cell_solids = list_cells(shapes, size)
    highest = max(float(terrain.ground.max()), float(shapes[:, 3].max(initial=0.0)))
    kinds = np.asarray(solids.kinds, np.int32)
    ceiling = highest + 0.01
    skyline = make_skyline(rng)
    if config.fixed_sun:
        daylight = make_fixed_daylight(rng)
    else:
        daylight = make_daylight(draw_hour(hour_rng) if config.time_of_day is None else config.time_of_day)
    if config.shadows:
        lit = bake_shadows(daylight.light[0], ceiling, terrain.ground, kinds, shapes, cell_start, cell_solids)
    else:
        lit = np.ones((SHADOW_TEXELS * size, SHADOW_TEXELS * size), np.float32)
    return Scene(
        ground=terrain.ground,
        smooth=terrain.smooth,
        colour=terrain.colour,
        water=terrain.water,
        lit=lit,
        kinds=kinds,
        shapes=shapes,
        paints=np.asarray(solids.paints, np.int32),
        colours=np.asarray(solids.colours, np.float32).reshape(-1, 2, 3),
        period=np.asarray(solids.period, np.float32),
        cell_start=cell_start,
        cell_solids=cell_solids,
        ceiling=np.asarray([ceiling], np.float32),
        skyline=skyline,
        sky=daylight.sky,
        light=daylight.light,
    )


@compiled
def list_cells(shapes: NDArray[np.float32], size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Which solids touch each column: starts [size * size + 1] into a flat list of solids."""
    start = np.zeros(size * size + 1, np.int32)
    for turn in range(2):  # count, then fill
        if turn == 1:
            for cell in range(size * size):
                start[cell + 1] += start[cell]
            filled = np.zeros(size * size, np.int32)
            cells = np.zeros(start[size * size], np.int32)
        for solid in range(shapes.shape[0]):
            x, z, half_x, half_z = shapes[solid, 0], shapes[solid, 1], shapes[solid, 4], shapes[solid, 5]
            for i in range(max(int(np.floor(x - half_x)), 0), min(int(np.floor(x + half_x)), size - 1) + 1):
                for j in range(max(int(np.floor(z - half_z)), 0), min(int(np.floor(z + half_z)), size - 1) + 1):
                    cell = i * size + j
                    if turn == 0:
                        start[cell + 1] += 1
                    else:
                        cells[start[cell] + filled[cell]] = solid
                        filled[cell] += 1
    return start, cells
