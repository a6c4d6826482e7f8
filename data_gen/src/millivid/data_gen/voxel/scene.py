"""One world as plain arrays: ground columns, solids, sky. What the ray caster reads."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BOX, CYLINDER, SPHERE, PYRAMID, CONE = 0, 1, 2, 3, 4
"""Kinds of solids. All stand upright; boxes and pyramids are aligned with the ground's columns."""

PLAIN, HALVES, STRIPES, SIDES = 0, 1, 2, 3
"""Paints: first colour; first below and second above; horizontal stripes; x-sides first and z-sides second."""


class Scene(NamedTuple):
    """Arrays of one world. A named tuple, because numba takes it as it is.

    Attributes:
        ground: float32 [x, z], height of the top of each 1x1 column.
        smooth: float32 [x, z], the ground before it was cut into terraces, at the columns' centres: the camera's way.
        colour: float32 [x, z, 3], colour of each column's top.
        water: bool [x, z].
        lit: float32 [2 x, 2 z] in 0 to 1, how much sun reaches the ground.
        kinds: int32 [solid].
        shapes: float32 [solid, 6]: x, z of the centre, bottom, top, half width along x, half width along z.
        paints: int32 [solid].
        colours: float32 [solid, 2, 3].
        period: float32 [solid], height of a stripe, or of the lower half.
        cell_start: int32 [x * z + 1]: where each column's list of solids begins in cell_solids.
        cell_solids: int32.
        ceiling: float32 [1], height over which there is nothing.
        skyline: float32 [direction], tangent of the far mountains' elevation, over the whole circle.
        sky: float32 [4, 3]: zenith, horizon, mountains, sun.
    """

    ground: NDArray[np.float32]
    smooth: NDArray[np.float32]
    colour: NDArray[np.float32]
    water: NDArray[np.bool_]
    lit: NDArray[np.float32]
    kinds: NDArray[np.int32]
    shapes: NDArray[np.float32]
    paints: NDArray[np.int32]
    colours: NDArray[np.float32]
    period: NDArray[np.float32]
    cell_start: NDArray[np.int32]
    cell_solids: NDArray[np.int32]
    ceiling: NDArray[np.float32]
    skyline: NDArray[np.float32]
    sky: NDArray[np.float32]
