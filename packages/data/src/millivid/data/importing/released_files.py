"""Reading the files of the paper's released dataset (LOOPCRAFT): `.pyramid` latents and `.frames` images.

Neither has a header that says how many frames there are: counts come from the release's `index.json`, shapes from
the tokenizer. Files are mapped, not read: only what is asked for is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

RELEASED_COLUMNS = ("action", "x", "y", "z", "yaw", "pitch")
"""The six float32 numbers that the release keeps for every frame."""


@dataclass(frozen=True, eq=False)
class PyramidLevel:
    """One level of a `.pyramid` file: slices of frames are read from disk, float32 [frame, height, width, channel].

    stored: the mapped bfloat16 values, as whole numbers: [frame, channel, height, width].
    """

    stored: NDArray[np.uint16]

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, height, width, channel)."""
        frames, channels, height, width = self.stored.shape
        return (frames, height, width, channels)

    def __getitem__(self, frames: slice) -> NDArray[np.float32]:
        halves = self.stored[frames].astype(np.uint32, order="C")
        return np.ascontiguousarray((halves << 16).view(np.float32).transpose(0, 2, 3, 1))


class PyramidFile:
    """One video's latents in the release's layout.

    For every start level s, and then for every frame: levels s, s+1, ... as little-endian bfloat16 (channel, height,
    width), and the six columns. So every level also stands first in a section of its own, which is where it is read.

    num_frames: from the release's index. grids: latent grid (height, width) per level, finest first. channels: of a latent.
    levels: `PyramidLevel` of each level, finest first, exactly the stored values. columns: `RELEASED_COLUMNS`, mapped,
    float32 [frame, 6]. Raises DatasetError where the file is missing, or its size is not what these numbers make.
    """

    def __init__(self, path: Path, num_frames: int, grids: Sequence[tuple[int, int]], channels: int) -> None:
        self.path = path
        levels = [(f"level_{level}", "<u2", (channels, *grid)) for level, grid in enumerate(grids)]
        kinds = [
            np.dtype([*levels[level:], ("columns", "<f4", (len(RELEASED_COLUMNS),))]) for level in range(len(grids))
        ]
        begins = [0, *accumulate(num_frames * kind.itemsize for kind in kinds)]
        found = path.stat().st_size if path.is_file() else None
        if found != begins[-1]:
            what = "is missing" if found is None else f"has {found} bytes"
            raise DatasetError(
                f"{path} {what}; {num_frames} frames of grids {tuple(grids)} with {channels} channels make {begins[-1]}. "
                f"It is truncated, or the index or the grids belong to other files."
            )
        sections = [
            np.memmap(path, kind, "r", begin, (num_frames,)) for kind, begin in zip(kinds, begins, strict=False)
        ]
        self.levels = tuple(PyramidLevel(section[f"level_{level}"]) for level, section in enumerate(sections))
        self.columns: NDArray[np.float32] = sections[-1]["columns"]


def read_frames_file(path: str | Path, num_frames: int, start: int = 0, stop: int | None = None) -> list[bytes]:
    """The encoded images of a `.frames` file: `num_frames` little-endian uint64 end offsets, then the images.

    Raises DatasetError where the file is missing or truncated, or has offsets that do not ascend, or the span is not within
    it.
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
