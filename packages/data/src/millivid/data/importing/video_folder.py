"""The videos or images in a folder: which there are, what they are called in a dataset, their splits, and what they share."""

import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import DatasetError
from ..index_file import HIGHEST_FPS, LOWEST_FPS
from ..orientation import display_size
from ..source_video import SAME_RATE, first_frame, open_source
from .import_report import in_one_line
from .released import released_splits
from .side_tracks import SideData
from .source_image import IMAGE_SUFFIXES, image_size
from .table_files import READERS

VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for line in (
        "mp4 m4v mov qt mkv mk3d webm avi divx wmv asf flv f4v mpg mpeg mpe mpv m1v m2v vob ts mts m2ts 3gp 3g2 ogv ogm",
        "mxf dv nut rm rmvb 3gpp 3gp2 m4p mp4v mpeg4 m2p mod tod wtv",
        "gif apng y4m ivf obu h264 264 h265 265 hevc mjpg mjpeg mj2",
    )
    for ending in line.split()
)
SPLIT_FOLDERS = frozenset({"train", "test", "val", "valid", "validation"})
IMAGE_RATE = 1.0
"""Frames per second of a video that is a single image."""
LONGEST_ID = 120
"""Characters; file systems allow 255 bytes, some of which temporary names and endings take."""
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class FolderVideo:
    """A video or an image in a folder.

    name: its path in the folder, with "/" on every system. path: where it is. id: what it is called in the dataset. split:
    the split whose folder it is in, or None if folders are no splits. notes: why the id is not just the path, and what its
    tables lost. side: what its tables say, in the form that the dataset has.
    """

    name: str
    path: Path
    id: str
    split: str | None
    notes: tuple[str, ...] = ()
    side: SideData = field(default_factory=SideData)

    @property
    def is_image(self) -> bool:
        """Whether it is a single frame."""
        return self.path.suffix.lower() in IMAGE_SUFFIXES

    @property
    def bytes(self) -> dict[str, int]:
        """The sizes of its file and of its tables, -1 for what is gone."""
        files = [("video", self.path), *self.side.files.items()]
        return {what: path.stat().st_size if path.is_file() else -1 for what, path in files}


def find_videos(source: Path) -> tuple[list[FolderVideo], dict[str, Path], list[str]]:
    """All videos below a folder; all tables, by their path in it as it is and in lower case; and other files' names.

    In a folder without videos, each image is one. Hidden files and folders are left out; links to folders are followed, but
    never in a circle. Raises DatasetError where there is no such folder, neither video nor image in it, or a place in it
    that cannot be looked at.
    """
    try:
        if not source.is_dir():
            what = "is a file; a folder of videos is expected" if source.is_file() else "does not exist; check the path"
            raise DatasetError(f"{source} {what}")
        paths = sorted(_walk(source), key=lambda path: path.relative_to(source).as_posix())
    except OSError as error:
        raise DatasetError(
            f"{error.filename} cannot be looked at ({error.strerror}), so nothing is imported or dropped; make it readable, "
            f"or move it out of {source}"
        ) from error
    files: dict[str, Path] = {}
    for path in paths:
        if (other := files.setdefault(_name(path, source), path)) != path:
            raise DatasetError(f"{other} and {path} have names that differ in their bytes only; rename one")
    videos, images, tables = (
        {name: path for name, path in files.items() if path.suffix.lower() in suffixes}
        for suffixes in (VIDEO_SUFFIXES, IMAGE_SUFFIXES, frozenset(READERS))
    )
    if not videos and not images:
        raise DatasetError(
            f"{source} holds no videos (files that end in .mp4, .mov, .mkv, .webm, .avi, .gif and the like) and no images; "
            f"check the path"
        )
    if not videos:
        tables = {}  # what was done in a single frame, nobody knows
    others = [name for name in files if name not in (videos or images) and name not in tables]
    return _named(videos or images), {name.casefold(): path for name, path in tables.items()} | tables, others


def video_splits(videos: Sequence[FolderVideo], test_fraction: float) -> dict[str, list[str]]:
    """Ids per split: the folders', if all videos lie in folders named so, else chosen at random as the release's are."""
    if videos[0].split is None:
        return released_splits([video.id for video in videos], test_fraction)
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for video in videos:
        splits.setdefault(str(video.split), []).append(video.id)
    return {name: sorted(ids) for name, ids in splits.items()}


