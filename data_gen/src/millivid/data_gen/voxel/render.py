"""A frame: what the rays of every pixel meet, and its colour."""

import math

import numpy as np
from numpy.typing import NDArray

from .jit import compiled
from .rays import (
    CELL_BITS,
    SKY_KEY,
    SOLID_KEY,
    TOP_KEY,
    Camera,
    list_rises,
    list_solids,
    make_bundle,
    trace,
)
from .scene import ABOVE, Scene
from .shading import ground_colour, paint_at, sky_colour, skyline_crest, solid_colour

MOUNTAIN_KEY, COUNTED = SKY_KEY - 2, SKY_KEY - 4
"""Keys besides those of `rays`: the far mountains; and what is in a pixel's colour already."""


@compiled
def render(camera: Camera, samples: int, scene: Scene, frame: NDArray[np.uint8]) -> None:
    """Fill ``frame``, uint8 [height, width, 3], with ``samples`` x ``samples`` rays per pixel.

    Those of a pixel that show the same thing are shaded once, at their mean.
    """
    # Taken apart once: reading a named tuple inside the loops would count references to its arrays.
    ground, colour, solids, skyline, sky = scene.ground, scene.colour, scene.solids, scene.skyline, scene.sky
    height, width, area, size = camera.height, camera.width, samples * samples, ground.shape[0]
    rise, spans = list_rises(camera, samples), list_solids(camera, width * samples, solids)
    depth, keys = np.empty((samples, height * samples)), np.empty((samples, height * samples), np.int64)
    seen, distance = np.empty(area, np.int64), np.empty(area)  # of one pixel
    for pixel in range(width):
        for sub in range(samples):
            bundle = make_bundle(camera, pixel + (sub + 0.5) / samples)
            trace(bundle, pixel * samples + sub, camera.far, rise, ground, solids, spans, depth[sub], keys[sub])
            crest = skyline_crest(bundle.dx, bundle.dz, skyline) * bundle.flat
            # Say more exactly what is seen, so that equal keys mean an equal colour, but for light and fog.
            for ray in range(height * samples):
                key, t = keys[sub, ray], depth[sub, ray]
                if key == SKY_KEY:
                    if max(rise[ray], 0.0) < crest:
                        keys[sub, ray] = MOUNTAIN_KEY
                elif key == TOP_KEY:
                    i, j = math.floor(bundle.x + t * bundle.dx), math.floor(bundle.z + t * bundle.dz)
                    i, j = min(max(i, 0), size - 1), min(max(j, 0), size - 1)
                    keys[sub, ray] = ((i << CELL_BITS) + j) * 8 + ABOVE
                elif key >= SOLID_KEY:
                    y = bundle.y + t * rise[ray]
                    keys[sub, ray] += paint_at(solids[(key - SOLID_KEY) >> 5], (key >> 2) & 7, y)
        middle = make_bundle(camera, pixel + 0.5)
        crest = skyline_crest(middle.dx, middle.dz, skyline)
        for row in range(height):
            up = (height / 2 - row - 0.5) * camera.scale
            for sample in range(area):
                sub, ray = sample % samples, (height - 1 - row) * samples + sample // samples
                seen[sample], distance[sample] = keys[sub, ray], depth[sub, ray]
            red, green, blue = 0.0, 0.0, 0.0
            for sample in range(area):
                key, t, count = seen[sample], 0.0, 0
                if key == COUNTED:
                    continue
                for other in range(sample, area):
                    if seen[other] == key:
                        t += distance[other]
                        count += 1
                        seen[other] = COUNTED
                t *= 1.0 / count
                part = t * (middle.flat / camera.far)
                if key < 0:
                    r, g, b = sky_colour(up * (1.0 / middle.flat), key == MOUNTAIN_KEY, crest, sky)
                elif key < SOLID_KEY:
                    i, j = key >> (CELL_BITS + 3), (key >> 3) & ((1 << CELL_BITS) - 1)
                    r, g, b = ground_colour(i, j, key & 7, part, colour, sky)
                else:
                    hit = middle.x + t * middle.dx, middle.y + t * up, middle.z + t * middle.dz
                    r, g, b = solid_colour(solids[(key - SOLID_KEY) >> 5], key & 3, (key >> 2) & 7, hit, part, sky)
                red, green, blue = red + count * r, green + count * g, blue + count * b
            weight = 255.0 / area
            frame[row, pixel, 0] = int(min(max(weight * red, 0.0), 255.0) + 0.5)
            frame[row, pixel, 1] = int(min(max(weight * green, 0.0), 255.0) + 0.5)
            frame[row, pixel, 2] = int(min(max(weight * blue, 0.0), 255.0) + 0.5)
