"""Which way up the frames of a video are meant to be seen."""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import SideData
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """How a stored picture becomes the one to look at: swap x and y, then mirror each."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """A frame's orientation, from its display matrix; other angles than quarter turns become the nearest."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 stumbles over side data that it does not know, such as EXIF
        turns = round(frame.rotation / 90) % 4
        return Orientation(transpose=turns % 2 == 1, flip_x=turns in (2, 3), flip_y=turns in (1, 2))
    if not isinstance(data, SideData):
        return Orientation()
    # Rows (a, b, u), (c, d, v), (x, y, w): a point (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) < abs(b):
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)


def display_size(frame: av.VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """(height, width) that a frame is meant to be seen at: square pixels, upright."""
    height, width = frame.height, max(1, round(frame.width * aspect))
    return (width, height) if orientation(frame).transpose else (height, width)


def upright(pixels: NDArray[np.uint8], turned: Orientation) -> NDArray[np.uint8]:
    """A stored picture, [height, width, colour], as it is to be seen."""
    pixels = pixels.swapaxes(0, 1) if turned.transpose else pixels
    return pixels[:: -1 if turned.flip_y else 1, :: -1 if turned.flip_x else 1]
