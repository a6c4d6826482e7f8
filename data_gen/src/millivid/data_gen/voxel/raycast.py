"""One ray through the grid of columns; baked shadows; and the slow renderer, which sends every ray on its own."""

import math

import numpy as np
from numpy.typing import NDArray

from .intersect import intersect
from .jit import compiled
from .scene import Scene
from .shading import GROUND, NOTHING, SUN_X, SUN_Y, SUN_Z, ground_colour, sky_colour, skyline_crest, solid_colour

SHADOW_REACH = 9.0
SHADOW_TEXELS = 2
"""Texels of the shadow map along a block."""


@compiled
def trace(
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    far: float,
    ceiling: float,
    ground: NDArray[np.float32],
    kinds: NDArray[np.int32],
    shapes: NDArray[np.float32],
    cell_start: NDArray[np.int32],
    cell_solids: NDArray[np.int32],
) -> tuple[float, int, float, float, float]:
    """The first thing a ray meets within ``far``: distance, solid (or `GROUND`, `NOTHING`) and normal.

    Walks from column to column (Amanatides & Woo 1987). In a column, the ground is hit on its side where the ray
    enters below its top, or on its top where the ray leaves below it. Beyond the edge the outermost columns go on.
    """
    size = ground.shape[0]
    i, j = math.floor(ox), math.floor(oz)
    step_i, step_j = (1 if dx > 0 else -1), (1 if dz > 0 else -1)
    delta_i = abs(1.0 / dx) if dx != 0.0 else 1e30
    delta_j = abs(1.0 / dz) if dz != 0.0 else 1e30
    next_i = ((i + 1 - ox) if dx > 0 else (ox - i)) * delta_i if dx != 0.0 else 1e30
    next_j = ((j + 1 - oz) if dz > 0 else (oz - j)) * delta_j if dz != 0.0 else 1e30
    entry = 0.0
    best, found = far, NOTHING
    nx, ny, nz = 0.0, 0.0, 0.0
    across_i = False
    while entry < far:
        leave = min(next_i, next_j)
        ci, cj = min(max(i, 0), size - 1), min(max(j, 0), size - 1)
        if ci == i and cj == j:
            cell = i * size + j
            for item in range(cell_start[cell], cell_start[cell + 1]):
                solid = cell_solids[item]
                t, mx, my, mz = intersect(kinds[solid], shapes, solid, ox, oy, oz, dx, dy, dz)
                if t < best:
                    best, found, nx, ny, nz = t, solid, mx, my, mz
        height = ground[ci, cj]
        if oy + entry * dy < height:
            if entry < best and entry > 0.0:
                best, found = entry, GROUND
                nx, ny, nz = (-float(step_i) if across_i else 0.0), 0.0, (0.0 if across_i else -float(step_j))
        elif dy < 0.0 and oy + leave * dy < height:
            t = (height - oy) / dy
            if t < best:
                best, found, nx, ny, nz = t, GROUND, 0.0, 1.0, 0.0
        if best <= leave:
            return best, found, nx, ny, nz
        if dy > 0.0 and oy + leave * dy > ceiling:
            break
        across_i = next_i < next_j
        entry = leave
        if across_i:
            i += step_i
            next_i += delta_i
        else:
            j += step_j
            next_j += delta_j
    if best < far:
        return best, found, nx, ny, nz
    return far, NOTHING, 0.0, 1.0, 0.0


@compiled
def bake_shadows(
    ceiling: float,
    ground: NDArray[np.float32],
    kinds: NDArray[np.int32],
    shapes: NDArray[np.float32],
    cell_start: NDArray[np.int32],
    cell_solids: NDArray[np.int32],
) -> NDArray[np.float32]:
    """How much sun reaches the ground: float32 [x, z] in 0 to 1, `SHADOW_TEXELS` per block along each axis."""
    size = ground.shape[0]
    lit = np.ones((size * SHADOW_TEXELS, size * SHADOW_TEXELS), np.float32)
    for i in range(size * SHADOW_TEXELS):
        for j in range(size * SHADOW_TEXELS):
            x, z = (i + 0.5) / SHADOW_TEXELS, (j + 0.5) / SHADOW_TEXELS
            y = ground[i // SHADOW_TEXELS, j // SHADOW_TEXELS] + 0.01
            found = trace(
                x, y, z, SUN_X, SUN_Y, SUN_Z, SHADOW_REACH, ceiling, ground, kinds, shapes, cell_start, cell_solids
            )[1]
            if found != NOTHING:
                lit[i, j] = 0.0
    return lit


@compiled
def render_rays(
    x: float,
    y: float,
    z: float,
    yaw: float,
    pitch: float,
    field_of_view: float,
    far: float,
    samples: int,
    scene: Scene,
    frame: NDArray[np.uint8],
) -> None:
    """Fill ``frame``, uint8 [height, width, 3], with the view from (x, y, z); angles in radians.

    The slow twin of `render_columns`, and the way for a camera that looks up or down. ``samples`` x ``samples`` rays
    per pixel; nothing is seen beyond the horizontal distance ``far``.
    """
    # Taken apart once: reading a named tuple inside the loops would count references to its arrays for every ray.
    ground, colour, water, lit, skyline, sky = (
        scene.ground,
        scene.colour,
        scene.water,
        scene.lit,
        scene.skyline,
        scene.sky,
    )
    kinds, shapes, paints, colours, period = scene.kinds, scene.shapes, scene.paints, scene.colours, scene.period
    cell_start, cell_solids, ceiling = scene.cell_start, scene.cell_solids, scene.ceiling[0]
    height, width = frame.shape[0], frame.shape[1]
    scale = math.tan(field_of_view / 2) / (width / 2)
    sin_yaw, cos_yaw = math.sin(yaw), math.cos(yaw)
    sin_pitch, cos_pitch = math.sin(pitch), math.cos(pitch)
    for row in range(height):
        for column in range(width):
            red, green, blue = 0.0, 0.0, 0.0
            for sample in range(samples * samples):
                right = (column + (sample % samples + 0.5) / samples - width / 2) * scale
                up = (height / 2 - row - (sample // samples + 0.5) / samples) * scale
                # Ahead at yaw 0 is +z, right is -x; yaw grows to the right.
                ahead = cos_pitch + up * sin_pitch
                dx = -ahead * sin_yaw - right * cos_yaw
                dy = up * cos_pitch - sin_pitch
                dz = ahead * cos_yaw - right * sin_yaw
                flat = max(math.sqrt(dx * dx + dz * dz), 1e-6)
                t, found, nx, ny, nz = trace(
                    x, y, z, dx, dy, dz, far / flat, ceiling, ground, kinds, shapes, cell_start, cell_solids
                )
                hit_x, hit_y, hit_z = x + t * dx, y + t * dy, z + t * dz
                part = t * flat / far
                if found == NOTHING:
                    r, g, b = sky_colour(dy / flat, skyline_crest(dx, dz, skyline), sky)
                elif found == GROUND:
                    r, g, b = ground_colour(hit_x, hit_z, nx, ny, nz, dy / flat, part, ground, colour, water, lit, sky)
                else:
                    r, g, b = solid_colour(found, hit_y, nx, ny, nz, part, shapes, paints, colours, period, sky)
                red += r
                green += g
                blue += b
            weight = 255.0 / (samples * samples)
            frame[row, column, 0] = int(min(max(weight * red, 0.0), 255.0) + 0.5)
            frame[row, column, 1] = int(min(max(weight * green, 0.0), 255.0) + 0.5)
            frame[row, column, 2] = int(min(max(weight * blue, 0.0), 255.0) + 0.5)
