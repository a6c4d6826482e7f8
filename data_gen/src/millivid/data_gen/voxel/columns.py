"""The fast renderer: with a level camera the rays of a pixel column go the same way over the ground, all at once."""

import math

import numpy as np
from numpy.typing import NDArray

from .column_hits import CELL_BITS, SKY_KEY, SOLID_KEY, TOP_KEY, list_solids, meet_ground, meet_solid
from .jit import compiled
from .scene import ABOVE, PLAIN, Scene
from .shading import ground_colour, paint_at, sky_colour, skyline_crest, solid_colour

MOUNTAIN_KEY = SKY_KEY - 2
"""A key besides those of `column_hits`: the far mountains."""


@compiled
def render_columns(
    x: float,
    y: float,
    z: float,
    yaw: float,
    field_of_view: float,
    far: float,
    samples: int,
    scene: Scene,
    frame: NDArray[np.uint8],
) -> None:
    """Fill ``frame``, uint8 [height, width, 3], with the level view from (x, y, z); angles in radians.

    Gives what `render_rays` gives with pitch 0, many times as fast: the grid is walked once per column of rays, a solid
    is tried once per column, and samples of a pixel that show the same thing are shaded once, at their mean.
    """
    # Taken apart once: reading a named tuple inside the loops would count references to its arrays.
    ground, colour, water, lit = scene.ground, scene.colour, scene.water, scene.lit
    kinds, shapes, paints, colours, period = scene.kinds, scene.shapes, scene.paints, scene.colours, scene.period
    skyline, sky, light = scene.skyline, scene.sky, scene.light
    size = ground.shape[0]
    height, width = frame.shape[0], frame.shape[1]
    rows, area = height * samples, samples * samples
    scale = math.tan(field_of_view / 2) / (width / 2)
    rise = (np.arange(rows) + 0.5) * (scale / samples) - height / 2 * scale  # dy of each row, from the bottom up
    inverse = 1.0 / rise
    spans = np.empty((kinds.shape[0], 3), np.int64)
    num_solids = list_solids(x, z, yaw, scale * width / 2, far, width * samples, kinds, shapes, spans)
    depth, keys = np.empty((rows, samples)), np.empty((rows, samples), np.int64)
    shares = 1.0 / np.arange(area + 1)
    pixel_depth, pixel_keys = depth.ravel(), keys.ravel()  # views: a pixel's samples lie together
    for pixel in range(width):
        for sub in range(samples):
            dx, dz, flat = _way(pixel + (sub + 0.5) / samples, yaw, width, scale)
            crest = skyline_crest(dx, dz, skyline) * flat
            meet_ground(x, y, z, dx, dz, far / flat, rise, inverse, ground, sub, depth, keys)
            column = pixel * samples + sub
            for item in range(num_solids):
                solid = spans[item, 0]
                if spans[item, 1] <= column <= spans[item, 2]:
                    meet_solid(solid, x, y, z, dx, dz, rise, inverse, kinds[solid], shapes, sub, depth, keys)
            # Say more exactly what is seen, so that equal keys mean an equal colour, but for light and fog.
            for row in range(rows):
                key, t = keys[row, sub], depth[row, sub]
                if key == SKY_KEY:
                    if max(rise[row], 0.0) < crest:
                        keys[row, sub] = MOUNTAIN_KEY
                elif key == TOP_KEY:
                    i, j = math.floor(x + t * dx), math.floor(z + t * dz)
                    i, j = min(max(i, 0), size - 1), min(max(j, 0), size - 1)
                    keys[row, sub] = ((i << CELL_BITS) + j) * 8 + ABOVE
                elif key >= SOLID_KEY:
                    solid, face = (key - SOLID_KEY) >> 5, (key >> 2) & 7
                    if paints[solid] != PLAIN:
                        hit_x, hit_y, hit_z = x + t * dx, y + t * rise[row], z + t * dz
                        keys[row, sub] += paint_at(paints[solid], face, hit_x, hit_y, hit_z, solid, shapes, period)
        dx, dz, flat = _way(pixel + 0.5, yaw, width, scale)
        crest = skyline_crest(dx, dz, skyline)
        per_flat, per_far = 1.0 / flat, flat / far
        for line in range(height):
            start = (height - 1 - line) * area
            up = (height / 2 - line - 0.5) * scale
            red, green, blue = 0.0, 0.0, 0.0
            sample, done, left = 0, 0, area  # done has a bit for each of the pixel's samples
            while left > 0:
                while (done >> sample) & 1:
                    sample += 1
                key, t, count = pixel_keys[start + sample], 0.0, 0
                for other in range(area):
                    same = pixel_keys[start + other] == key
                    done |= same << other
                    t += pixel_depth[start + other] if same else 0.0
                    count += same
                left -= count
                t *= shares[count]
                hit_x, hit_y, hit_z, part = x + t * dx, y + t * up, z + t * dz, t * per_far
                if key < 0:
                    r, g, b = sky_colour(
                        dx * per_flat, up * per_flat, dz * per_flat, key == MOUNTAIN_KEY, crest, sky, light
                    )
                elif key < SOLID_KEY:
                    i, j = key >> (CELL_BITS + 3), (key >> 3) & ((1 << CELL_BITS) - 1)
                    r, g, b = ground_colour(
                        i, j, hit_x, hit_z, key & 7, up * per_flat, part, colour, water, lit, sky, light
                    )
                else:
                    solid, face = (key - SOLID_KEY) >> 5, (key >> 2) & 7
                    r, g, b = solid_colour(
                        solid, key & 3, face, hit_x, hit_y, hit_z, part, kinds, shapes, colours, sky, light
                    )
                red, green, blue = red + count * r, green + count * g, blue + count * b
            weight = 255.0 / area
            frame[line, pixel, 0] = int(min(max(weight * red, 0.0), 255.0) + 0.5)
            frame[line, pixel, 1] = int(min(max(weight * green, 0.0), 255.0) + 0.5)
            frame[line, pixel, 2] = int(min(max(weight * blue, 0.0), 255.0) + 0.5)


@compiled
def _way(across: float, yaw: float, width: int, scale: float) -> tuple[float, float, float]:
    """Horizontal direction of the rays ``across`` pixels from the left, and its length."""
    right = (across - width / 2) * scale
    # Ahead at yaw 0 is +z, right is -x; yaw grows to the right.
    dx, dz = -math.sin(yaw) - right * math.cos(yaw), math.cos(yaw) - right * math.sin(yaw)
    dx, dz = dx or 1e-12, dz or 1e-12  # so that there is no division by zero
    return dx, dz, math.sqrt(dx * dx + dz * dz)
