"""A clip dataset of millivid-data as a source of videos. The only module here that imports a sibling package."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from .videos import Frames, VideoSource, file_sha256

POSE = ("x", "y", "z", "yaw", "pitch")


class ClipFolder(VideoSource):
    """The videos of a clip dataset, or of one of its splits. Raises millivid-data's errors."""

    def __init__(self, path: str | os.PathLike[str], split: str | None = None) -> None:
        try:
            from millivid.data import ClipDataset
        except ImportError as error:
            raise ImportError(
                f"reading a clip dataset needs millivid-data, ./packages/data of its repository ({error})"
            ) from error
        self.dataset, self.split = ClipDataset(Path(path)), split
        self._ids = self.dataset.ids(split)
        self._checked = set[str]()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the dataset's splits that hold videos."""
        return tuple(name for name, ids in self.dataset.index.splits.items() if ids)

    def ids(self) -> list[str]:
        return self._ids

    def num_frames(self, id: str) -> int:
        return self.dataset.num_frames(id)

    def read(self, id: str, start: int, stop: int) -> Frames:
        self._check(id)
        return self.dataset.read(id, start, stop).frames

    def rate(self, id: str) -> float:
        return self.dataset.index.fps

    def poses(self, id: str) -> np.ndarray | None:
        names = self.dataset.index.pose_names
        if not set(POSE) <= set(names):
            return None
        self._check(id)
        return self.dataset.poses(id)[:, [names.index(name) for name in POSE]]

    def fingerprint(self, id: str) -> str:
        self._check(id)
        return file_sha256(self.dataset.folder / "videos" / f"{id}.mp4")

    def _check(self, id: str) -> None:
        """That its files are those that were recorded, once."""
        if id not in self._checked:
            self.dataset.check(id)
            self._checked.add(id)

    def describe(self) -> dict[str, Any]:
        index = self.dataset.index
        return {
            "kind": "clip dataset",
            "codec": "h264",
            "lossless": index.lossless,
            "split": self.split,
            "source": dict(index.source),
        }
