"""Bundles of rays: those of a pixel column go the same way over the ground, and differ in how steeply they rise or fall.

So the grid is walked once for all of them, and a solid is tried once.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .intersect import Solid, intersect_slanting
from .jit import compiled
from .scene import ABOVE, BELOW, BOX, CYLINDER, EAST, NORTH, ROUND, SOUTH, WEST

CELL_BITS = 12
SKY_KEY, TOP_KEY, SOLID_KEY = -2, -1, 1 << 48
"""Keys name what a ray shows: `SKY_KEY`; `TOP_KEY`, the top of some column of the ground; ((i << CELL_BITS) + j) * 8 + face,
a side of column (i, j); SOLID_KEY + solid * 32 + face * 4, with two bits to spare."""


class Camera(NamedTuple):
    """A level camera: where it is, sine and cosine of its yaw, the picture's size in pixels, and how far it sees.

    ``scale`` is the size of a pixel in the plane one block ahead.
    """

    x: float
    y: float
    z: float
    sin_yaw: float
    cos_yaw: float
    height: int
    width: int
    scale: float
    far: float


class Bundle(NamedTuple):
    """The way of rays over the ground: after t, one is at (x + t dx, z + t dz). ``flat`` is the length of (dx, dz)."""

    x: float
    y: float
    z: float
    dx: float
    dz: float
    flat: float


@compiled
def make_bundle(camera: Camera, across: float) -> Bundle:
    """The rays ``across`` pixels from the picture's left edge."""
    right = (across - camera.width / 2) * camera.scale
    # Ahead at yaw 0 is +z, right is -x; yaw grows to the right.
    dx, dz = -camera.sin_yaw - right * camera.cos_yaw, camera.cos_yaw - right * camera.sin_yaw
    dx, dz = dx or 1e-12, dz or 1e-12  # so that there is no division by zero
    return Bundle(camera.x, camera.y, camera.z, dx, dz, math.sqrt(dx * dx + dz * dz))


@compiled
def list_rises(camera: Camera, samples: int) -> NDArray[np.float64]:
    """How much a bundle's rays rise over each other's way, from the lowest to the highest: ``samples`` a pixel."""
    rays = np.arange(camera.height * samples).astype(np.float64)
    return (rays + 0.5) * (camera.scale / samples) - camera.height / 2 * camera.scale


@compiled
def list_solids(camera: Camera, columns: int, solids: NDArray[np.void]) -> NDArray[np.int64]:
    """The solids in view, [solid, 3], each with the first and the last of ``columns`` bundles that it can be in.

    Those that are cheap to test come first.
    """
    spans = np.empty((solids.shape[0], 3), np.int64)
    tangent = camera.scale * camera.width / 2  # of half the field of view
    count = 0
    for cheap in (True, False):
        for number in range(solids.shape[0]):
            solid = solids[number]
            if (solid.kind in (BOX, CYLINDER)) != cheap:
                continue
            half_x, half_z, px, pz = solid.half_x, solid.half_z, solid.x - camera.x, solid.z - camera.z
            if max(abs(px) - half_x, 0.0) ** 2 + max(abs(pz) - half_z, 0.0) ** 2 >= camera.far * camera.far:
                continue
            left, right, nearest, furthest = 1e30, -1e30, 1e30, -1e30
            for corner in range(4):
                cx, cz = px + (half_x if corner & 1 else -half_x), pz + (half_z if corner & 2 else -half_z)
                ahead = cz * camera.cos_yaw - cx * camera.sin_yaw
                across = -cx * camera.cos_yaw - cz * camera.sin_yaw
                nearest, furthest = min(nearest, ahead), max(furthest, ahead)
                slope = across / max(ahead, 1e-6)
                left, right = min(left, slope), max(right, slope)
            if furthest <= 0 or (nearest > 1e-3 and (left > tangent or right < -tangent)):
                continue
            first, last = 0, columns - 1
            if nearest > 1e-3:
                first = max(int((left / tangent + 1) * columns / 2) - 1, 0)
                last = min(int((right / tangent + 1) * columns / 2) + 1, columns - 1)
            spans[count, 0], spans[count, 1], spans[count, 2] = number, first, last
            count += 1
    return spans[:count]


@compiled
def trace(
    bundle: Bundle,
    column: int,
    far: float,
    rise: NDArray[np.float64],
    ground: NDArray[np.float32],
    solids: NDArray[np.void],
    spans: NDArray[np.int64],
    depth: NDArray[np.float64],
    keys: NDArray[np.int64],
) -> None:
    """What a bundle's rays meet first: fill ``depth`` and ``keys`` [ray].

    bundle: their way over the ground. column: number of the bundle, of those that ``spans`` counts. far: what is farther
    away is not seen, in blocks over the ground. rise: see `list_rises`; ray r goes in direction (dx, rise[r], dz). ground,
    solids: of the `Scene`. spans: the solids in view, from `list_solids`. depth: how far along its direction each ray gets.
    keys: what it meets there.
    """
    meet_ground(bundle, far / bundle.flat, rise, ground, depth, keys)
    for item in range(spans.shape[0]):
        if spans[item, 1] <= column <= spans[item, 2]:
            number = spans[item, 0]
            meet_solid(bundle, rise, solids[number], SOLID_KEY + number * 32, depth, keys)


