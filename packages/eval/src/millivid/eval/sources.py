"""Folders of videos as sources: a clip dataset, or video files and folders of images that anyone made."""

import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clips import ClipFolder
from .errors import EvaluationError, name_some
from .image_folder import IMAGE_SUFFIXES, ImageFolder
from .videos import Frames, VideoSource, check_range, file_sha256

if TYPE_CHECKING:
    from millivid.data import VideoReader

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v")


def open_videos(path: str | os.PathLike[str], split: str | None = None) -> VideoSource:
    """A clip dataset where `path` holds dataset.json, else a folder of videos; video files too need millivid-data.

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


class FolderOfVideos(VideoSource):
    """Every video in a folder, in alphabetical order: files (.mp4 .webm .mkv .mov .avi .m4v) by their name without its
    ending, and folders of images (.png .jpg .jpeg .webp), one image a frame, by theirs.

    Raises EvaluationError for a folder without videos and two videos of one name; when one is read that cannot be, too, or
    millivid-data's DatasetError where it is a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._videos: "dict[str, VideoReader | ImageFolder]" = {}
        self._reading: "VideoReader | ImageFolder | None" = None
        for file in sorted(self.path.iterdir()):
            if file.name.startswith(".") or (video := _open(file)) is None:
                continue
            id = unicodedata.normalize("NFC", file.name if file.is_dir() else file.stem)  # systems differ in this
            if id in self._videos:
                raise EvaluationError(f"{self._videos[id].path.name} and {file.name} have one id; keep one of them")
            self._videos[id] = video
        if not self._videos:
            raise EvaluationError(
                f"{self.path} holds no video files ({' '.join(VIDEO_SUFFIXES)}) and no folders of images "
                f"({' '.join(IMAGE_SUFFIXES)})"
            )

    def ids(self) -> list[str]:
        return list(self._videos)

    def num_frames(self, id: str) -> int:
        return self._video(id).num_frames

    def read(self, id: str, start: int, stop: int) -> Frames:
        video = self._video(id)
        check_range(id, start, stop, video.num_frames)
        if self._reading is not None and self._reading is not video:
            self._reading.close()
        self._reading = video
        return video.read(start, stop)

    def rate(self, id: str) -> float | None:
        return self._video(id).rate

    def fingerprint(self, id: str) -> str:
        video = self._video(id)
        return video.fingerprint() if isinstance(video, ImageFolder) else file_sha256(video.path)

    def describe(self) -> dict[str, Any]:
        """What the first video is like: codec, and of a file pixel format and key-frame distance."""
        return {"kind": "folder of videos", **self._videos[self.ids()[0]].describe()}

    def _video(self, id: str) -> "VideoReader | ImageFolder":
        if id not in self._videos:
            raise EvaluationError(f"no video {id!r} in {self.path.name}; it has {name_some(self.ids())}")
        return self._videos[id]


def _open(path: Path) -> "VideoReader | ImageFolder | None":
    if path.is_dir():
        images = ImageFolder(path)
        return images if images.files else None
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        if not path.exists():
            raise EvaluationError(f"{path} is a link to nothing, and may stand for a video; mend or delete it")
        return None
    try:
        from millivid.data import VideoReader
    except ImportError as error:
        raise ImportError(
            f"reading video files needs millivid-data, ./packages/data of its repository ({error})"
        ) from error
    return VideoReader(path)
