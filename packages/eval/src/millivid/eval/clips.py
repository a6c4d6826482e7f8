"""A clip dataset of millivid-data as a source of videos. The only module here that imports a sibling package."""

import os
from pathlib import Path
from typing import Any

from .errors import EvaluationError
from .videos import Frames, check_range


class ClipFolder:
    """The videos of a clip dataset, or of one of its splits. Raises EvaluationError for a split it does not have."""

    def __init__(self, path: str | os.PathLike[str], split: str | None = None) -> None:
        try:
            from millivid.data import ClipDataset
        except ImportError as error:
            raise ImportError(
                f"reading a clip dataset needs millivid-data: pip install 'millivid-eval[cli]' ({error})"
            ) from error
        self._dataset = ClipDataset(Path(path))
        splits = list(self._dataset.index.splits)
        if split is not None and split not in splits:
            raise EvaluationError(f"no split {split!r} in {Path(path).name}; it has: {', '.join(splits)}")
        self.split = split
        self._ids = list(self._dataset.ids(split))

    @property
    def fps(self) -> float:
        return float(self._dataset.index.fps)

    def ids(self) -> list[str]:
        return list(self._ids)

    def num_frames(self, id: str) -> int:
        return int(self._dataset.num_frames(id))

    def read(self, id: str, start: int, stop: int) -> Frames:
        check_range(id, start, stop, self.num_frames(id))
        frames: Frames = self._dataset.read(id, start, stop).frames
        return frames

    def describe(self) -> dict[str, Any]:
        index = self._dataset.index
        return {
            "kind": "clip dataset",
            "codec": "h264",
            "lossless": bool(index.lossless),
            "split": self.split,
            "source": dict(index.source or {}),
        }