@compiled
def meet_ground(
    bundle: Bundle,
    limit: float,
    rise: NDArray[np.float64],
    ground: NDArray[np.float32],
    depth: NDArray[np.float64],
    keys: NDArray[np.int64],
) -> None:
    """Fill ``depth`` and ``keys`` as in `trace`, up to the depth ``limit``. Columns of equal height are passed as one."""
    x, y, z, dx, dz = bundle.x, bundle.y, bundle.z, bundle.dx, bundle.dz
    size, rays, lowest, per_rise = ground.shape[0], rise.shape[0], rise[0], 1.0 / (rise[1] - rise[0])
    for ray in range(rays):
        depth[ray], keys[ray] = limit, SKY_KEY
    i, j = math.floor(x), math.floor(z)
    step_i, step_j = (1 if dx > 0 else -1), (1 if dz > 0 else -1)
    side_i, side_j = (WEST if dx > 0 else EAST), (SOUTH if dz > 0 else NORTH)
    delta_i, delta_j = abs(1.0 / dx), abs(1.0 / dz)
    next_i = ((i + 1 - x) if dx > 0 else (x - i)) * delta_i
    next_j = ((j + 1 - z) if dz > 0 else (z - j)) * delta_j
    drop = ground[min(max(i, 0), size - 1), min(max(j, 0), size - 1)] - y
    open_ray, entry = 0, 0.0  # rays below it have met the ground
    while entry < limit and open_ray < rays:
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
        last = ray_at(drop / entry, lowest, per_rise, rays) if drop < 0 else 0
        for ray in range(open_ray, last):
            depth[ray] = min(drop * (1.0 / rise[ray]), limit)
            keys[ray] = TOP_KEY
        open_ray = max(open_ray, last)
        if beyond > drop and entry < limit:
            last = ray_at(beyond / entry, lowest, per_rise, rays)
            for ray in range(open_ray, last):
                depth[ray], keys[ray] = entry, ((ci << CELL_BITS) + cj) * 8 + side
            open_ray = max(open_ray, last)
        drop = beyond
    for ray in range(open_ray - 1, -1, -1):  # the last ones may lie beyond the limit
        if depth[ray] < limit:
            break
        keys[ray] = SKY_KEY


@compiled
def meet_solid(
    bundle: Bundle,
    rise: NDArray[np.float64],
    solid: Solid,
    key: int,
    depth: NDArray[np.float64],
    keys: NDArray[np.int64],
) -> None:
    """Put a solid into those of ``depth`` and ``keys`` in which it is nearest.

    One way through the function and no early return, or numba would count references to its arrays for every solid.
    """
    dx, dz = bundle.dx, bundle.dz
    px, pz, low, high = bundle.x - solid.x, bundle.z - solid.z, solid.bottom - bundle.y, solid.top - bundle.y
    rays, lowest, per_rise = rise.shape[0], rise[0], 1.0 / (rise[1] - rise[0])
    # From where to where the rays are over the outline, the bounding box's or the circle's.
    face, near, far = ROUND, 0.0, -1.0
    if solid.kind == CYLINDER:
        a, b, c = dx * dx + dz * dz, px * dx + pz * dz, px * px + pz * pz - solid.half_x * solid.half_x
        root = b * b - a * c
        if root > 0:
            root = math.sqrt(root)
            near, far = (-b - root) / a, (-b + root) / a
    else:
        inverse_x, inverse_z = 1.0 / dx, 1.0 / dz
        middle_x, radius_x = -px * inverse_x, solid.half_x * abs(inverse_x)
        middle_z, radius_z = -pz * inverse_z, solid.half_z * abs(inverse_z)
        near, far = middle_z - radius_z, min(middle_x + radius_x, middle_z + radius_z)
        face = SOUTH if dz > 0 else NORTH
        if middle_x - radius_x > near:
            near, face = middle_x - radius_x, (WEST if dx > 0 else EAST)
    met = near < far and far > 0 and (near > 0 or low >= 0 or high <= 0)  # not missed, behind, or around the eye
    near, far = max(near, 1e-6), max(far, 1e-6)
    first_wall, last_wall, first_flat, last_flat, first, last = 0, 0, 0, 0, 0, 0
    level, flat_face = high, ABOVE
    if met and solid.kind in (BOX, CYLINDER):
        first_wall = ray_at(low / near, lowest, per_rise, rays)
        last_wall = ray_at(high / near, lowest, per_rise, rays)
        if high < 0:
            first_flat, last_flat = last_wall, ray_at(high / far, lowest, per_rise, rays)
        elif low > 0:
            first_flat, last_flat = ray_at(low / far, lowest, per_rise, rays), first_wall
            level, flat_face = low, BELOW
    elif met:
        first = max(ray_at(low / (near if low < 0 else far), lowest, per_rise, rays) - 1, 0)
        last = min(ray_at(high / (near if high > 0 else far), lowest, per_rise, rays) + 1, rays)
    for ray in range(first_wall, last_wall):
        if near < depth[ray]:
            depth[ray], keys[ray] = near, key + face * 4
    for ray in range(first_flat, last_flat):
        t = level * (1.0 / rise[ray])
        if t < depth[ray]:
            depth[ray], keys[ray] = t, key + flat_face * 4
    for ray in range(first, last):
        if near < depth[ray]:
            t, face = intersect_slanting(solid, (px, bundle.y, pz), (dx, rise[ray], dz))
            if t < depth[ray]:
                depth[ray], keys[ray] = t, key + face * 4


@compiled
def ray_at(slope: float, lowest: float, per_rise: float, rays: int) -> int:
    """The first of ``rays`` that rises by at least ``slope``, or their number.

    The first rises by ``lowest``, and there are ``per_rise`` of them to a unit.
    """
    return int(min(max(np.ceil((slope - lowest) * per_rise), 0.0), float(rays)))
