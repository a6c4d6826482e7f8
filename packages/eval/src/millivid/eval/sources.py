"""Picking the source for a path."""

import os
from pathlib import Path

from .clips import ClipFolder
from .errors import EvaluationError
from .video_files import FolderOfVideos
from .videos import VideoSource


def open_videos(path: str | os.PathLike[str], split: str | None = None) -> VideoSource:
    """A clip dataset where `path` holds dataset.json (needs millivid-data), else a folder of video files (needs av).

    `split` names a split of a clip dataset; for a plain folder it is an error. Raises EvaluationError for a path that
    is not a folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is not a folder; give a clip dataset or a folder of video files")
    if (folder / "dataset.json").is_file():
        return ClipFolder(folder, split)
    if split is not None:
        raise EvaluationError(f"{folder} holds no dataset.json, so it has no split {split!r}; leave split out")
    return FolderOfVideos(folder)
