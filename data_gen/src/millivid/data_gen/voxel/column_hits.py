"""What the rays of one pixel column meet: they go the same way over the ground, under different slopes."""

import math

import numpy as np
from numpy.typing import NDArray

from .intersect import intersect_slanting
from .jit import compiled
from .scene import ABOVE, BELOW, BOX, CYLINDER, EAST, NORTH, ROUND, SOUTH, WEST

CELL_BITS = 12
SKY_KEY, TOP_KEY, SOLID_KEY = -2, -1, 1 << 48
"""Keys name what a ray shows: `SKY_KEY`; `TOP_KEY`, the top of some column of the ground; ((i << CELL_BITS) + j) * 8 + face,
a side of column (i, j); SOLID_KEY + solid * 32 + face * 4, with two bits to spare."""


@compiled
def list_solids(
    x: float,
    z: float,
    yaw: float,
    tangent: float,
    far: float,
    columns: int,
    kinds: NDArray[np.int32],
    shapes: NDArray[np.float32],
    spans: NDArray[np.int64],
) -> int:
    """Fill ``spans`` [solid, 3] with the solids in view and the first and last column of rays that each can be in.

    Those that are cheap to test come first. ``tangent`` is that of half the field of view. Returns their number.
    """
    sin_yaw, cos_yaw = math.sin(yaw), math.cos(yaw)
    count = 0
    for cheap in (True, False):
        for solid in range(kinds.shape[0]):
            if (kinds[solid] in (BOX, CYLINDER)) != cheap:
                continue
            px, pz, half_x, half_z = shapes[solid, 0] - x, shapes[solid, 1] - z, shapes[solid, 4], shapes[solid, 5]
            if max(abs(px) - half_x, 0.0) ** 2 + max(abs(pz) - half_z, 0.0) ** 2 >= far * far:
                continue
            left, right, nearest, furthest = 1e30, -1e30, 1e30, -1e30
            for corner in range(4):
                cx, cz = px + (half_x if corner & 1 else -half_x), pz + (half_z if corner & 2 else -half_z)
                ahead, across = cz * cos_yaw - cx * sin_yaw, -cx * cos_yaw - cz * sin_yaw
                nearest, furthest = min(nearest, ahead), max(furthest, ahead)
                slope = across / max(ahead, 1e-6)
                left, right = min(left, slope), max(right, slope)
            if furthest <= 0 or (nearest > 1e-3 and (left > tangent or right < -tangent)):
                continue
            first, last = 0, columns - 1
            if nearest > 1e-3:
                first = max(int((left / tangent + 1) * columns / 2) - 1, 0)
                last = min(int((right / tangent + 1) * columns / 2) + 1, columns - 1)
            spans[count, 0], spans[count, 1], spans[count, 2] = solid, first, last
            count += 1
    return count


@compiled
def meet_ground(
    x: float,
    y: float,
    z: float,
    dx: float,
    dz: float,
    limit: float,
    rise: NDArray[np.float64],
    inverse: NDArray[np.float64],
    ground: NDArray[np.float32],
    sub: int,
    depth: NDArray[np.float64],
    keys: NDArray[np.int64],
) -> None:
    """Fill ``depth`` and ``keys`` [row, sub] for rays from (x, y, z) in directions (dx, rise[row], dz), up to ``limit``.

    ``rise`` [row] grows evenly; ``inverse`` is 1 / rise. Columns of equal height are passed as one.
    """
    size, rows, lowest, per_rise = ground.shape[0], rise.shape[0], rise[0], 1.0 / (rise[1] - rise[0])
    for row in range(rows):
        depth[row, sub], keys[row, sub] = limit, SKY_KEY
    i, j = math.floor(x), math.floor(z)
    step_i, step_j = (1 if dx > 0 else -1), (1 if dz > 0 else -1)
    side_i, side_j = (WEST if dx > 0 else EAST), (SOUTH if dz > 0 else NORTH)
    delta_i, delta_j = abs(1.0 / dx), abs(1.0 / dz)
    next_i = ((i + 1 - x) if dx > 0 else (x - i)) * delta_i
    next_j = ((j + 1 - z) if dz > 0 else (z - j)) * delta_j
    drop = ground[min(max(i, 0), size - 1), min(max(j, 0), size - 1)] - y
    open_row, entry = 0, 0.0  # rows below it have met the ground
    while entry < limit and open_row < rows:
        if next_i < next_j:
            entry, side = next_i, side_i
            i += step_i
            next_i += delta_i
        else:
            entry, side = next_j, side_j
            j += step_j
            next_j += delta_j
        ci, cj = min(max(i, 0), size - 1), min(max(j, 0), size - 1)
        beyond = ground[ci, cj] - y
        if beyond == drop and entry < limit:
            continue
        last = row_at(drop / entry, lowest, per_rise, rows) if drop < 0 else 0
        for row in range(open_row, last):
            depth[row, sub] = min(drop * inverse[row], limit)
            keys[row, sub] = TOP_KEY
        open_row = max(open_row, last)
        if beyond > drop and entry < limit:
            last = row_at(beyond / entry, lowest, per_rise, rows)
            for row in range(open_row, last):
                depth[row, sub], keys[row, sub] = entry, ((ci << CELL_BITS) + cj) * 8 + side
            open_row = max(open_row, last)
        drop = beyond
    for row in range(open_row - 1, -1, -1):  # the last ones may lie beyond the limit
        if depth[row, sub] < limit:
            break
        keys[row, sub] = SKY_KEY


