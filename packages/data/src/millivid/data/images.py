"""One frame as an image file."""

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

CODECS = {"png": ("png", "rgb24"), "jpg": ("mjpeg", "yuvj444p")}
JPEG_SCALE = 2
"""ffmpeg's quality scale, 1 the best and 31 the worst; 2 is about quality 95."""


def encode_image(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """A frame, uint8 RGB [height, width, 3], as the content of a ``png`` (exact) or ``jpg`` file.

    Raises ValueError for another kind, or pixels of another form.
    """
    if kind not in CODECS:
        raise ValueError(f"kind must be one of {', '.join(CODECS)}; got {kind!r}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must be uint8 [height, width, 3]; got {pixels.dtype} {list(pixels.shape)}")
    codec, pixel_format = CODECS[kind]
    context = VideoCodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = pixel_format
    context.framerate = 1  # type: ignore[assignment]
    context.thread_count = 1
    if kind == "jpg":
        context.qmin = context.qmax = JPEG_SCALE
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
