"""Videos that are there twice: the same file, or the same actions and nearly the same pictures."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import file_hash
from .frames import Frames, even

COMPARED = 200  # videos with the same actions whose pictures are compared, at most: some of each group
NEARLY = 3.0  # mean absolute difference of two videos' tiny frames (of 255) up to which they show the same

Groups = tuple[tuple[str, ...], ...]


def equal_files(dataset: ClipDataset, sizes: pd.Series) -> Groups:
    """Groups of videos whose files are equal, by the recorded hashes; where there are none, files of one size are hashed."""
    hashes = {video: of_video for video, (of_video, _) in dataset.index.sha256.items()}
    unknown = sizes[~sizes.index.isin(hashes)]
    for video in unknown.index[unknown.duplicated(keep=False)]:
        try:
            hashes[video] = file_hash(dataset.folder / "videos" / f"{video}.mp4")
        except DatasetError:
            continue  # found and flagged where frames are read
    return _groups({video: hashes[video] for video in dataset.ids() if video in hashes})


def nearly_equal(digests: Mapping[str, str], equal: Groups, signature: Callable[[str], Frames | None]) -> Groups:
    """Groups of videos with the same actions that look nearly the same, beyond the groups of equal files.

    digests: of the actions of each video; signature: gives its tiny frames, or None if they cannot be read.
    """
    copies = {video for group in equal for video in group[1:]}
    groups = _groups({video: digest for video, digest in digests.items() if video not in copies})
    first_like: dict[str, str] = {}
    for group in groups[: COMPARED // 2]:
        looked = {video: signature(video) for video in even(group, max(2, COMPARED // len(groups)))}
        tiny = {video: frames.astype(np.float32) for video, frames in looked.items() if frames is not None}
        for video, frames in tiny.items():
            firsts = (one for one in tiny if first_like.get(one) == one and np.abs(tiny[one] - frames).mean() <= NEARLY)
            first_like[video] = next(firsts, video)
    return _groups(first_like)


def _groups(keys: Mapping[str, str]) -> Groups:
    """Videos with equal keys, in order; those with a key of their own left out."""
    several = pd.Series(keys, dtype=object)
    several = several[several.duplicated(keep=False)]
    return tuple(tuple(group.index) for _, group in several.groupby(several, sort=False))
