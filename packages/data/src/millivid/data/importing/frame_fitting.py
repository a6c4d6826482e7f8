"""Frames of any size, shape of pixel and orientation, made the size that a dataset has."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from ..errors import DatasetError
from ..orientation import Orientation, display_size, orientation, upright
from .import_settings import Fit

# Bicubic widens its filter when it shrinks, so that nothing aliases; the other flags are about exact rounding and chroma.
FILTER = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer functions by their number in ISO/IEC 23091-2."""


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


class FrameFitter:
    """Turns the frames of a video into uint8 RGB, [height, width, 3].

    path: the video, for errors. size: (height, width) of what comes out. fit: as for `import_videos`; None if frames are
    expected to have this size already, others are then refused. aspect: width of the video's pixels by their height.
    """

    def __init__(self, path: Path, size: tuple[int, int], fit: Fit | None, aspect: Fraction = Fraction(1)) -> None:
        self.path, self.size, self.fit, self.aspect = path, size, fit, aspect
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """One frame; raises DatasetError where it has another size, and there is no ``fit``."""
        shown, turned = display_size(frame, self.aspect), orientation(frame)
        if shown != self.size and self.fit is None:
            raise DatasetError(
                f"{self.path}: has frames of {shown[0]}x{shown[1]} pixels (height x width) among others of "
                f"{self.size[0]}x{self.size[1]}; give size=, and all are made that size"
            )
        height, width = self._scaled_size(shown)
        pixels = self._scaled(frame, *((width, height) if turned.transpose else (height, width)))
        return _crop_or_pad(upright(pixels, turned), self.size)

    def _scaled_size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """(height, width) before anything is cropped or padded."""
        if self.fit in (None, "stretch"):
            return self.size
        ratios = [Fraction(self.size[axis], shown[axis]) for axis in (0, 1)]
        scale = max(ratios) if self.fit == "crop" else min(ratios)
        return max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))

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


def _crop_or_pad(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a picture, or the picture in the middle of black, [height, width, 3]."""
    top, left = (max(0, (found - wanted) // 2) for found, wanted in zip(pixels.shape, size, strict=False))
    pixels = pixels[top : top + size[0], left : left + size[1]]
    missing = [wanted - found for found, wanted in zip(pixels.shape, size, strict=False)]
    return np.pad(pixels, [*((count // 2, count - count // 2) for count in missing), (0, 0)])
