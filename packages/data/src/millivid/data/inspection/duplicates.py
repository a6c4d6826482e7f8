"""Videos that are there twice: the same file, or the same actions and nearly the same pictures."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import file_hash
from .frames import Frames
from .sampling import even

COMPARED = 200  # videos with the same actions whose pictures are compared, at most: some of each group
NEARLY = 3.0  # mean absolute difference of two videos' tiny frames (of 255) up to which they show the same

Groups = tuple[tuple[str, ...], ...]


def equal_files(dataset: ClipDataset, sizes: Mapping[str, int]) -> Groups:
    """Groups of videos whose files are equal, by the recorded hashes; where there are none, files of one size are hashed."""
    hashes = {video: of_video for video, (of_video, _) in dataset.index.sha256.items()}
    for group in _groups((size, video) for video, size in sizes.items() if video not in hashes):
        for video in group:
            try:
                hashes[video] = file_hash(dataset.folder / "videos" / f"{video}.mp4")
            except DatasetError:
                continue  # found and flagged where frames are read
    return _groups((hashes[video], video) for video in dataset.ids() if video in hashes)


def nearly_equal(digests: Mapping[str, bytes], equal: Groups, signature: Callable[[str], Frames]) -> Groups:
    """Groups of videos with the same actions that look nearly the same, beyond the groups of equal files.

    digests: of the actions of each video; signature: gives its tiny frames, or raises DatasetError.
    """
    copies = {video for group in equal for video in group[1:]}
    groups = _groups((digest, video) for video, digest in digests.items() if video not in copies)
    found: list[Sequence[str]] = []
    for group in groups[: COMPARED // 2]:
        alike: list[tuple[Frames, list[str]]] = []
        for video in even(group, max(2, COMPARED // len(groups))):
            try:
                tiny = signature(video)
            except DatasetError:
                continue
            same = [videos for first, videos in alike if np.abs(first.astype(np.float32) - tiny).mean() <= NEARLY]
            if same:
                same[0].append(video)
            else:
                alike.append((tiny, [video]))
        found += [videos for _, videos in alike]
    return _several(found)


def _groups(keys: Iterable[tuple[Hashable, str]]) -> Groups:
    """Videos with equal keys, in order; those with a key of their own left out."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for key, video in keys:
        groups[key].append(video)
    return _several(groups.values())


def _several(groups: Iterable[Sequence[str]]) -> Groups:
    return tuple(tuple(group) for group in groups if len(group) > 1)
