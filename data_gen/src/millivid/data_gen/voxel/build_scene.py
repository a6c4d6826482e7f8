"""From a seed to a world: the ground, landmarks and trees on it, and the sky."""

import numpy as np
from numpy.typing import NDArray

from .config import VoxelConfig
from .landmarks import make_landmark, make_tree
from .scene import SOLID, Scene

TERRACE = 0.5
"""Height of a step in the ground, in blocks."""

# Two tones of ground, and a third that lies in patches on it.
TONES = (
    ((0.47, 0.66, 0.30), (0.38, 0.58, 0.27), (0.80, 0.72, 0.48)),  # meadow and sand
    ((0.55, 0.66, 0.31), (0.46, 0.59, 0.28), (0.62, 0.49, 0.34)),  # dry meadow and earth
    ((0.41, 0.62, 0.38), (0.33, 0.54, 0.35), (0.63, 0.63, 0.62)),  # moss and stone
    ((0.84, 0.75, 0.53), (0.77, 0.67, 0.45), (0.58, 0.62, 0.34)),  # sand and grass
    ((0.85, 0.89, 0.93), (0.76, 0.82, 0.89), (0.52, 0.57, 0.48)),  # snow and tundra
    ((0.70, 0.55, 0.36), (0.62, 0.47, 0.31), (0.83, 0.74, 0.46)),  # autumn earth and straw
)

# Zenith, horizon, mountains.
SKIES = (
    ((0.32, 0.55, 0.88), (0.80, 0.89, 0.96), (0.55, 0.66, 0.80)),  # noon
    ((0.42, 0.60, 0.86), (0.93, 0.88, 0.80), (0.62, 0.62, 0.72)),  # haze
    ((0.44, 0.48, 0.78), (0.98, 0.80, 0.70), (0.58, 0.48, 0.62)),  # evening
)

LANDMARK_REACH = 2.1
TREE_REACH = 0.8
JUMP_REACH = 1.5
"""Added for an agent who jumps: its head comes up to the crowns."""

Place = tuple[float, float, float]
"""x, z and the radius that what stands there needs."""


def build_scene(seed: int, config: VoxelConfig, path: NDArray[np.float64]) -> Scene:
    """The world number ``seed``, at least 0, whose obstacles keep off ``path``.

    path: [point, 2], x and z of places that have to stay free; at least one point.
    """
    rng = np.random.default_rng([seed, 1])
    size = config.world_size
    ground, smooth, colour = make_ground(rng, size, config.hill_height)
    tree_reach = TREE_REACH + (JUMP_REACH if config.jump else 0.0)
    solids: list[NDArray[np.void]] = []
    taken: list[Place] = []
    for make, spacing, reach, least in (
        (make_landmark, config.landmark_spacing, LANDMARK_REACH, 0.8),
        (make_tree, config.tree_spacing, tree_reach, 0.5),
    ):
        most = int(size**2 / spacing**2)
        places = choose_places(rng, size, most, reach, least * spacing, path, config.path_clearance, taken)
        for x, z, _ in places:
            solids += make(rng, x, z, float(ground[int(x), int(z)]))
        taken += places
    return Scene(
        ground=ground,
        smooth=smooth,
        colour=colour,
        solids=np.array(solids, SOLID),
        skyline=make_skyline(rng),
        sky=np.asarray(SKIES[int(rng.integers(len(SKIES)))]),
    )


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


def make_ground(
    rng: np.random.Generator, size: int, hill_height: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The arrays ``ground``, ``smooth`` and ``colour`` of a `Scene`: hills in terraces, in large patches of colour."""
    smooth = (smooth_noise(rng, size, 18.0) * 0.8 + smooth_noise(rng, size, 9.0) * 0.2) * hill_height
    first, second, patch = (np.asarray(colour) for colour in TONES[int(rng.integers(len(TONES)))])
    tone = np.round(smooth_noise(rng, size, 7.0) * 1.6 - 0.3, 1).clip(0, 1)[..., None]
    colour = first * (1 - tone) + second * tone
    colour[smooth_noise(rng, size, 11.0) > 0.66] = patch
    ground = np.floor(smooth / TERRACE) * TERRACE
    return ground.astype(np.float32), smooth.astype(np.float32), colour.astype(np.float32)


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


def make_skyline(rng: np.random.Generator, directions: int = 512) -> NDArray[np.float32]:
    """Far mountains: tangent of their elevation in every direction round the circle, smooth and never negative."""
    angle = np.arange(directions) * (2 * np.pi / directions)
    height = np.zeros(directions)
    for waves in (1, 2, 3, 5, 7):
        height += rng.normal() / waves**0.6 * np.sin(waves * angle + rng.uniform(0, 2 * np.pi))
    return (0.10 + 0.075 * height).clip(0, 0.32).astype(np.float32)
