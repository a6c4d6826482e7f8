"""Side-by-side videos: truth and runs next to each other, context marked, as H.264 that every browser plays."""

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

from ..errors import EvaluationError
from ..results import Results
from .pictures import Shown, factor_for, fit_text, upscaled
from .style import CONTEXT_COLOUR

PANEL = 256
GAP = 8
HEADER = 34
FOOTER = 40
BACKGROUND, INK = "#101318", "#f0f2f5"
KEY_FRAME_DISTANCE = 12  # so that dragging the slider lands anywhere at once
BATCH = 32


def write_side_by_side(results: Results, shown: Sequence[Shown], id: str, path: Path, fps: float) -> None:
    """Write frames [0, stop) of one video: panels truth | run | run ..., and which frame it is.

    Small frames are enlarged by a whole number (nearest neighbour) to about 256 pixels. Panels have a yellow edge while
    they show context. Raises EvaluationError where the encoder is missing or fails.
    """
    frames = _compose(results, shown, id)
    first = next(frames)
    try:
        with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
            stream.options = {"crf": "20", "preset": "veryfast"}
            stream.gop_size = KEY_FRAME_DISTANCE
            stream.codec_context.max_b_frames = 0
            for image in itertools.chain((first,), frames):
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise EvaluationError(f"the side-by-side video of {id!r} cannot be encoded as H.264: {error}") from error


def _compose(results: Results, shown: Sequence[Shown], id: str) -> Iterator[Image.Image]:
    size = shown[0].videos.read(id, 0, 1).shape[1:3]
    factor = factor_for(size[0], PANEL)
    height, width = size[0] * factor, size[1] * factor
    full_width, full_height = GAP + len(shown) * (width + GAP), HEADER + height + FOOTER
    base = Image.new("RGB", (full_width + full_width % 2, full_height + full_height % 2), BACKGROUND)
    draw = ImageDraw.Draw(base)
    lefts = [GAP + i * (width + GAP) for i in range(len(shown))]
    label, small = ImageFont.load_default(16), ImageFont.load_default(15)
    for left, one in zip(lefts, shown, strict=True):
        draw.rectangle((left, 11, left + 4, 26), fill=one.colour)
        draw.text((left + 12, 18), fit_text(one.name, label, width - 14), font=label, fill=INK, anchor="lm")
    for first in range(0, results.stop, BATCH):
        batches = [one.videos.read(id, first, min(first + BATCH, results.stop)) for one in shown]
        for number, frames in enumerate(zip(*batches, strict=True), start=first):
            image = base.copy()
            draw = ImageDraw.Draw(image)
            context = number < results.start
            for left, frame in zip(lefts, frames, strict=True):
                image.paste(upscaled(frame, factor), (left, HEADER))
                if context:
                    edge = (left, HEADER, left + width - 1, HEADER + height - 1)
                    draw.rectangle(edge, outline=CONTEXT_COLOUR, width=3)
            text = f"context {number + 1}/{results.start}" if context else f"generated +{number - results.start + 1}"
            colour = CONTEXT_COLOUR if context else INK
            draw.text((GAP, HEADER + height + FOOTER // 2), text, font=small, fill=colour, anchor="lm")
            yield image
