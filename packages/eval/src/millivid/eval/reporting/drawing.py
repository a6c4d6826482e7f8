"""Text and upscaled frames for pictures made of pixels (the strip, the side-by-side videos)."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..videos import Frames

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@functools.lru_cache
def font(size: int) -> Font:
    """Pillow's own font, so that every machine draws the same."""
    return ImageFont.load_default(size)


def factor_for(height: int, target: int) -> int:
    """The whole number that brings `height` nearest to `target` pixels, at least 1."""
    return max(1, round(target / height))


def upscale(frames: Frames, factor: int) -> Frames:
    """Nearest-neighbour: every pixel becomes factor x factor pixels, nothing is smoothed."""
    return np.repeat(np.repeat(frames, factor, axis=-3), factor, axis=-2)


def fit_text(draw: ImageDraw.ImageDraw, text: str, face: Font, width: float) -> str:
    """`text`, shortened with an ellipsis to `width` pixels."""
    if draw.textlength(text, font=face) <= width:
        return text
    while text and draw.textlength(text + "…", font=face) > width:
        text = text[:-1]
    return text + "…"


def canvas(width: int, height: int, colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty RGB picture and the pen for it."""
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)
