"""The time of day: where the sun or the moon stands, the colours of light and sky, and the far skyline."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUNRISE, SUNSET = 5.0, 19.0
NOON_ELEVATION = math.radians(62)
"""Of the sun at 12 and of the moon at 0."""

LOWEST = 0.17
"""Sine of the lowest elevation that light comes from, so that no shadow is endless."""

DISC = math.cos(math.radians(2.5))

# Hour; in hexadecimal, zenith, horizon, mountains, the disc, the light from all around and that from the sun or the moon; and
# how much light windows give. Between these hours all of it changes evenly.
HOURS = (
    (0.0, "0a0f2b 26335c 171f3d ebf0fa 525c80 1c2433", 1.0),
    (4.5, "0d1230 2b365e 1a2140 ebf0fa 545e80 141a24", 1.0),
    (5.5, "3d5299 f2b29e 70668f ffcc99 80788f 422b1f", 0.7),
    (7.0, "5785d6 f7dbbd 8f94b2 ffebb8 8c8a94 856645", 0.0),
    (9.5, "5491e6 d4e6f5 8ca8cf fff7db 999ca3 736957", 0.0),
    (12.0, "4080e6 c7e3fa 82a6d6 fffae6 a1a1a6 737069", 0.0),
    (15.0, "578fe0 dbe6eb 91a8c7 fff7d6 9c9999 756b57", 0.0),
    (17.0, "6680c7 fcd49e 998a99 ffedad 998c8c 8f6338", 0.0),
    (18.3, "57529e fc9e6b 805775 ffc773 8c7885 804521", 0.6),
    (19.5, "24265c 94667a 423861 ff9966 6b6382 1a1417", 1.0),
    (20.5, "0d1230 2e3861 1a2142 ebf0fa 545e80 141a24", 1.0),
    (24.0, "0a0f2b 26335c 171f3d ebf0fa 525c80 1c2433", 1.0),
)

# From and to which hour, and how often a world has such a time.
PARTS_OF_DAY = ((6.0, 9.0, 0.2), (9.0, 14.0, 0.35), (14.0, 16.5, 0.2), (16.5, 18.6, 0.17), (20.5, 27.5, 0.08))

GLASS_BY_DAY, GLASS_BY_NIGHT = (0.30, 0.42, 0.55), (1.00, 0.80, 0.42)

# The fixed sun's skies: zenith, horizon, mountains.
FIXED_SKIES = (
    ((0.32, 0.55, 0.88), (0.80, 0.89, 0.96), (0.55, 0.66, 0.80)),  # noon
    ((0.42, 0.60, 0.86), (0.93, 0.88, 0.80), (0.62, 0.62, 0.72)),  # haze
    ((0.44, 0.48, 0.78), (0.98, 0.80, 0.70), (0.58, 0.48, 0.62)),  # evening
)
FIXED_SUN = (0.49, 0.755, -0.4355)


@dataclass(frozen=True, kw_only=True, eq=False)
class Daylight:
    """Arrays of that name in `Scene`."""

    sky: NDArray[np.float64]
    light: NDArray[np.float64]


def draw_hour(rng: np.random.Generator) -> float:
    """An hour, 0 to 24: most often of the day, seldom of the night."""
    part = int(rng.choice(len(PARTS_OF_DAY), p=[share for _, _, share in PARTS_OF_DAY]))
    first, last, _ = PARTS_OF_DAY[part]
    return float(rng.uniform(first, last)) % 24.0


def sun_direction(hour: float) -> NDArray[np.float64]:
    """Towards the sun, by night the moon: float64 [3], a unit vector.

    It rises in the east (-x), stands in the south (-z) at 12 or 0, and sets in the west (+x). +z is north, as a camera
    with yaw 0 has +x on its left.
    """
    if SUNRISE <= hour < SUNSET:
        turn = (hour - 12.0) / (SUNSET - SUNRISE) * math.pi
    else:
        turn = ((hour + 12.0) % 24.0 - 12.0) / (24.0 - SUNSET + SUNRISE) * math.pi
    up = max(math.cos(turn) * math.sin(NOON_ELEVATION), LOWEST)
    west, north = math.sin(turn), -math.cos(turn) * math.cos(NOON_ELEVATION)
    flat = math.sqrt(1 - up * up) / math.hypot(west, north)
    return np.array([west * flat, up, north * flat])


def make_daylight(hour: float) -> Daylight:
    """Light and sky at an hour from 0 to 24."""
    hours = [row[0] for row in HOURS]
    colours = np.array([list(bytes.fromhex(row[1])) for row in HOURS]) / 255  # [hour, 6 * 3]
    now = np.array([np.interp(hour, hours, channel) for channel in colours.T]).reshape(6, 3)
    zenith, horizon, mountains, disc, around, sun = now
    glow = float(np.interp(hour, hours, [row[2] for row in HOURS]))
    glass = np.asarray(GLASS_BY_DAY) * (1 - glow) + np.asarray(GLASS_BY_NIGHT) * glow
    return Daylight(
        sky=np.asarray([zenith, horizon, mountains, disc, glass]),
        light=np.asarray([sun_direction(hour), around, sun, (DISC, glow, 0.0)]),
    )


def make_fixed_daylight(rng: np.random.Generator) -> Daylight:
    """The light that is the same in all worlds, under one of three skies."""
    zenith, horizon, mountains = FIXED_SKIES[int(rng.integers(len(FIXED_SKIES)))]
    return Daylight(
        sky=np.asarray([zenith, horizon, mountains, (1.0, 0.97, 0.86), GLASS_BY_DAY]),
        light=np.asarray([FIXED_SUN, (0.62, 0.62, 0.62), (0.42, 0.42, 0.42), (2.0, 0.0, 0.0)]),
    )


def make_skyline(rng: np.random.Generator, directions: int = 512) -> NDArray[np.float32]:
    """Far mountains: tangent of their elevation in every direction round the circle, smooth and never negative."""
    angle = np.arange(directions) * (2 * np.pi / directions)
    height = np.zeros(directions)
    for waves in (1, 2, 3, 5, 7):
        height += rng.normal() / waves**0.6 * np.sin(waves * angle + rng.uniform(0, 2 * np.pi))
    return (0.10 + 0.075 * height).clip(0, 0.32).astype(np.float32)
