"""Where a ray enters a solid, and the surface normal there."""

import math

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .scene import BOX, CONE, CYLINDER, SPHERE

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
) -> tuple[float, float, float, float]:
    """Distance along the ray from the origin o in direction d to a solid (`MISS`: none), and the normal."""
    px, pz = ox - shapes[solid, 0], oz - shapes[solid, 1]
    bottom, top, half_x, half_z = shapes[solid, 2], shapes[solid, 3], shapes[solid, 4], shapes[solid, 5]
    if kind == BOX:
        return _box(px, oy, pz, dx, dy, dz, bottom, top, half_x, half_z)
    if kind == SPHERE:
        # Squash the ray so that the ellipsoid becomes a ball.
        centre, half_y = (bottom + top) / 2, (top - bottom) / 2
        ax, ay, az = px / half_x, (oy - centre) / half_y, pz / half_z
        bx, by, bz = dx / half_x, dy / half_y, dz / half_z
        a, b, c = bx * bx + by * by + bz * bz, ax * bx + ay * by + az * bz, ax * ax + ay * ay + az * az - 1
        root = b * b - a * c
        if root <= 0 or c < 0:
            return MISS, 0.0, 0.0, 0.0
        t = (-b - math.sqrt(root)) / a
        if t <= 0:
            return MISS, 0.0, 0.0, 0.0
        nx, ny, nz = (ax + t * bx) / half_x, (ay + t * by) / half_y, (az + t * bz) / half_z
        norm = 1 / math.sqrt(nx * nx + ny * ny + nz * nz)
        return t, nx * norm, ny * norm, nz * norm
    if kind == CYLINDER:
        return _cylinder(px, oy, pz, dx, dy, dz, bottom, top, half_x)
    if kind == CONE:
        return _cone(px, oy, pz, dx, dy, dz, bottom, top, half_x)
    return _pyramid(px, oy, pz, dx, dy, dz, bottom, top, half_x, half_z)


@compiled
def _box(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, hx: float, hz: float
) -> tuple[float, float, float, float]:
    # Division by zero gives infinities, which compare as they should (error_model="numpy").
    near, far = -MISS, MISS
    axis = 0
    for index in range(3):
        if index == 0:
            low, high, direction = -hx - px, hx - px, dx
        elif index == 1:
            low, high, direction = bottom - py, top - py, dy
        else:
            low, high, direction = -hz - pz, hz - pz, dz
        if direction == 0.0:
            if low > 0 or high < 0:
                return MISS, 0.0, 0.0, 0.0
            continue
        first, second = low / direction, high / direction
        if first > second:
            first, second = second, first
        if first > near:
            near, axis = first, index
        far = min(far, second)
    if near > far or near <= 0:
        return MISS, 0.0, 0.0, 0.0
    if axis == 0:
        return near, -math.copysign(1.0, dx), 0.0, 0.0
    if axis == 1:
        return near, 0.0, -math.copysign(1.0, dy), 0.0
    return near, 0.0, 0.0, -math.copysign(1.0, dz)


@compiled
def _cylinder(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, radius: float
) -> tuple[float, float, float, float]:
    a, b, c = dx * dx + dz * dz, px * dx + pz * dz, px * px + pz * pz - radius * radius
    root = b * b - a * c
    if root <= 0:
        return MISS, 0.0, 0.0, 0.0
    t = (-b - math.sqrt(root)) / a
    y = py + t * dy
    if t > 0 and bottom <= y <= top:
        return t, (px + t * dx) / radius, 0.0, (pz + t * dz) / radius
    if dy != 0.0:
        cap = top if dy < 0 else bottom
        t = (cap - py) / dy
        x, z = px + t * dx, pz + t * dz
        if t > 0 and x * x + z * z <= radius * radius:
            return t, 0.0, -math.copysign(1.0, dy), 0.0
    return MISS, 0.0, 0.0, 0.0


@compiled
def _cone(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, radius: float
) -> tuple[float, float, float, float]:
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
            return t, 0.0, -1.0, 0.0
    if best == MISS:
        return MISS, 0.0, 0.0, 0.0
    x, z = px + best * dx, pz + best * dz
    norm = 1 / math.sqrt((x * x + z * z) * (1 + slope * slope) + 1e-12)
    return best, x * norm, math.sqrt(x * x + z * z) * slope * norm, z * norm


@compiled
def _pyramid(
    px: float, py: float, pz: float, dx: float, dy: float, dz: float, bottom: float, top: float, hx: float, hz: float
) -> tuple[float, float, float, float]:
    # Clip the ray by five half spaces n.p <= offset (origin: middle of the base).
    height = top - bottom
    qy = py - bottom
    near, far = 0.0, MISS
    best_x, best_y, best_z = 0.0, 0.0, 0.0
    for side in range(5):
        nx, ny, nz, offset = 0.0, -1.0, 0.0, 0.0
        if side < 2:
            norm = 1 / math.sqrt(height * height + hx * hx)
            nx, ny, offset = (2.0 * side - 1) * height * norm, hx * norm, hx * height * norm
        elif side < 4:
            norm = 1 / math.sqrt(height * height + hz * hz)
            nz, ny, offset = (2.0 * side - 5) * height * norm, hz * norm, hz * height * norm
        outside = nx * px + ny * qy + nz * pz - offset
        along = nx * dx + ny * dy + nz * dz
        if along == 0.0:
            if outside > 0:
                return MISS, 0.0, 0.0, 0.0
            continue
        t = -outside / along
        if along < 0:
            if t > near:
                near, best_x, best_y, best_z = t, nx, ny, nz
        else:
            far = min(far, t)
    if near >= far or near <= 0:
        return MISS, 0.0, 0.0, 0.0
    return near, best_x, best_y, best_z