def common_size(videos: Sequence[FolderVideo]) -> tuple[int, int]:
    """(height, width) of all videos that can be read.

    Raises DatasetError where two have different ones, which it names, or none can be read.
    """
    sizes = _readable(videos, _size)
    first, expected = next(sizes)
    for video, size in sizes:
        if size != expected:
            raise DatasetError(
                f"{first.name} has frames of {expected[0]}x{expected[1]} pixels (height x width), {video.name} of "
                f"{size[0]}x{size[1]}; give size=, and all are made that size"
            )
    return expected


def first_rate(videos: Sequence[FolderVideo]) -> tuple[float, str]:
    """Frames per second of the first video that can be read, a whole number if one is near; and that video.

    Raises DatasetError where none can be read.
    """
    video, rate = next(_readable(videos, _rate))
    return rate, video.name


def _readable(
    videos: Sequence[FolderVideo], read: Callable[[FolderVideo], Found]
) -> Iterator[tuple[FolderVideo, Found]]:
    """What is found in the videos that can be read; the others are reported when their turn comes."""
    why: list[str] = []
    for video in videos:
        try:
            found = read(video)
        except DatasetError as error:
            why.append(str(error))
        else:
            yield video, found
    if len(why) == len(videos):
        raise DatasetError(f"none of the {len(videos)} videos can be read; the first: {why[0]}")


def _size(video: FolderVideo) -> tuple[int, int]:
    return image_size(video.path) if video.is_image else display_size(*first_frame(video.path))


def _rate(video: FolderVideo) -> float:
    with open_source(video.path) as opened:
        rate = opened.rate
    if not LOWEST_FPS <= rate <= HIGHEST_FPS:
        raise DatasetError(
            f"{video.path}: has {float(rate):g} frames per second; give fps=, the rate that all videos get"
        )
    whole = max(1, round(rate))
    return float(whole) if abs(rate / whole - 1) <= SAME_RATE else round(float(rate), 3)


def _walk(source: Path) -> list[Path]:
    """All files that are not hidden. Raises OSError for what cannot be looked at: it would count as gone."""
    found: list[Path] = []
    for name, folders, files in os.walk(source, followlinks=True, onerror=_raise):
        folder = Path(name)
        around = [parent for parent in folder.parents if parent.is_relative_to(source)]
        if folder.is_symlink() and folder.resolve() in {parent.resolve() for parent in around}:
            folders.clear()  # it would go round in a circle
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name != "lost+found"]
        found += [path for name in files if not name.startswith(".") and _is_file(path := folder / name)]
    return found


def _raise(error: OSError) -> None:
    raise error


def _is_file(path: Path) -> bool:
    suffix = path.suffix.lower()
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if not path.is_symlink() or error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        if suffix not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:  # it may stand for a folder
            raise OSError(error.errno, "it is a link to nothing", str(path)) from error
        return True  # reported as a video that cannot be read
    if suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES | READERS.keys():
        if not regular:
            raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
        path.open("rb").close()
    return regular


def _name(path: Path, source: Path) -> str:
    # Systems differ in how they compose accents.
    return unicodedata.normalize("NFC", in_one_line(path.relative_to(source).as_posix()))


def _named(videos: dict[str, Path]) -> list[FolderVideo]:
    heads = {name: name.split("/", 1)[0].lower() for name in videos}
    by_folder = all("/" in name and head in SPLIT_FOLDERS for name, head in heads.items())
    plain = {name: _plain_id(name.split("/", 1)[1] if by_folder else name) for name in videos}
    # Case does not count: some file systems know none.
    taken = Counter(id.casefold() for id in plain.values())
    named = []
    for name, path in videos.items():
        id, notes = plain[name], tuple[str, ...]()
        why = "other videos would have the same name" if taken[id.casefold()] > 1 else "the name is too long"
        if taken[id.casefold()] > 1 or len(id) > LONGEST_ID:
            id = f"{id[:LONGEST_ID]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
            notes = (f"called {id}: {why}",)
        named.append(FolderVideo(name=name, path=path, id=id, split=heads[name] if by_folder else None, notes=notes))
    return named


def _plain_id(name: str) -> str:
    id = re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition(".")[0])
    return f"_{id[1:]}" if id[0] in ".-" else id
