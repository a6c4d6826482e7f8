"""Reading a folder of encoded videos: pyramids of latents with actions and poses, sliced straight from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .dataset_index import Count, DatasetIndex, FileKind
from .errors import DatasetError
from .index_file import INDEX_NAME, REMAKE
from .latent_statistics import LatentStatistics
from .table_reader import Arrays

UNMEASURED = LatentStatistics(mean=np.zeros((0, 0), np.float32), std=np.zeros((0, 0), np.float32))


@dataclass(frozen=True, kw_only=True)
class LatentIndex(DatasetIndex):
    """What ``dataset.json`` of a latent dataset says, beside what `DatasetIndex` has.

    grids: (height, width) of each level's token grid, finest level first. channels: of a latent. tokenizer: what encoded
    the frames; ``fingerprint`` tells tokenizers apart. statistics: mean and standard deviation of the training latents per
    level and channel.
    """

    format = "millivid-latents"
    files = (FileKind("latents", ".safetensors", "sha256"),)
    settings = ("fps", "action_type", "action_names", "pose_names", "grids", "channels", "tokenizer", "source")

    grids: tuple[tuple[Count, Count], ...]
    channels: Count
    tokenizer: Mapping[str, Any]
    statistics: LatentStatistics = UNMEASURED

    def arrays(self, frames: int) -> Arrays:
        """Shape and type of every array in the file of a video of so many frames."""
        levels = {
            f"level_{level}": ((frames, *grid, self.channels), np.float16) for level, grid in enumerate(self.grids)
        }
        return {**levels, **super().arrays(frames)}


class LatentDataset(Dataset[LatentIndex]):
    """Reads a latent dataset folder.

    folder: holds ``dataset.json`` and ``latents/<id>.safetensors``. Raises DatasetError where there is no such dataset, or
    it is unfinished, or of another format or version.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, LatentIndex)
        found, expected = self.index.statistics.mean.shape, (len(self.index.grids), self.index.channels)
        if found != expected:
            raise DatasetError(
                f"{self.folder / INDEX_NAME}: statistics are of {list(found)} levels and channels, but the latents have "
                f"{list(expected)}; {REMAKE}"
            )

    def read(self, video: str, level: int, start: int = 0, stop: int | None = None) -> NDArray[np.float16]:
        """Latents of one level (0: finest), frames ``start`` up to ``stop``: float16 [frame, height, width, channel].

        Only the bytes asked for are read. Raises DatasetError where there is no such video or level, for a span outside of
        the video, and for a missing or damaged file.
        """
        return self.read_spans(video, {level: [(start, self._check_span(video, start, stop))]})[level]

    def read_spans(self, video: str, spans: Mapping[int, Sequence[tuple[int, int]]]) -> dict[int, NDArray[np.float16]]:
        """Several spans of frames of several levels, with one opening of the file: what a training example is made of.

        spans: per level (0: finest), the first frame of each span and the one after its last. Returns, per level, the
        frames of its spans, one span after the other: float16 [frame, height, width, channel]. Raises DatasetError as
        `read` does.

        Only the bytes asked for are read, and the file stays open for the next call; a file that was replaced is opened
        again.
        """
        arrays = self.index.arrays(self.num_frames(video))
        for level, parts in spans.items():
            if isinstance(level, (bool, float)) or level not in range(len(self.index.grids)):
                raise DatasetError(f"{self.folder} has levels 0 to {len(self.index.grids) - 1}; got level {level}.")
            for start, stop in parts:
                self._check_span(video, start, stop)
        wanted = [(f"level_{level}", *arrays[f"level_{level}"], parts) for level, parts in spans.items()]
        return dict(zip(spans, self._table(video).read(*wanted), strict=True))
