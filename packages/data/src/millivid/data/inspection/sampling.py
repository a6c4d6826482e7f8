"""Which videos and which frames are decoded, and which are shown: the same ones every time."""

from collections.abc import Container, Mapping, Sequence

import numpy as np

from ..video import GROUP_OF_PICTURES
from .findings import Flag

LEAST_PER_SPLIT = 25  # videos of each split, if it has as many: a few test videos shall not be overlooked among many
SUSPECTS = 20  # others with the fewest bytes per frame, because black, blank and frozen videos are small
SHOWN, LEAST_SHOWN = 12, 4  # evenly chosen videos on the page, about, and those of each split at least
FLAGGED_SHOWN, SHOWN_PER_FLAG = 12, 2  # videos on the page because of their flags, at most, and those for each flag


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
    fewest = min(least, count // len(groups))
    shares = {name: max(fewest, round(count * len(ids) / total), 1) for name, ids in groups.items()}
    return [video for name, ids in groups.items() for video in even(ids, shares[name])]


def suspects(bytes_per_frame: Mapping[str, float]) -> list[str]:
    """The videos with the smallest files for their length."""
    return sorted(bytes_per_frame, key=lambda video: (bytes_per_frame[video], video))[:SUSPECTS]


def sample_moments(frames: int, count: int) -> list[int]:
    """`count` frames, evenly spread, each with a neighbour after it where the video has two frames.

    Moved to the key frames before them where that keeps them apart, which saves nearly all of the decoding.
    """
    last = max(frames - 2, 0)
    moments = sorted({int(i) for i in np.linspace(0, last, min(count, last + 1)).round()})
    keys = sorted({moment // GROUP_OF_PICTURES * GROUP_OF_PICTURES for moment in moments})
    return keys if len(keys) == len(moments) else moments


def choose_shown(
    groups: Mapping[str, Sequence[str]], spread: Sequence[str], flags: Sequence[Flag], decoded: Container[str]
) -> tuple[list[str], list[str]]:
    """Some of the evenly spread videos, and some others that have flags; frames of all of them were decoded."""
    first = [video for flag in flags for video in [v for v in flag.videos if v in decoded][:SHOWN_PER_FLAG]]
    flagged = list(dict.fromkeys(first))[:FLAGGED_SHOWN]
    others = set(spread) - set(flagged)
    left = {name: [video for video in videos if video in others] for name, videos in groups.items()}
    return sample_videos({name: videos for name, videos in left.items() if videos}, SHOWN, LEAST_SHOWN), flagged
