"""Trees, and other things that grow or lie about."""

import numpy as np

from .climates import SNOW, Climate, Colour
from .scene import BOX, CONE, CYLINDER, HALVES, SPHERE
from .solids import Solids

LEAVES = ((0.18, 0.45, 0.20), (0.28, 0.52, 0.22), (0.13, 0.38, 0.26), (0.78, 0.42, 0.16), (0.90, 0.60, 0.72))
BARK = (0.40, 0.28, 0.18)


CROWNS = ("round", "cone", "block")
PLANTS = (*CROWNS, "tall", "fir", "palm", "cactus", "mushroom", "bush", "boulder", "bare")


def add_tree(solids: Solids, rng: np.random.Generator, x: float, z: float, base: float) -> None:
    """Build one tree at (x, z), as in worlds of one climate: round, conical or blocky, of some hue."""
    leaves = LEAVES[int(rng.choice(5, p=(0.3, 0.3, 0.25, 0.08, 0.07)))]
    scale = rng.uniform(0.9, 1.2)
    _crowned(solids, CROWNS[int(rng.integers(3))], (x, z), base, scale, leaves)


def add_plant(solids: Solids, rng: np.random.Generator, x: float, z: float, base: float, climate: Climate) -> None:
    """Build one of a climate's `PLANTS` at (x, z)."""
    plant, colour = climate.plants[int(rng.integers(len(climate.plants)))]
    scale, at = rng.uniform(0.9, 1.2), (x, z)
    side = float(rng.choice((-1.0, 1.0)))
    bottom = base - 1.0  # reaches into the ground
    if plant in CROWNS:
        _crowned(solids, plant, at, base, scale, colour)
    elif plant == "tall":
        solids.add(CYLINDER, at, (bottom, base + 1.6), (0.25, 0.25), BARK)
        solids.add(SPHERE, at, (base + 1.2, base + 5.0 * scale), (scale, scale), colour)
    elif plant == "fir":
        solids.add(CYLINDER, at, (bottom, base + 1.2), (0.28, 0.28), BARK)
        solids.add(CONE, at, (base + 1.0, base + 3.3 * scale), (1.4 * scale, 1.4 * scale), colour)
        solids.add(CONE, at, (base + 2.2, base + 4.9 * scale), (1.1 * scale, 1.1 * scale), colour, SNOW, HALVES, 0.9)
    elif plant == "palm":
        solids.add(CYLINDER, at, (bottom, base + 3.5 * scale), (0.2, 0.2), BARK)
        solids.add(SPHERE, at, (base + 3.2 * scale, base + 4.2 * scale), (1.7 * scale, 1.7 * scale), colour)
    elif plant == "cactus":
        solids.add(CYLINDER, at, (bottom, base + 2.6 * scale), (0.35, 0.35), colour)
        solids.add(BOX, (x + side * 0.45, z), (base + 1.0, base + 1.35), (0.5, 0.2), colour)
        solids.add(BOX, (x + side * 0.75, z), (base + 1.35, base + 2.0), (0.2, 0.2), colour)
    elif plant == "mushroom":
        solids.add(CYLINDER, at, (bottom, base + 1.6 * scale), (0.35, 0.35), (0.93, 0.89, 0.80))
        solids.add(SPHERE, at, (base + 1.2 * scale, base + 2.6 * scale), (1.2 * scale, 1.2 * scale), colour)
    elif plant == "bush":
        solids.add(SPHERE, at, (base - 0.3, base + 1.0 * scale), (0.75 * scale, 0.75 * scale), colour)
    elif plant == "boulder":
        solids.add(SPHERE, at, (base - 0.6, base + 0.8 * scale), (0.8 * scale, 0.65 * scale), colour)
    else:  # bare
        solids.add(CYLINDER, at, (bottom, base + 3.0 * scale), (0.2, 0.2), colour)
        solids.add(BOX, (x + side * 0.5, z), (base + 2.0, base + 2.25), (0.6, 0.12), colour)
        solids.add(BOX, (x, z - side * 0.4), (base + 2.5, base + 2.75), (0.12, 0.5), colour)


def _crowned(solids: Solids, form: str, at: tuple[float, float], base: float, scale: float, leaves: Colour) -> None:
    """A trunk with a crown; nothing but the trunk is within reach of the agent, who does not jump."""
    trunk = base + 2.3 * scale
    solids.add(CYLINDER, at, (base - 1.0, trunk + 0.4), (0.28, 0.28), BARK)
    if form == "round":
        solids.add(SPHERE, at, (trunk, trunk + 2.7 * scale), (1.4 * scale, 1.4 * scale), leaves)
    elif form == "cone":
        solids.add(CONE, at, (trunk, trunk + 3.6 * scale), (1.4 * scale, 1.4 * scale), leaves)
    else:
        solids.add(BOX, at, (trunk, trunk + 2.0 * scale), (1.2 * scale, 1.2 * scale), leaves)
