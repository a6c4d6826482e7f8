"""The sky as six pictures: the game's own sky changes with time, these do not."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millivid.data import encode_image

ZENITH, HORIZON = (70, 138, 222), (178, 212, 240)
SIDE = 128


def sky_faces() -> dict[str, NDArray[np.uint8]]:
    """The faces of a cube around the viewer, uint8 RGB [row, column, 3]: blue above, pale at the horizon and below."""
    across = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    right, down = np.meshgrid(across, across)
    side = np.arctan2(-down, np.sqrt(1 + right**2))
    top = np.arctan2(1, np.sqrt(right**2 + down**2))
    return {"top": _color(top), "bottom": _color(np.zeros_like(side)), "side": _color(side)}


def _color(elevation: NDArray[np.float64]) -> NDArray[np.uint8]:
    """From the colour of the horizon (0) to that of the zenith, which begins at 60 degrees."""
    part = 1 - np.cos(np.clip(elevation, 0, np.pi / 3) * 1.5)[..., None]
    return np.rint((1 - part) * np.array(HORIZON) + part * np.array(ZENITH)).astype(np.uint8)


def write_sky(folder: Path) -> None:
    """Write the faces, and a white dot that the strips on the screen are made of, as PNG textures of the mod."""
    folder.mkdir(parents=True)
    for name, face in sky_faces().items():
        (folder / f"millivid_{name}.png").write_bytes(encode_image(face, "png"))
    (folder / "millivid_white.png").write_bytes(encode_image(np.full((1, 1, 3), 255, np.uint8), "png"))
