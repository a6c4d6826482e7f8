"""Folders of videos as sources: a clip dataset, or video files and folders of images that anyone made."""

import functools
import hashlib
import os
import re
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import EvaluationError, name_some
from .videos import Frames, VideoSource, check_range, file_sha256

if TYPE_CHECKING:
    from millivid.data import VideoReader

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
POSE = ("x", "y", "z", "yaw", "pitch")


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


class ClipFolder(VideoSource):
    """The videos of a clip dataset, or of one of its splits. Raises millivid-data's errors."""

    def __init__(self, path: str | os.PathLike[str], split: str | None = None) -> None:
        self.dataset, self.split = _millivid_data("a clip dataset").ClipDataset(Path(path)), split
        self._ids = self.dataset.ids(split)
        self._check = functools.cache(self.dataset.check)  # files are as they were recorded: once a video

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

    def describe(self) -> dict[str, Any]:
        index = self.dataset.index
        return {
            "kind": "clip dataset",
            "codec": "h264",
            "lossless": index.lossless,
            "split": self.split,
            "source": dict(index.source),
        }


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


class ImageFolder:
    """A folder's images in natural order of their names: frame_2.png before frame_10.png. Its rate is not known.

    Needs the extra [report] (Pillow).
    """

    rate = None

    def __init__(self, path: Path) -> None:
        self.path = path

    @functools.cached_property
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


def _open(path: Path) -> "VideoReader | ImageFolder | None":
    if path.is_dir():
        images = ImageFolder(path)
        return images if images.files else None
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _millivid_data("video files").VideoReader(path)
    if not path.exists():
        raise EvaluationError(f"{path} is a link to nothing, and may stand for a video; mend or delete it")
    return None


def _millivid_data(what: str) -> ModuleType:
    """The one sibling that this package imports, where there is something to read with it."""
    try:
        from millivid import data
    except ImportError as error:
        raise ImportError(f"reading {what} needs millivid-data, ./packages/data of its repository ({error})") from error
    return data
