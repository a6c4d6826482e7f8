"""Which videos and which frames are looked at: the same ones every time."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..video import GROUP_OF_PICTURES

LEAST_PER_SPLIT = 25
"""Videos of each split that are sampled, if it has as many: a few test videos shall not be overlooked among many."""
SUSPECTS = 20
"""Videos that are sampled beyond the evenly chosen ones: those with the fewest bytes per frame, because black, blank and
frozen videos are small."""


def even(ids: Sequence[str], count: int) -> list[str]:
    """`count` of the ids, evenly spread, the first and the last among them; all if there are no more."""
    if len(ids) <= count:
        return list(ids)
    return [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]


def sample_videos(groups: Mapping[str, Sequence[str]], count: int, least: int = LEAST_PER_SPLIT) -> list[str]:
    """About `count` ids, evenly from each group by its share, yet at least `least` of each."""
    total = sum(map(len, groups.values()))
    if total <= count:
        return [video for ids in groups.values() for video in ids]
    return [
        video
        for ids in groups.values()
        for video in even(ids, max(min(least, count // len(groups)), round(count * len(ids) / total), 1))
    ]


def suspects(bytes_per_frame: Mapping[str, float], count: int = SUSPECTS) -> list[str]:
    """The videos with the smallest files for their length."""
    return sorted(bytes_per_frame, key=lambda video: (bytes_per_frame[video], video))[:count]


def sample_moments(frames: int, count: int) -> list[int]:
    """`count` frames, evenly spread, each with a neighbour after it where the video has two frames.

    Moved to the key frames before them where that keeps them apart, which saves nearly all of the decoding.
    """
    last = max(frames - 2, 0)
    moments = sorted({int(i) for i in np.linspace(0, last, min(count, last + 1)).round()})
    keys = sorted({moment // GROUP_OF_PICTURES * GROUP_OF_PICTURES for moment in moments})
    return keys if len(keys) == len(moments) else moments
