"""A folder of images as a video, one image a frame. Needs the extra [report] (Pillow)."""

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .errors import EvaluationError
from .videos import Frames, file_sha256

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class ImageFolder:
    """A folder's images in natural order of their names: frame_2.png before frame_10.png. Its rate is not known."""

    rate = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def files(self) -> list[Path]:
        """The images, frame by frame; none where the folder is no video."""
        files = (file for file in self.path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        return sorted((file for file in files if not file.name.startswith(".")), key=_natural)

    @property
    def num_frames(self) -> int:
        return len(self.files)

    def read(self, start: int, stop: int) -> Frames:
        """Frames [start, stop), RGB uint8. Raises EvaluationError for images that differ in size or cannot be read."""
        first, *frames = map(self._read, (self.files[0], *self.files[start:stop]))
        for file, frame in zip(self.files[start:stop], frames, strict=True):
            if frame.shape != first.shape:
                (height, width, _), (true_height, true_width, _) = frame.shape, first.shape
                raise EvaluationError(
                    f"{self.path.name}/{file.name} is {width}x{height}, but {self.files[0].name} is "
                    f"{true_width}x{true_height}; all images of a video have one size"
                )
        return np.stack(frames)

    def fingerprint(self) -> str:
        return hashlib.sha256("".join(map(file_sha256, self.files)).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        return {"codec": self.files[0].suffix.lower().lstrip(".")}

    def close(self) -> None:
        """Nothing is kept open."""

    def _read(self, file: Path) -> np.ndarray:
        try:
            from PIL import Image, ImageOps
        except ImportError as error:
            raise ImportError(f"reading images needs Pillow: pip install pillow ({error})") from error
        try:
            with Image.open(file) as image:
                if image.mode[0] in "IF":  # Pillow would cut off what is beyond 255
                    raise ValueError("it has pixels of more than 8 bits; save it with 8")
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise EvaluationError(f"{self.path.name}/{file.name} cannot be read as an image: {error}") from error


def _natural(file: Path) -> tuple[list[tuple[int, str]], str]:
    pieces = re.findall(r"(\d+)|(\D+)", file.stem)
    return [(int(digits or 0), text) for digits, text in pieces], file.name
