"""Settings of the maze world, and the engine's screen that they need.

The engine's screen has fixed sizes, so a frame is cut out of the middle of a larger one and averaged.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..games import average_boxes
from ..world import WorldConfig, within

SCREENS = [(width, width * 3 // 4) for width in (160, 200, 256, 320, 400, 512, 640, 800, 1024, 1280, 1400, 1600)]
"""Width and height of the engine's screens with sides of 4 : 3, the proportion whose pixels are known to be square."""

WIDEST_VIEW = 165.0
"""Greatest angle of view, in degrees, that the engine is asked for."""


def choose_screen(size: tuple[int, int], samples: int, field_of_view: float) -> tuple[int, int, float]:
    """The smallest screen that a frame of ``size`` (height, width), rendered ``samples`` times as large, fits into.

    Its width and height in pixels, and its horizontal angle of view in degrees. Raises ValueError where there is none, or
    the screen's view would be too wide.
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
    return screen_width, screen_height, view


def cut_frame(picture: NDArray[np.uint8], size: tuple[int, int], samples: int) -> NDArray[np.uint8]:
    """The frame of ``size`` (height, width) out of a screen's ``picture``: the middle, averaged over boxes of pixels."""
    height, width = (side * samples for side in size)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return average_boxes(picture[top : top + height, left : left + width], samples)


@dataclass(frozen=True, kw_only=True)
class VizdoomConfig(WorldConfig):
    """Settings of the maze world, besides those of every world; lengths in blocks, angles in degrees.

    cells: cells along a side of the maze. cell_size: distance between the centres of neighbouring cells; walls between them
    are half a block thick. moves_per_cell: forward decisions from one cell's centre to the next one's, so that whole
    decisions end there. loops: share of the walls left by the maze that are taken away: 0 is a tree, in which every way
    back is the way there. rooms: number of places where all walls among 2 x 2 to 3 x 3 cells are taken away; they may
    overlap.

    landmarks: share of the wall faces with a picture, and of the cells with a thing in a corner. field_of_view: horizontal
    angle of view. eye_height: height of the camera over the floor. samples: rendered pixels along each side of a pixel of
    the frame; more smooths edges and costs time. Raises ValueError where a value is out of range, or the engine has no
    screen for size, samples and field of view.
    """

    world: ClassVar[str] = "vizdoom"

    cells: int = within(3, 32, default=8)
    cell_size: float = within(2.5, 8.0, default=3.0)
    moves_per_cell: int = within(1, 32, default=5)
    loops: float = within(0.0, 1.0, default=0.15)
    rooms: int = within(0, 64, default=3)
    landmarks: float = within(0.0, 1.0, default=0.3)
    field_of_view: float = within(30.0, 120.0, default=85.0)
    eye_height: float = within(0.5, 2.0, default=1.6)
    samples: int = within(1, 4, default=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose_screen(self.size, self.samples, self.field_of_view)

    @property
    def step(self) -> float:
        """Blocks that a forward frame moves."""
        return self.cell_size / (self.moves_per_cell * self.frames_per_action)
