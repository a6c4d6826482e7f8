"""Reading a folder of video clips with an action and a pose per frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .clip import Clip
from .dataset import Dataset
from .dataset_index import Count, DatasetIndex, FileKind
from .errors import DatasetError
from .video import read_frames, read_video


@dataclass(frozen=True, kw_only=True)
class ClipIndex(DatasetIndex):
    """What ``dataset.json`` of a clip dataset says, beside what `DatasetIndex` has.

    size: (height, width) in pixels. lossless: whether decoding gives the bytes that were recorded.
    """

    format = "millivid-clips"
    files = (FileKind("videos", ".mp4", "video_sha256"), FileKind("tables", ".safetensors", "table_sha256"))
    settings = ("fps", "size", "action_type", "action_names", "pose_names", "lossless", "source")

    size: tuple[Count, Count]
    lossless: bool = False


class ClipDataset(Dataset[ClipIndex]):
    """Reads a clip dataset folder.

    folder: holds ``dataset.json``, ``videos/<id>.mp4`` and ``tables/<id>.safetensors``. Raises DatasetError where there is
    no such dataset, or it is unfinished, or of another format or version.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, ClipIndex)

    def read(self, video: str, start: int = 0, stop: int | None = None) -> Clip:
        """Frames ``start`` up to ``stop`` (excluded; None: to the end) of a video.

        Any span costs about the same per frame: at most 15 frames before it are decoded too. Raises DatasetError where
        there is no such video, for a span outside of it, and for a missing, damaged or shortened file.
        """
        stop, path = self._check_span(video, start, stop), self._video(video)
        frames = self._of_size(path, read_video(path, start, stop))
        return Clip(frames=frames, actions=self.actions(video, start, stop), poses=self.poses(video, start, stop))

    def frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Single frames of a video, in the order of ``indices``: uint8 RGB, [index, height, width, 3].

        The same frames that `read` gives. For each at most 15 others are decoded; near ones share that work. Raises
        DatasetError as `read` does, for a frame outside of the video too.
        """
        for index in indices:
            self._check_span(video, index, None)
            self._check_span(video, index, index + 1)
        path = self._video(video)
        return self._of_size(path, read_frames(path, indices))

    def _verify_file(self, video: str, path: Path, sha256: str | None) -> None:
        super()._verify_file(video, path, sha256)
        if sha256 is None and path == self._video(video):
            self._of_size(path, read_video(path, 0, self.num_frames(video)))

    def _of_size(self, path: Path, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if frames.shape[1:3] != self.index.size:
            raise DatasetError(
                f"{path}: frames are {frames.shape[1]}x{frames.shape[2]}, but dataset.json says "
                f"{self.index.size[0]}x{self.index.size[1]}; delete it and make it again."
            )
        return frames

    def _video(self, video: str) -> Path:
        return self.index.paths(self.folder, video)[0]
