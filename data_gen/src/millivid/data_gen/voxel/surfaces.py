"""Which piece of surface each pixel shows, and how far away it is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intersect import axis, normal
from .jit import compiled
from .raycast import trace
from .scene import Scene
from .shading import GROUND, NOTHING

SKY_SECTOR = 5.0
"""Degrees of azimuth, and of elevation, that share an id in the sky."""

INSIDE = 1e-3
"""How far below its surface a hit point counts, in blocks, so that rounding never puts it into the next cell."""

CELL_BITS = 11
CELL_ORIGIN = 1 << (CELL_BITS - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Surfaces:
    """What the ray through the middle of each pixel meets first.

    Attributes:
        ids: int64 [height, width]. At least 0: a piece of surface, the same number wherever it is seen from in one
            world. A column's top and each of its four sides is a piece; of a landmark or a tree, what of one of its
            solids lies in one cell of 1x1x1 block and faces the same way (the axis and sign of the normal's largest
            part). Below 0: sky, mist and far mountains, a number per 5 degrees of direction, which belong to no place.
        depth: float32 [height, width], blocks along the ray; inf where the id is below 0.
    """

    ids: NDArray[np.int64]
    depth: NDArray[np.float32]

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Bool [height, width]: whether a pixel shows a surface, and not the sky."""
        return self.ids >= 0


@compiled
def trace_surfaces(
    x: float,
    y: float,
    z: float,
    yaw: float,
    pitch: float,
    field_of_view: float,
    far: float,
    scene: Scene,
    ids: NDArray[np.int64],
    depth: NDArray[np.float32],
) -> None:
    """Fill ``ids`` and ``depth`` of `Surfaces` with the view from (x, y, z); angles in radians.

    The camera is that of `render_rays` with one ray per pixel.
    """
    # Taken apart once, as in render_rays.
    ground, kinds, shapes = scene.ground, scene.kinds, scene.shapes
    cell_start, cell_solids, ceiling = scene.cell_start, scene.cell_solids, scene.ceiling[0]
    height, width = ids.shape[0], ids.shape[1]
    scale = math.tan(field_of_view / 2) / (width / 2)
    sin_yaw, cos_yaw = math.sin(yaw), math.cos(yaw)
    sin_pitch, cos_pitch = math.sin(pitch), math.cos(pitch)
    for row in range(height):
        for column in range(width):
            right = (column + 0.5 - width / 2) * scale
            up = (height / 2 - row - 0.5) * scale
            ahead = cos_pitch + up * sin_pitch
            dx = -ahead * sin_yaw - right * cos_yaw
            dy = up * cos_pitch - sin_pitch
            dz = ahead * cos_yaw - right * sin_yaw
            flat = max(math.sqrt(dx * dx + dz * dz), 1e-6)
            t, found, face = trace(
                x, y, z, dx, dy, dz, far / flat, ceiling, ground, kinds, shapes, cell_start, cell_solids
            )
            if found == NOTHING:
                ids[row, column] = sky_id(dx, dy, dz, flat)
                depth[row, column] = math.inf
            else:
                hit_x, hit_y, hit_z = x + t * dx, y + t * dy, z + t * dz
                if found == GROUND:
                    nx, ny, nz = axis(face)
                else:
                    nx, ny, nz = normal(kinds[found], shapes, found, face, hit_x, hit_y, hit_z)
                ids[row, column] = surface_id(found, hit_x, hit_y, hit_z, nx, ny, nz)
                depth[row, column] = t * math.sqrt(1.0 + right * right + up * up)


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
