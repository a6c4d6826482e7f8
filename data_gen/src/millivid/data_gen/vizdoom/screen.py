"""The engine's screen: it has fixed sizes, so a frame is cut out of the middle of a larger one and averaged."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import average_boxes

SCREENS = [(width, width * 3 // 4) for width in (160, 200, 256, 320, 400, 512, 640, 800, 1024, 1280, 1400, 1600)]
"""Width and height of the engine's screens with sides of 4 : 3, the proportion whose pixels are known to be square."""

WIDEST_VIEW = 165.0
"""Greatest angle of view, in degrees, that the engine is asked for."""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """How a frame is got from the engine.

    Attributes:
        width, height: the engine's screen in pixels.
        field_of_view: the engine's horizontal angle of view in degrees.
        size: (height, width) of the frame.
        samples: pixels of the screen along each side of a pixel of the frame.
    """

    width: int
    height: int
    field_of_view: float
    size: tuple[int, int]
    samples: int

    def frame(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], out of the engine's ``picture``: the middle, averaged over boxes."""
        height, width = (side * self.samples for side in self.size)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        return average_boxes(picture[top : top + height, left : left + width], self.samples)


def choose_screen(size: tuple[int, int], samples: int, field_of_view: float) -> Screen:
    """The smallest screen that a frame of ``size`` (height, width), rendered ``samples`` times as large, fits into.

    Raises:
        ValueError: there is none, or the screen's view would be too wide.
    """
    height, width = size
    for screen_width, screen_height in SCREENS:
        if width * samples <= screen_width and height * samples <= screen_height:
            break
    else:
        raise ValueError(
            f"size {size} with samples {samples} needs a screen of {width * samples} x {height * samples} pixels; the "
            f"engine's largest is {SCREENS[-1][0]} x {SCREENS[-1][1]}: take fewer samples or smaller frames"
        )
    tangent = math.tan(math.radians(field_of_view / 2)) * screen_width / (width * samples)
    view = 2 * math.degrees(math.atan(tangent))
    if view > WIDEST_VIEW:
        raise ValueError(
            f"field_of_view {field_of_view} of frames of size {size} needs a view of {view:.0f} degrees on the "
            f"engine's screen, which ends at {WIDEST_VIEW:.0f}: take a smaller field of view, wider frames or more samples"
        )
    return Screen(width=screen_width, height=screen_height, field_of_view=view, size=size, samples=samples)
