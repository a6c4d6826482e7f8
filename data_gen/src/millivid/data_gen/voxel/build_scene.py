"""From a seed to a world: terrain, then landmarks, then trees, then the lists that the ray caster walks through."""

import numpy as np
from numpy.typing import NDArray

from .config import VoxelConfig
from .jit import compiled
from .landmarks import Solids, add_landmark, add_tree, choose_places
from .raycast import SHADOW_TEXELS, bake_shadows
from .scene import Scene
from .terrain import make_sky, make_skyline, make_terrain

LANDMARK_REACH = 2.1
TREE_REACH = 0.8


def build_scene(seed: int, config: VoxelConfig, path: NDArray[np.float64]) -> Scene:
    """The world number ``seed``, whose obstacles keep off ``path``.

    Args:
        seed: at least 0.
        config: settings.
        path: [point, 2], x and z of places that have to stay free; at least one point.
    """
    rng = np.random.default_rng([seed, 1])
    terrain = make_terrain(rng, config, path)
    size = config.world_size
    solids = Solids()
    num_landmarks = int(size**2 / config.landmark_spacing**2)
    num_trees = int(size**2 / config.tree_spacing**2)
    taken = np.zeros((num_landmarks + num_trees, 3))
    count = 0
    for most, reach, spacing, add in (
        (num_landmarks, LANDMARK_REACH, 0.8 * config.landmark_spacing, add_landmark),
        (num_trees, TREE_REACH, 0.5 * config.tree_spacing, add_tree),
    ):
        places = rng.uniform(0, size, (4 * most, 2))
        begun = count
        count = choose_places(places, reach, spacing, path, config.path_clearance, terrain.water, taken, begun, most)
        for x, z, _ in taken[begun:count]:
            add(solids, rng, float(x), float(z), float(terrain.ground[int(x), int(z)]))
    shapes = np.asarray(solids.shapes, np.float32).reshape(-1, 6)
    cell_start, cell_solids = list_cells(shapes, size)
    highest = max(float(terrain.ground.max()), float(shapes[:, 3].max(initial=0.0)))
    kinds = np.asarray(solids.kinds, np.int32)
    ceiling = highest + 0.01
    if config.shadows:
        lit = bake_shadows(ceiling, terrain.ground, kinds, shapes, cell_start, cell_solids)
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
        skyline=make_skyline(rng),
        sky=make_sky(rng),
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
