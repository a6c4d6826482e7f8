"""One world as plain arrays: ground columns, solids and sky. What the renderer reads."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BOX, CYLINDER, SPHERE, PYRAMID, CONE = 0, 1, 2, 3, 4
"""Kinds of solids. All stand upright; those with flat sides are aligned with the ground's columns."""

PLAIN, HALVES, STRIPES, SIDES = 0, 1, 2, 3
"""Paints: first colour; first below and second above; horizontal stripes; x-sides first, z-sides and top second."""

WEST, EAST, BELOW, ABOVE, SOUTH, NORTH, ROUND = 0, 1, 2, 3, 4, 5, 6
"""Faces of solids and of the ground: towards -x, +x, -y, +y, -z, +z, slanting or not; or a curved surface."""


SOLID = np.dtype(
    [
        *[("kind", np.int32), ("paint", np.int32), ("period", np.float32), ("colours", np.float32, (2, 3))],
        *[(name, np.float32) for name in ("x", "z", "bottom", "top", "half_x", "half_z")],
    ]
)
"""A solid: what of the above it is, the height of a stripe or of the lower half, two colours, the centre over the ground, lower
and upper end, and half the width along x and z."""


class Scene(NamedTuple):
    """Arrays of one world. A named tuple, because numba takes it as it is.

    ground: float32 [x, z], height of the top of each 1x1 column. smooth: float32 [x, z], the ground before it was cut into
    terraces, at the columns' centres: the camera's way. colour: float32 [x, z, 3], colour of each column's top. solids:
    `SOLID` [solid]. skyline: float32 [direction], tangent of the far mountains' elevation, over the whole circle. sky:
    float64 [3, 3], colours of zenith, horizon and mountains.
    """

    ground: NDArray[np.float32]
    smooth: NDArray[np.float32]
    colour: NDArray[np.float32]
    solids: NDArray[np.void]
    skyline: NDArray[np.float32]
    sky: NDArray[np.float64]
