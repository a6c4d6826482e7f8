"""What the page shows: frames and paths of some videos, and the ways of all that were sampled."""

from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset
from .findings import Flag, Shown, VideoNumbers
from .motion import PoseColumns, returns
from .pixels import Looked
from .sampling import sample_videos
from .survey import Survey

SHOWN = 12
"""Videos that are shown because they are evenly chosen, about."""
LEAST_SHOWN = 4
"""Of those, videos of each split, if it has as many."""
FLAGGED_SHOWN = 12
"""Videos that are shown because of their flags, at most."""
SHOWN_PER_FLAG = 2
"""Of those, videos for each flag, at most."""
PATH_POINTS = 200
"""Points of each path on the map of all of them."""


def choose_shown(
    groups: Mapping[str, Sequence[str]], spread: Sequence[str], flags: Sequence[Flag], looked: Container[str]
) -> tuple[list[str], list[str]]:
    """Some of the evenly chosen videos, and some others that have flags. looked: videos whose frames are there."""
    first = [video for flag in flags for video in [v for v in flag.videos if v in looked][:SHOWN_PER_FLAG]]
    flagged = list(dict.fromkeys(first))[:FLAGGED_SHOWN]
    others = set(spread) - set(flagged)
    left = {name: [video for video in videos if video in others] for name, videos in groups.items()}
    return sample_videos({name: videos for name, videos in left.items() if videos}, SHOWN, LEAST_SHOWN), flagged


def show(dataset: ClipDataset, video: VideoNumbers, looked: Looked, about: Survey, flags: Sequence[Flag]) -> Shown:
    """What to show of one video that was looked at."""
    path, back = None, None
    if about.columns is not None and about.travel is not None:
        poses = dataset.poses(video.id)
        path, back = poses[:, about.columns.plane], np.zeros(len(poses), np.int64)
        found = returns(poses, about.columns, about.travel)
        nearest = np.searchsorted(found.frames, np.arange(len(poses)))  # the next one that was asked about
        back += found.places[nearest]
        if found.views is not None:
            back += (found.views & found.places)[nearest]
        finite = np.isfinite(path).all(axis=1)
        path, back = path[finite], back[finite]
    return Shown(
        id=video.id,
        split=video.split,
        moments=looked.moments,
        frames=looked.tiles,
        path=path,
        back=back,
        flags=tuple(flag.kind for flag in flags if video.id in flag.videos),
    )


def paths(dataset: ClipDataset, videos: Sequence[str], columns: PoseColumns | None) -> tuple[NDArray[np.float32], ...]:
    """Ways of the sampled videos, each from its own start and thinned."""
    if columns is None:
        return ()
    every = (dataset.poses(video)[:, columns.plane] for video in videos)
    whole = [finite for path in every if len(finite := path[np.isfinite(path).all(axis=1)]) > 1]
    return tuple((path - path[0])[:: -(-len(path) // PATH_POINTS)] for path in whole)