@compiled
def meet_solid(
    solid: int,
    x: float,
    y: float,
    z: float,
    dx: float,
    dz: float,
    rise: NDArray[np.float64],
    inverse: NDArray[np.float64],
    kind: int,
    shapes: NDArray[np.float32],
    sub: int,
    depth: NDArray[np.float64],
    keys: NDArray[np.int64],
) -> None:
    """Put a solid into ``sub`` of the rows of ``depth`` and ``keys`` that it is nearest in; the rest as in `meet_ground`.

    One way through the function and no early return, or numba would count references to its arrays for every solid.
    """
    half_x, half_z, bottom, top = shapes[solid, 4], shapes[solid, 5], shapes[solid, 2], shapes[solid, 3]
    px, pz, low, high = x - shapes[solid, 0], z - shapes[solid, 1], bottom - y, top - y
    rows, lowest, per_rise = rise.shape[0], rise[0], 1.0 / (rise[1] - rise[0])
    key = SOLID_KEY + solid * 32
    # From where to where the rays are over the outline, the bounding box's or the circle's.
    face, near, far = ROUND, 0.0, -1.0
    if kind == CYLINDER:
        a, b, c = dx * dx + dz * dz, px * dx + pz * dz, px * px + pz * pz - half_x * half_x
        root = b * b - a * c
        if root > 0:
            root = math.sqrt(root)
            near, far = (-b - root) / a, (-b + root) / a
    else:
        inverse_x, inverse_z = 1.0 / dx, 1.0 / dz
        middle_x, radius_x = -px * inverse_x, half_x * abs(inverse_x)
        middle_z, radius_z = -pz * inverse_z, half_z * abs(inverse_z)
        near, far = middle_z - radius_z, min(middle_x + radius_x, middle_z + radius_z)
        face = SOUTH if dz > 0 else NORTH
        if middle_x - radius_x > near:
            near, face = middle_x - radius_x, (WEST if dx > 0 else EAST)
    met = near < far and far > 0 and (near > 0 or low >= 0 or high <= 0)  # not missed, behind, or around the eye
    near, far = max(near, 1e-6), max(far, 1e-6)
    first_wall, last_wall, first_flat, last_flat, first, last = 0, 0, 0, 0, 0, 0
    level, flat_face = high, ABOVE
    if met and kind in (BOX, CYLINDER):
        first_wall = row_at(low / near, lowest, per_rise, rows)
        last_wall = row_at(high / near, lowest, per_rise, rows)
        if high < 0:
            first_flat, last_flat = last_wall, row_at(high / far, lowest, per_rise, rows)
        elif low > 0:
            first_flat, last_flat = row_at(low / far, lowest, per_rise, rows), first_wall
            level, flat_face = low, BELOW
    elif met:
        first = max(row_at(low / (near if low < 0 else far), lowest, per_rise, rows) - 1, 0)
        last = min(row_at(high / (near if high > 0 else far), lowest, per_rise, rows) + 1, rows)
    for row in range(first_wall, last_wall):
        if near < depth[row, sub]:
            depth[row, sub], keys[row, sub] = near, key + face * 4
    for row in range(first_flat, last_flat):
        t = level * inverse[row]
        if t < depth[row, sub]:
            depth[row, sub], keys[row, sub] = t, key + flat_face * 4
    for row in range(first, last):
        if near < depth[row, sub]:
            t, face = intersect_slanting(kind, px, y, pz, dx, rise[row], dz, bottom, top, half_x, half_z)
            if t < depth[row, sub]:
                depth[row, sub], keys[row, sub] = t, key + face * 4


@compiled
def row_at(slope: float, lowest: float, per_rise: float, rows: int) -> int:
    """The first of ``rows`` whose rise is at least ``slope``, or their number.

    The first's rise is ``lowest``, and there are ``per_rise`` of them to a unit.
    """
    return int(min(max(np.ceil((slope - lowest) * per_rise), 0.0), float(rows)))
