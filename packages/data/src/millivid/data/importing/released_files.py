"""Reading the files of the paper's released dataset (LOOPCRAFT): `.pyramid` latents and `.frames` images.

Neither has a header that says how many frames there are: counts come from the release's `index.json`, shapes from
the tokenizer. Files are mapped, not read: only what is asked for is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

RELEASED_COLUMNS = ("action", "x", "y", "z", "yaw", "pitch")
"""The six float32 numbers that the release keeps for every frame."""


@dataclass(frozen=True)
class PyramidFile:
    """One video's latents in the release's layout.

    For every start level s, and then for every frame: levels s, s+1, ... as little-endian bfloat16 (channel, height,
    width), and the six columns. So every level also stands first in a section of its own, which is where it is read.

    Args:
        path: the file.
        num_frames: from the release's index.
        grids: latent grid (height, width) per level, finest first.
        channels: channels of a latent.

    Raises:
        DatasetError: the file is missing, or its size is not what these numbers make.
    """

    path: Path
    num_frames: int
    grids: Sequence[tuple[int, int]]
    channels: int

    def __post_init__(self) -> None:
        expected = self._begin(len(self.grids))
        found = self.path.stat().st_size if self.path.is_file() else None
        if found != expected:
            what = "is missing" if found is None else f"has {found} bytes"
            raise DatasetError(
                f"{self.path} {what}; {self.num_frames} frames of grids {tuple(self.grids)} with {self.channels} channels "
                f"make {expected}. It is truncated, or the index or the grids belong to other files."
            )

    def read(self, level: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Latents of a span of frames, float32 [frame, height, width, channel], exactly the stored bfloat16 values."""
        halves = self._section(level, start, stop)[f"level_{level}"].astype(np.uint32, order="C")
        return np.ascontiguousarray((halves << 16).view(np.float32).transpose(0, 2, 3, 1))

    @property
    def levels(self) -> tuple["PyramidLevel", ...]:
        """The levels, finest first, as arrays that read the frames which are asked for."""
        return tuple(PyramidLevel(self, level) for level in range(len(self.grids)))

    def columns(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """`RELEASED_COLUMNS` of a span of frames, float32 [frame, 6]."""
        return np.array(self._section(len(self.grids) - 1, start, stop)["columns"], np.float32)

    def _frame(self, level: int) -> np.dtype[Any]:
        """What a frame is in the section that begins with this level."""
        levels = [
            (f"level_{each}", "<u2", (self.channels, *self.grids[each])) for each in range(level, len(self.grids))
        ]
        return np.dtype([*levels, ("columns", "<f4", (len(RELEASED_COLUMNS),))])

    def _begin(self, level: int) -> int:
        """Where in the file a level's section begins."""
        return self.num_frames * sum(self._frame(before).itemsize for before in range(level))

    def _section(self, level: int, start: int, stop: int | None) -> NDArray[Any]:
        stop = self.num_frames if stop is None else stop
        if not 0 <= level < len(self.grids) or not 0 <= start < stop <= self.num_frames:
            raise DatasetError(
                f"{self.path}: level {level}, frames [{start}, {stop}) were asked for; it has levels 0 to "
                f"{len(self.grids) - 1} and frames [0, {self.num_frames})"
            )
        section = np.memmap(self.path, self._frame(level), "r", self._begin(level), (self.num_frames,))
        return np.asarray(section)[start:stop]


@dataclass(frozen=True)
class PyramidLevel:
    """One level of a `PyramidFile`: slices of frames are read from disk, float32 [frame, height, width, channel]."""

    file: PyramidFile
    level: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, height, width, channel)."""
        return (self.file.num_frames, *self.file.grids[self.level], self.file.channels)

    def __getitem__(self, frames: slice) -> NDArray[np.float32]:
        start, stop, step = frames.indices(self.file.num_frames)
        if step != 1 or stop <= start:
            raise DatasetError(
                f"{self.file.path}: {frames} was asked for; a span of frames, one after the other, can be read"
            )
        return self.file.read(self.level, start, stop)


def read_frames_file(path: str | Path, num_frames: int, start: int = 0, stop: int | None = None) -> list[bytes]:
    """The encoded images of a `.frames` file: `num_frames` little-endian uint64 end offsets, then the images.

    Raises:
        DatasetError: the file is missing, truncated, or has offsets that do not ascend, or the span is not within it.
    """
    path = Path(path)
    stop = num_frames if stop is None else stop
    if not 0 <= start < stop <= num_frames:
        raise DatasetError(f"{path}: frames [{start}, {stop}) were asked for; it has frames [0, {num_frames})")
    size, header = (path.stat().st_size if path.is_file() else -1), 8 * num_frames
    if size < header:
        raise DatasetError(f"{path} is missing or shorter than the {header} bytes of its {num_frames} offsets")
    content = np.memmap(path, np.uint8, "r")
    ends = header + content[:header].view("<u8").astype(np.int64)
    begins = np.concatenate([[header], ends[:-1]])
    if (ends < begins).any() or ends[-1] != size:
        raise DatasetError(
            f"{path} has {size} bytes, but its {num_frames} offsets ask for {ends[-1]}, in ascending order; it is "
            "truncated, or the index belongs to other files"
        )
    return [content[begin:end].tobytes() for begin, end in zip(begins[start:stop], ends[start:stop], strict=True)]
