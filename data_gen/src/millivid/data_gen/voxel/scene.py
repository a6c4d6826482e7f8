"""One world as plain arrays: ground columns, solids, light and sky. What the ray caster reads."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BOX, CYLINDER, SPHERE, PYRAMID, CONE, RIDGE_X, RIDGE_Z = 0, 1, 2, 3, 4, 5, 6
"""Kinds of solids. All stand upright; those with flat sides are aligned with the ground's columns. A RIDGE is a gable roof
whose ridge runs along that axis."""

PLAIN, HALVES, STRIPES, SIDES, FACADE = 0, 1, 2, 3, 4
"""Paints: first colour; first below and second above; horizontal stripes; x-sides first, z-sides and top second; and from
FACADE on, walls of the first colour with windows all round. FACADE + 0, 1, 4 or 5 has a door of the second colour in that
face."""

WEST, EAST, BELOW, ABOVE, SOUTH, NORTH, ROUND = 0, 1, 2, 3, 4, 5, 6
"""Faces of solids and of the ground: towards -x, +x, -y, +y, -z, +z, slanting or not; or a curved surface."""


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
        period: float32 [solid], height of a stripe, of the lower half, or of the floor of a facade over its bottom.
        cell_start: int32 [x * z + 1]: where each column's list of solids begins in cell_solids.
        cell_solids: int32.
        ceiling: float32 [1], height over which there is nothing.
        skyline: float32 [direction], tangent of the far mountains' elevation, over the whole circle.
        sky: float64 [5, 3], colours of zenith, horizon, mountains, the sun's (or moon's) disc, and window glass.
        light: float64 [4, 3]: direction towards the sun or moon, a unit vector; colour of the light from all around;
            colour of the light from there; and cosine of the disc's angular radius (2: no disc is seen), how much light
            windows give, 0.
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
    sky: NDArray[np.float64]
    light: NDArray[np.float64]
