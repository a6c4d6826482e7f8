"""Where a ray enters a solid, through which face, and the surface normal there."""

import math

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .scene import ABOVE, BELOW, BOX, CONE, CYLINDER, EAST, NORTH, PYRAMID, RIDGE_X, RIDGE_Z, ROUND, SOUTH, SPHERE, WEST

MISS = 1e30


@compiled
def intersect(
    kind: int,
    shapes: NDArray[np.float32],
    solid: int,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> tuple[float, int]:
    """Distance along the ray from the origin o in direction d to a solid (`MISS`: none), and the face."""
    px, pz = ox - shapes[solid, 0], oz - shapes[solid, 1]
    bottom, top, half_x, half_z = shapes[solid, 2], shapes[solid, 3], shapes[solid, 4], shapes[solid, 5]
    if kind == BOX:
        return _box(px, oy, pz, dx, dy, dz, bottom, top, half_x, half_z)
    if kind == CYLINDER:
        return _cylinder(px, oy, pz, dx, dy, dz, bottom, top, half_x)
    return intersect_slanting(kind, px, oy, pz, dx, dy, dz, bottom, top, half_x, half_z)


@compiled
def intersect_slanting(
    kind: int,
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    bottom: float,
    top: float,
    half_x: float,
    half_z: float,
) -> tuple[float, int]:
    """`intersect` for kinds whose outline changes with height; p is the origin less the centre's x and z."""
    if kind == SPHERE:
        # Squash the ray so that the ellipsoid becomes a ball.
        centre, half_y = (bottom + top) / 2, (top - bottom) / 2
        ax, ay, az = px / half_x, (py - centre) / half_y, pz / half_z
        bx, by, bz = dx / half_x, dy / half_y, dz / half_z
        a, b, c = bx * bx + by * by + bz * bz, ax * bx + ay * by + az * bz, ax * ax + ay * ay + az * az - 1
        root = b * b - a * c
        if root <= 0 or c < 0:
            return MISS, ROUND
        t = (-b - math.sqrt(root)) / a
        return (t if t > 0 else MISS), ROUND
    if kind == CONE:
        return _cone(px, py, pz, dx, dy, dz, bottom, top, half_x)
    return _roof(px, py, pz, dx, dy, dz, bottom, top, half_x, half_z, kind != RIDGE_X, kind != RIDGE_Z)


@compiled
def normal(
    kind: int, shapes: NDArray[np.float32], solid: int, face: int, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """The outward unit normal of a solid's face at a point of it."""
    bottom, top, half_x, half_z = shapes[solid, 2], shapes[solid, 3], shapes[solid, 4], shapes[solid, 5]
    height = top - bottom
    if face == ROUND:
        nx, ny, nz = x - shapes[solid, 0], 0.0, z - shapes[solid, 1]
        if kind == SPHERE:
            half_y = height / 2
            nx, ny, nz = nx / half_x**2, (y - bottom - half_y) / half_y**2, nz / half_z**2
        elif kind == CONE:
            ny = math.sqrt(nx * nx + nz * nz) * half_x / height
        norm = 1 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        return nx * norm, ny * norm, nz * norm
    nx, ny, nz = axis(face)
    if (face <= EAST and kind in (PYRAMID, RIDGE_Z)) or (face >= SOUTH and kind in (PYRAMID, RIDGE_X)):
        half = half_x if face <= EAST else half_z
        norm = 1 / math.sqrt(height * height + half * half)
        return nx * height * norm, half * norm, nz * height * norm
    return nx, ny, nz


@compiled
def axis(face: int) -> tuple[float, float, float]:
    """The direction that a face's name means; up for `ROUND`."""
    if face <= EAST:
        return 2.0 * face - 1.0, 0.0, 0.0
    if face in (SOUTH, NORTH):
        return 0.0, 0.0, 2.0 * face - 9.0
    return 0.0, (-1.0 if face == BELOW else 1.0), 0.0


@compiled
def _box(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, hx: float, hz: float
) -> tuple[float, int]:
    near, far, face = -MISS, MISS, ROUND
    for index in range(3):
        if index == 0:
            low, high, direction = -hx - px, hx - px, dx
        elif index == 1:
            low, high, direction = bottom - py, top - py, dy
        else:
            low, high, direction = -hz - pz, hz - pz, dz
        if direction == 0.0:
            if low > 0 or high < 0:
                return MISS, face
            continue
        first, second = low / direction, high / direction
        if first > second:
            first, second = second, first
        if first > near:
            near, face = first, 2 * index + (0 if direction > 0 else 1)
        far = min(far, second)
    if near > far or near <= 0:
        return MISS, face
    return near, face


@compiled
def _cylinder(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, radius: float
) -> tuple[float, int]:
    a, b, c = dx * dx + dz * dz, px * dx + pz * dz, px * px + pz * pz - radius * radius
    root = b * b - a * c
    if root <= 0:
        return MISS, ROUND
    t = (-b - math.sqrt(root)) / a
    y = py + t * dy
    if t > 0 and bottom <= y <= top:
        return t, ROUND
    if dy != 0.0:
        cap = top if dy < 0 else bottom
        t = (cap - py) / dy
        x, z = px + t * dx, pz + t * dz
        if t > 0 and x * x + z * z <= radius * radius:
            return t, (ABOVE if dy < 0 else BELOW)
    return MISS, ROUND


@compiled
def _cone(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, radius: float
) -> tuple[float, int]:
    slope = radius / (top - bottom)
    wide = (top - py) * slope  # radius of the (double) cone at the ray's origin
    narrow = -dy * slope  # and how it changes along the ray
    a = dx * dx + dz * dz - narrow * narrow
    b = px * dx + pz * dz - wide * narrow
    c = px * px + pz * pz - wide * wide
    root = b * b - a * c
    best = MISS
    if root > 0 and a != 0.0:
        root = math.sqrt(root)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            y = py + t * dy
            if 0 < t < best and bottom <= y <= top:
                best = t
    if dy > 0:  # the base, from below
        t = (bottom - py) / dy
        x, z = px + t * dx, pz + t * dz
        if 0 < t < best and x * x + z * z <= radius * radius:
            return t, BELOW
    return best, ROUND


@compiled
def _roof(
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    bottom: float,
    top: float,
    hx: float,
    hz: float,
    slant_x: bool,
    slant_z: bool,
) -> tuple[float, int]:
    """Pyramids and gable roofs: the sides towards x, towards z or both lean inwards up to the top."""
    # Clip the ray by five half spaces (origin: middle of the base).
    height = top - bottom
    qy = py - bottom
    near, far, face = 0.0, MISS, BELOW
    for side in range(5):
        if side < 2:
            sign, lean, name = (2.0 * side - 1) * height, (hx if slant_x else 0.0), WEST + side
            outside, along = sign * px + lean * qy - hx * height, sign * dx + lean * dy
        elif side < 4:
            sign, lean, name = (2.0 * side - 5) * height, (hz if slant_z else 0.0), SOUTH - 2 + side
            outside, along = sign * pz + lean * qy - hz * height, sign * dz + lean * dy
        else:
            name, outside, along = BELOW, -qy, -dy
        if along == 0.0:
            if outside > 0:
                return MISS, face
            continue
        t = -outside / along
        if along < 0:
            if t > near:
                near, face = t, name
        else:
            far = min(far, t)
    if near >= far or near <= 0:
        return MISS, face
    return near, face
