"""Frames as PNG images that stand in the page itself."""

import base64
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 RGB [height, width, 3], as the bytes of a PNG file."""
    context = av.CodecContext.create("png", "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = "rgb24"
    context.framerate = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def address(pixels: NDArray[np.uint8]) -> str:
    """A picture as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"
