"""Which piece of surface each pixel shows, and how far away it is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intersect import axis, normal
from .jit import compiled
from .rays import SKY_KEY, SOLID_KEY, TOP_KEY, Camera, list_rises, list_solids, make_bundle, trace
from .scene import ABOVE, Scene

GROUND = -1
"""What is found where it is no solid."""

SKY_SECTOR = 5.0
"""Degrees of azimuth, and of elevation, that share an id in the sky."""

INSIDE = 1e-3
"""How far below its surface a hit point counts, in blocks, so that rounding never puts it into the next cell."""

CELL_BITS = 11
CELL_ORIGIN = 1 << (CELL_BITS - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Surfaces:
    """What the ray through the middle of each pixel meets first.

    ids: int64 [height, width]. At least 0: a piece of surface, the same number wherever it is seen from in one world. A
    column's top and each of its four sides is a piece; of a landmark or a tree, what of one of its solids lies in one cell
    of 1x1x1 block and faces the same way (the axis and sign of the normal's largest part). Below 0: sky, mist and far
    mountains, a number per 5 degrees of direction, which belong to no place. depth: float32 [height, width], blocks along
    the ray; inf where the id is below 0.
    """

    ids: NDArray[np.int64]
    depth: NDArray[np.float32]

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Bool [height, width]: whether a pixel shows a surface, and not the sky."""
        return self.ids >= 0


@compiled
def trace_surfaces(camera: Camera, scene: Scene, ids: NDArray[np.int64], depth: NDArray[np.float32]) -> None:
    """Fill ``ids`` and ``depth`` of `Surfaces`: one ray through the middle of each pixel."""
    ground, solids = scene.ground, scene.solids  # taken apart once, as in `render`
    height, width = camera.height, camera.width
    rise, spans = list_rises(camera, 1), list_solids(camera, width, solids)
    distance, keys = np.empty(height), np.empty(height, np.int64)
    for column in range(width):
        bundle = make_bundle(camera, column + 0.5)
        trace(bundle, column, camera.far, rise, ground, solids, spans, distance, keys)
        for ray in range(height):
            row, key, t = height - 1 - ray, keys[ray], distance[ray]
            if key == SKY_KEY:
                ids[row, column] = sky_id(bundle.dx, rise[ray], bundle.dz, bundle.flat)
                depth[row, column] = math.inf
                continue
            x, y, z = bundle.x + t * bundle.dx, bundle.y + t * rise[ray], bundle.z + t * bundle.dz
            if key < SOLID_KEY:
                found = GROUND
                nx, ny, nz = axis(ABOVE if key == TOP_KEY else key & 7)
            else:
                found = (key - SOLID_KEY) >> 5
                nx, ny, nz = normal(solids[found], (key >> 2) & 7, x, y, z)
            ids[row, column] = surface_id(found, x, y, z, nx, ny, nz)
            depth[row, column] = t * math.sqrt(bundle.flat * bundle.flat + rise[ray] * rise[ray])


@compiled
def surface_id(found: int, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> int:
    """The number of (`GROUND` or which solid, cell, facing) at a hit point with a normal: at least 0."""
    i, j = math.floor(x - INSIDE * nx), math.floor(z - INSIDE * nz)
    # A column of ground has one top, and its sides are low: the height of the hit would tell nothing.
    k = 0 if found == GROUND else math.floor(y - INSIDE * ny)
    if abs(nx) >= abs(ny) and abs(nx) >= abs(nz):
        facing = 1 if nx > 0 else 0
    elif abs(ny) >= abs(nz):
        facing = 3 if ny > 0 else 2
    else:
        facing = 5 if nz > 0 else 4
    number = found - GROUND  # 0 the ground, then the solids
    number = (number << CELL_BITS) + (i + CELL_ORIGIN)
    number = (number << CELL_BITS) + (k + CELL_ORIGIN)
    number = (number << CELL_BITS) + (j + CELL_ORIGIN)
    return number * 6 + facing


@compiled
def sky_id(dx: float, dy: float, dz: float, flat: float) -> int:
    """The number of the direction's 5-degree sector of azimuth and band of elevation: below 0."""
    azimuth = math.floor((math.degrees(math.atan2(dz, dx)) + 180.0) / SKY_SECTOR) % int(360 / SKY_SECTOR)
    band = math.floor((math.degrees(math.atan2(dy, flat)) + 90.0) / SKY_SECTOR)
    return -1 - (int(azimuth) * (int(180 / SKY_SECTOR) + 1) + int(band))
