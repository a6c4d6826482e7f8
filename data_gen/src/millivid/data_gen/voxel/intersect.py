"""Where a ray enters a solid whose outline changes with height, through which face; and a solid's surface normals."""

import math
from typing import Any

from .jit import compiled
from .scene import ABOVE, BELOW, CONE, EAST, NORTH, PYRAMID, ROUND, SOUTH, SPHERE, WEST

MISS = 1e30

Vector = tuple[float, float, float]

Solid = Any
"""A record of `SOLID`, whose fields numba reads as attributes."""


@compiled
def intersect_slanting(solid: Solid, start: Vector, direction: Vector) -> tuple[float, int]:
    """Distance along the ray to a sphere, cone or pyramid (`MISS`: none), and the face.

    ``start`` is where the ray begins, its x and z less the solid's.
    """
    if solid.kind == SPHERE:
        return _sphere(solid, start, direction)
    if solid.kind == CONE:
        return _cone(solid, start, direction)
    return _pyramid(solid, start, direction)


@compiled
def normal(solid: Solid, face: int, x: float, y: float, z: float) -> Vector:
    """The outward unit normal of a solid's face at a point of it."""
    height = solid.top - solid.bottom
    if face == ROUND:
        nx, ny, nz = x - solid.x, 0.0, z - solid.z
        if solid.kind == SPHERE:
            half_y = height / 2
            nx, ny, nz = nx / solid.half_x**2, (y - solid.bottom - half_y) / half_y**2, nz / solid.half_z**2
        elif solid.kind == CONE:
            ny = math.sqrt(nx * nx + nz * nz) * solid.half_x / height
        norm = 1 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        return nx * norm, ny * norm, nz * norm
    nx, ny, nz = axis(face)
    if solid.kind == PYRAMID and face not in (BELOW, ABOVE):
        half = solid.half_x if face <= EAST else solid.half_z
        norm = 1 / math.sqrt(height * height + half * half)
        return nx * height * norm, half * norm, nz * height * norm
    return nx, ny, nz


@compiled
def axis(face: int) -> Vector:
    """The direction that a face's name means; up for `ROUND`."""
    if face <= EAST:
        return 2.0 * face - 1.0, 0.0, 0.0
    if face in (SOUTH, NORTH):
        return 0.0, 0.0, 2.0 * face - 9.0
    return 0.0, (-1.0 if face == BELOW else 1.0), 0.0


@compiled
def _sphere(solid: Solid, start: Vector, direction: Vector) -> tuple[float, int]:
    # Squash the ray so that the ellipsoid becomes a ball.
    centre, half_y = (solid.bottom + solid.top) / 2, (solid.top - solid.bottom) / 2
    ax, ay, az = start[0] / solid.half_x, (start[1] - centre) / half_y, start[2] / solid.half_z
    bx, by, bz = direction[0] / solid.half_x, direction[1] / half_y, direction[2] / solid.half_z
    a, b, c = bx * bx + by * by + bz * bz, ax * bx + ay * by + az * bz, ax * ax + ay * ay + az * az - 1
    root = b * b - a * c
    if root <= 0 or c < 0:
        return MISS, ROUND
    t = (-b - math.sqrt(root)) / a
    return (t if t > 0 else MISS), ROUND


@compiled
def _cone(solid: Solid, start: Vector, direction: Vector) -> tuple[float, int]:
    (px, py, pz), (dx, dy, dz), radius = start, direction, solid.half_x
    slope = radius / (solid.top - solid.bottom)
    wide = (solid.top - py) * slope  # radius of the (double) cone at the ray's origin
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
            if 0 < t < best and solid.bottom <= y <= solid.top:
                best = t
    if dy > 0:  # the base, from below
        t = (solid.bottom - py) / dy
        x, z = px + t * dx, pz + t * dz
        if 0 < t < best and x * x + z * z <= radius * radius:
            return t, BELOW
    return best, ROUND


@compiled
def _pyramid(solid: Solid, start: Vector, direction: Vector) -> tuple[float, int]:
    # Clip the ray by five half spaces (origin: middle of the base).
    (px, py, pz), (dx, dy, dz) = start, direction
    height = solid.top - solid.bottom
    qy = py - solid.bottom
    near, far, face = 0.0, MISS, BELOW
    for side in range(5):
        if side < 2:
            sign, lean, name = (2.0 * side - 1) * height, solid.half_x, WEST + side
            outside, along = sign * px + lean * qy - lean * height, sign * dx + lean * dy
        elif side < 4:
            sign, lean, name = (2.0 * side - 5) * height, solid.half_z, SOUTH - 2 + side
            outside, along = sign * pz + lean * qy - lean * height, sign * dz + lean * dy
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
