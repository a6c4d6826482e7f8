"""One ray through the grid of columns; baked shadows; and the slow renderer, which sends every ray on its own."""

import math

import numpy as np
from numpy.typing import NDArray

from .intersect import intersect
from .jit import compiled
from .scene import ABOVE, EAST, NORTH, SOUTH, WEST, Scene
from .shading import GROUND, NOTHING, ground_cell, ground_colour, paint_at, sky_colour, skyline_crest, solid_colour

SHADOW_HEIGHT = 6.8
"""Things higher than this above the ground throw no shadow on it, in blocks."""

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
) -> tuple[float, int, int]:
    """The first thing a ray meets within ``far``: distance, solid (or `GROUND`, `NOTHING`) and face.

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
    entry, side = 0.0, ABOVE
    best, found, best_face = far, NOTHING, ABOVE
    while entry < far:
        leave = min(next_i, next_j)
        ci, cj = min(max(i, 0), size - 1), min(max(j, 0), size - 1)
        if ci == i and cj == j:
            cell = i * size + j
            for item in range(cell_start[cell], cell_start[cell + 1]):
                solid = cell_solids[item]
                t, face = intersect(kinds[solid], shapes, solid, ox, oy, oz, dx, dy, dz)
                if t < best:
                    best, found, best_face = t, solid, face
        height = ground[ci, cj]
        if oy + entry * dy < height:
            if entry < best and entry > 0.0:
                best, found, best_face = entry, GROUND, side
        elif dy < 0.0 and oy + leave * dy < height:
            t = (height - oy) / dy
            if t < best:
                best, found, best_face = t, GROUND, ABOVE
        if best <= leave:
            return best, found, best_face
        if dy > 0.0 and oy + leave * dy > ceiling:
            break
        entry = leave
        if next_i < next_j:
            i += step_i
            next_i += delta_i
            side = WEST if step_i > 0 else EAST
        else:
            j += step_j
            next_j += delta_j
            side = SOUTH if step_j > 0 else NORTH
    if best < far:
        return best, found, best_face
    return far, NOTHING, ABOVE


@compiled
def bake_shadows(
    sun: NDArray[np.float64],
    ceiling: float,
    ground: NDArray[np.float32],
    kinds: NDArray[np.int32],
    shapes: NDArray[np.float32],
    cell_start: NDArray[np.int32],
    cell_solids: NDArray[np.int32],
) -> NDArray[np.float32]:
    """How much light from ``sun`` [3], a unit vector over the horizon, reaches the ground.

    float32 [x, z] in 0 to 1, `SHADOW_TEXELS` per block along each axis.
    """
    size = ground.shape[0]
    reach = SHADOW_HEIGHT / sun[1]
    lit = np.ones((size * SHADOW_TEXELS, size * SHADOW_TEXELS), np.float32)
    for i in range(size * SHADOW_TEXELS):
        for j in range(size * SHADOW_TEXELS):
            x, z = (i + 0.5) / SHADOW_TEXELS, (j + 0.5) / SHADOW_TEXELS
            y = ground[i // SHADOW_TEXELS, j // SHADOW_TEXELS] + 0.01
            found = trace(
                x, y, z, sun[0], sun[1], sun[2], reach, ceiling, ground, kinds, shapes, cell_start, cell_solids
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
    ground, colour, water, lit = scene.ground, scene.colour, scene.water, scene.lit
    kinds, shapes, paints, colours, period = scene.kinds, scene.shapes, scene.paints, scene.colours, scene.period
    cell_start, cell_solids, ceiling = scene.cell_start, scene.cell_solids, scene.ceiling[0]
    skyline, sky, light = scene.skyline, scene.sky, scene.light
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
                t, found, face = trace(
                    x, y, z, dx, dy, dz, far / flat, ceiling, ground, kinds, shapes, cell_start, cell_solids
                )
                hit_x, hit_y, hit_z = x + t * dx, y + t * dy, z + t * dz
                part = t * flat / far
                if found == NOTHING:
                    crest = skyline_crest(dx, dz, skyline)
                    r, g, b = sky_colour(
                        dx / flat, dy / flat, dz / flat, max(dy, 0.0) / flat < crest, crest, sky, light
                    )
                elif found == GROUND:
                    i, j = ground_cell(hit_x, hit_z, face, ground.shape[0])
                    rise = dy / flat
                    r, g, b = ground_colour(i, j, hit_x, hit_z, face, rise, part, colour, water, lit, sky, light)
                else:
                    shown = paint_at(paints[found], face, hit_x, hit_y, hit_z, found, shapes, period)
                    r, g, b = solid_colour(
                        found, shown, face, hit_x, hit_y, hit_z, part, kinds, shapes, colours, sky, light
                    )
                red += r
                green += g
                blue += b
            weight = 255.0 / (samples * samples)
            frame[row, column, 0] = int(min(max(weight * red, 0.0), 255.0) + 0.5)
            frame[row, column, 1] = int(min(max(weight * green, 0.0), 255.0) + 0.5)
            frame[row, column, 2] = int(min(max(weight * blue, 0.0), 255.0) + 0.5)
