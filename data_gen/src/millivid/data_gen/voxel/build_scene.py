"""From a seed to a world: the ground, landmarks and trees on it, and the sky."""

import numpy as np
from numpy.typing import NDArray

from .config import VoxelConfig
from .landmarks import make_landmark, make_tree
from .landscape import draw_sky, make_ground, make_skyline
from .scene import SOLID, Scene
from .solids import choose_places

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
    rng = np.random.default_rng([seed, 1])
    size, clearance = config.world_size, config.path_clearance
    ground, smooth, colour = make_ground(rng, size, config.hill_height)
    spacing = config.landmark_spacing
    landmarks = choose_places(rng, size, int(size**2 / spacing**2), LANDMARK_REACH, 0.8 * spacing, path, clearance, [])
    solids: list[NDArray[np.void]] = []
    for x, z, _ in landmarks:
        solids += make_landmark(rng, x, z, float(ground[int(x), int(z)]))
    spacing, reach = config.tree_spacing, TREE_REACH + (JUMP_REACH if config.jump else 0.0)
    trees = choose_places(rng, size, int(size**2 / spacing**2), reach, 0.5 * spacing, path, clearance, landmarks)
    for x, z, _ in trees:
        solids += make_tree(rng, x, z, float(ground[int(x), int(z)]))
    return Scene(
        ground=ground,
        smooth=smooth,
        colour=colour,
        solids=np.array(solids, SOLID),
        skyline=make_skyline(rng),
        sky=draw_sky(rng),
    )
