"""Videos that are there twice: the same file, or the same actions and nearly the same pictures."""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import file_hash
from .pixels import shrink
from .sampling import even, sample_moments

COMPARED = 200
"""Videos of the same actions whose pictures are compared, at most: some of each group."""
SIGNATURE = 16
"""Pixels of the longer side of the small frames that are compared."""
NEARLY = 3.0
"""Mean absolute difference of two videos' small frames (of 255) up to which they show the same."""


def equal_files(dataset: ClipDataset, sizes: Mapping[str, int]) -> list[list[str]]:
    """Groups of videos whose files are equal, by the recorded hashes; where there are none, files of one size are hashed."""
    recorded = dataset.index.sha256
    by_size = _groups((size, video) for video, size in sizes.items() if video not in recorded)
    alike = {video for group in by_size for video in group}
    keys: list[tuple[Hashable, str]] = []
    for video in dataset.ids():
        if video in recorded:
            keys.append((recorded[video][0], video))
        elif video in alike:
            try:
                keys.append((file_hash(dataset.folder / "videos" / f"{video}.mp4"), video))
            except DatasetError:
                continue  # found and flagged where frames are read
    return _groups(keys)


def nearly_equal(
    dataset: ClipDataset, deeds: Mapping[str, bytes], known: Sequence[Sequence[str]], moments: int
) -> list[list[str]]:
    """Groups of videos that do the same and look nearly the same, beyond the known groups of equal ones.

    deeds: a digest of the actions of each video.
    """
    copies = {video for group in known for video in group[1:]}
    groups = _groups((digest, video) for video, digest in deeds.items() if video not in copies)
    found: list[list[str]] = []
    share = max(2, COMPARED // max(len(groups), 1))
    for group in groups[: COMPARED // 2]:
        alike: list[tuple[NDArray[np.float32], list[str]]] = []
        for video in even(group, share):
            try:
                frames = dataset.frames(video, sample_moments(dataset.num_frames(video), moments))
            except DatasetError:
                continue
            small = shrink(frames, SIGNATURE).astype(np.float32)
            for first, members in alike:
                if np.abs(first - small).mean() <= NEARLY:
                    members.append(video)
                    break
            else:
                alike.append((small, [video]))
        found += [members for _, members in alike if len(members) > 1]
    return found


def disk_sizes(dataset: ClipDataset, video: str) -> tuple[int | None, int | None]:
    """Bytes of a video and of its table; None for a file that is not there."""
    files = (dataset.folder / "videos" / f"{video}.mp4", dataset.folder / "tables" / f"{video}.safetensors")
    sizes: list[int | None] = []
    for file in files:
        try:
            sizes.append(os.stat(file).st_size)
        except OSError:
            sizes.append(None)
    return sizes[0], sizes[1]


def _groups(keys: Iterable[tuple[Hashable, str]]) -> list[list[str]]:
    """Videos with equal keys, in order; those with a key of their own left out."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for key, video in keys:
        groups[key].append(video)
    return [group for group in groups.values() if len(group) > 1]
