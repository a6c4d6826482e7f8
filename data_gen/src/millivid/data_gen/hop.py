"""How an agent hops that holds the jump key down, as in Minecraft."""

TAKE_OFF, GRAVITY, DRAG = 0.42, 0.08, 0.98
"""Blocks per tick, blocks per tick squared, and the share of the speed that is left after a tick; 20 ticks a second."""


def hop_heights() -> tuple[float, ...]:
    """Height over the ground, in blocks, at each tick of a hop: 12 of them, up to 1.25; it begins and ends on the ground."""
    heights, speed = [0.0], TAKE_OFF
    while (height := heights[-1] + speed) > 0:
        heights.append(height)
        speed = (speed - GRAVITY) * DRAG
    return tuple(heights)
