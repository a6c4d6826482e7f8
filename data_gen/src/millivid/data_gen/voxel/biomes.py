"""Which climate is where: regions with wavy, soft borders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .climates import CLIMATES
from .noise import smooth_noise

SOFT, SMOOTH = 0.45, 3.0
"""Over how many blocks, roughly, the ground's colours and the hills' heights change at a border."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Biomes:
    """Arrays [x, z]: the climate's number; and [x, z, climate], its share in the colour and in the hills, summing to 1."""

    climate: NDArray[np.int64]
    colour_share: NDArray[np.float64]
    hill_share: NDArray[np.float64]


def make_biomes(rng: np.random.Generator, size: int, extent: float) -> Biomes:
    """Regions of ``extent`` blocks on average round scattered middles; no two of them that touch are alike."""
    across = int(np.ceil(size / extent)) + 3
    drawn = np.empty((across, across), np.int64)
    for i in range(across):
        for j in range(across):
            beside = {int(drawn[k, m]) for k in (i - 1, i) for m in (j - 1, j, j + 1) if _before(k, m, i, j, across)}
            drawn[i, j] = rng.choice([kind for kind in range(len(CLIMATES)) if kind not in beside])
    middle_x = np.arange(across)[:, None] - 1 + rng.uniform(0.1, 0.9, (across, across))
    middle_z = np.arange(across)[None, :] - 1 + rng.uniform(0.1, 0.9, (across, across))
    shift = rng.uniform(0, 1, 2)
    # Bent coordinates make bent borders.
    bend = [0.5 * smooth_noise(rng, size, 0.4 * extent) for _ in range(2)]
    blocks = (np.arange(size) + 0.5) / extent
    place_x = blocks[:, None] + bend[0] + shift[0] - 0.25
    place_z = blocks[None, :] + bend[1] + shift[1] - 0.25
    cell_x, cell_z = np.floor(place_x).astype(np.int64) + 1, np.floor(place_z).astype(np.int64) + 1
    near, kinds = np.empty((9, size * size)), np.empty((9, size * size), np.int64)
    for index in range(9):
        i, j = (cell_x + index // 3 - 1).clip(0, across - 1), (cell_z + index % 3 - 1).clip(0, across - 1)
        near[index] = extent * np.hypot(place_x - middle_x[i, j], place_z - middle_z[i, j]).ravel()
        kinds[index] = drawn[i, j].ravel()
    near -= near.min(axis=0)
    climate = kinds[near.argmin(axis=0), np.arange(size * size)].reshape(size, size)
    slots = kinds + len(CLIMATES) * np.arange(size * size)
    shares = []
    for width in (SOFT, SMOOTH):
        weight = np.exp(-near / width)
        weight /= weight.sum(axis=0)
        share = np.bincount(slots.ravel(), weight.ravel(), len(CLIMATES) * size * size)
        shares.append(share.astype(np.float64).reshape(size, size, len(CLIMATES)))
    return Biomes(climate=climate, colour_share=shares[0], hill_share=shares[1])


def _before(k: int, m: int, i: int, j: int, across: int) -> bool:
    """Whether (k, m) is drawn before (i, j)."""
    return k >= 0 and 0 <= m < across and (k, m) < (i, j)
