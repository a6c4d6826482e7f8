"""Where the agent can stand."""

import numpy as np
from numpy.typing import NDArray

from .jit import compiled


@compiled
def stands_free(
    x: float,
    z: float,
    head: float,
    radius: float,
    ground: NDArray[np.float32],
    water: NDArray[np.bool_],
    shapes: NDArray[np.float32],
) -> bool:
    """Whether a body of this radius, from the ground up to the height ``head``, touches neither water nor a solid.

    A solid counts with its bounding box, so round and pointed ones are a little wider than they look.
    """
    for i in range(int(x - radius), int(x + radius) + 1):
        for j in range(int(z - radius), int(z + radius) + 1):
            if water[i, j]:
                return False
    feet = ground[int(x), int(z)] + 0.1
    for solid in range(shapes.shape[0]):
        if shapes[solid, 2] < head and shapes[solid, 3] > feet:
            apart_x = max(abs(shapes[solid, 0] - x) - shapes[solid, 4], 0.0)
            apart_z = max(abs(shapes[solid, 1] - z) - shapes[solid, 5], 0.0)
            if apart_x * apart_x + apart_z * apart_z < radius * radius:
                return False
    return True
