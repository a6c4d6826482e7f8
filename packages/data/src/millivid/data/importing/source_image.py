"""Image files as frames, by Pillow, an extra."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..errors import DatasetError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".jp2"})
ORIENTATION = 0x112
"""The EXIF tag; from 5 on, height and width are swapped."""


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) that an image is meant to be seen at, from its header.

    Raises DatasetError where it cannot be read, or Pillow is not installed.
    """
    with _open(path) as image:
        turned = image.getexif().get(ORIENTATION, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(path: Path) -> av.VideoFrame:
    """An image, upright.

    Raises DatasetError where it cannot be read, its pixels are numbers of 32 bits, or Pillow is not installed.
    """
    with _open(path) as image:
        if image.mode in ("I", "F"):
            raise DatasetError(f"{path}: has pixels of 32 bits; save it with 8 or 16 bits")
        upright = importlib.import_module("PIL.ImageOps").exif_transpose(image)
        if upright.mode.startswith("I;16"):  # Pillow would cut off what is beyond 255
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=-1), "rgb24")
        transparent = upright.has_transparency_data
        pixels = np.asarray(upright.convert("RGBA" if transparent else "RGB"))
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgba" if transparent else "rgb24")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise DatasetError("reading images needs Pillow: pip install pillow") from error
    try:
        with pillow.open(path) as image:
            yield image
    except DatasetError:
        raise
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: cannot be read as an image ({why}); it is damaged, cut off or no image") from error
