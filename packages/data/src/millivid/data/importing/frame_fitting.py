"""Frames of any size, shape of pixel and orientation, made the size that a dataset has."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from ..errors import DatasetError

Fit = Literal["crop", "pad", "stretch"]
# Bicubic widens its filter when it shrinks, so that nothing aliases; the other flags are about exact rounding and chroma.
FILTER = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer functions by their number in ISO/IEC 23091-2."""


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How a stored picture becomes the one to look at: swap x and y, then mirror each."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """A frame's orientation, from its display matrix; other angles than quarter turns become the nearest."""
    data = frame.side_data.get("DISPLAYMATRIX")
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


def picture_notes(frame: av.VideoFrame, aspect: Fraction) -> list[str]:
    """What was done to the frames of a video, or should have been, besides scaling."""
    notes = []
    if orientation(frame) != Orientation():
        notes.append("turned upright, as its header says")
    if aspect != 1:
        notes.append(f"its pixels are {aspect.numerator}:{aspect.denominator}; stretched to square ones")
    if frame.interlaced_frame:
        notes.append("interlaced; read as whole frames, moving edges look like combs")
    if frame.color_trc in HDR_TRANSFERS:
        notes.append(
            f"high dynamic range ({HDR_TRANSFERS[frame.color_trc]}); read without tone mapping, so it looks pale"
        )
    return notes


def scaled_size(shown: tuple[int, int], size: tuple[int, int], fit: Fit) -> tuple[int, int]:
    """(height, width) to scale a picture to, before it is cropped or padded to ``size``."""
    if fit == "stretch":
        return size
    ratios = [Fraction(size[axis], shown[axis]) for axis in (0, 1)]
    scale = max(ratios) if fit == "crop" else min(ratios)
    return max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))


def crop_or_pad(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a picture, or the picture in the middle of black, [height, width, 3]."""
    for axis, wanted in enumerate(size):
        excess = pixels.shape[axis] - wanted
        if excess > 0:
            pixels = np.take(pixels, range(excess // 2, excess // 2 + wanted), axis)
        elif excess < 0:
            before = -excess // 2
            widths = [(before, -excess - before) if here == axis else (0, 0) for here in range(3)]
            pixels = np.pad(pixels, widths)
    return pixels


class FrameFitter:
    """Turns the frames of a video into uint8 RGB, [height, width, 3].

    Args:
        path: the video, for errors.
        size: (height, width) of what comes out.
        fit: as for `import_videos`.
        scaling: False if frames are expected to have this size already; others are then refused.
        aspect: width of the video's pixels by their height.
    """

    def __init__(self, path: Path, size: tuple[int, int], fit: Fit, *, scaling: bool, aspect: Fraction) -> None:
        self.path = path
        self.size = size
        self.fit: Fit = fit
        self.scaling = scaling
        self.aspect = aspect
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """One frame.

        Raises:
            DatasetError: it has another size, and ``scaling`` is off.
        """
        shown, turned = display_size(frame, self.aspect), orientation(frame)
        if shown != self.size and not self.scaling:
            raise DatasetError(
                f"{self.path}: has frames of {shown[0]}x{shown[1]} pixels (height x width) among others of "
                f"{self.size[0]}x{self.size[1]}; give size=, and all are made that size"
            )
        height, width = scaled_size(shown, self.size, self.fit)
        if turned.transpose:
            height, width = width, height
        pixels = self._scaled(frame, height, width)
        if turned.transpose:
            pixels = pixels.swapaxes(0, 1)
        pixels = pixels[:: -1 if turned.flip_y else 1, :: -1 if turned.flip_x else 1]
        return crop_or_pad(pixels, self.size)

    def _scaled(self, frame: av.VideoFrame, height: int, width: int) -> NDArray[np.uint8]:
        transparent = any(component.is_alpha for component in frame.format.components)
        pixel_format = "rgba" if transparent else "rgb24"
        picture = self._reformatter.reformat(
            frame, width=width, height=height, format=pixel_format, interpolation=int(FILTER)
        )
        pixels = picture.to_ndarray().astype(np.uint8, copy=False)
        if transparent:  # on black
            alpha = pixels[..., 3:].astype(np.uint16)
            pixels = ((pixels[..., :3] * alpha + 127) // 255).astype(np.uint8)
        return pixels
