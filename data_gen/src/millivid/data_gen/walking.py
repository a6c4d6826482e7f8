"""Directions, sliding along walls and hopping."""

import math
from collections.abc import Callable

TAKE_OFF, GRAVITY, DRAG = 0.42, 0.08, 0.98
"""Blocks per tick, blocks per tick squared, and the share of the speed that is left after a tick; 20 ticks a second."""


def hop_heights() -> tuple[float, ...]:
    """Height over the ground, in blocks, at each tick of a hop in Minecraft: 12 of them, up to 1.25, the first 0."""
    heights, speed = [0.0], TAKE_OFF
    while (height := heights[-1] + speed) > 0:
        heights.append(height)
        speed = (speed - GRAVITY) * DRAG
    return tuple(heights)


HOP = hop_heights()


def direction(yaw: float) -> tuple[float, float]:
    """The step (x, z) of length 1 in direction ``yaw``, in degrees: 0 is +z, 90 is -x. Exact at right angles."""
    if yaw % 90 == 0:
        return ((0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0))[int(yaw // 90) % 4]
    return -math.sin(math.radians(yaw)), math.cos(math.radians(yaw))


def slide(dx: float, dz: float, move: Callable[[float, float], bool]) -> None:
    """Go by (dx, dz), or as much of it as a wall along x or z allows. ``move`` does it and says whether it could."""
    for part_x, part_z in ((dx, dz), (dx, 0.0), (0.0, dz)):
        if (part_x or part_z) and move(part_x, part_z):
            return
