"""Smooth noise over the ground."""

import numpy as np
from numpy.typing import NDArray


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
