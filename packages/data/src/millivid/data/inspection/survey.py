"""What a dataset usually does, from some of its tables, before all of them are measured against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset
from ..errors import DatasetError
from .deeds import check_actions
from .findings import Travel
from .motion import (
    STUCK_SECONDS,
    PoseColumns,
    Usual,
    action_kinds,
    describe_travel,
    pose_columns,
    steps,
    usual_motion,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What some videos say about all.

    Attributes:
        columns, usual, travel: None where poses have no place.
        scale: root mean square of the components of continuous actions, None for categorical ones.
        has_actions: whether anything is known about actions.
        least_stuck: frames that a stretch of being stuck has at least.
        actions: the continuous actions of these videos.
    """

    columns: PoseColumns | None
    usual: Usual | None
    travel: Travel | None
    scale: NDArray[np.float64] | None
    has_actions: bool
    least_stuck: int
    actions: list[NDArray[Any]]


def survey(dataset: ClipDataset, videos: Sequence[str]) -> Survey:
    """Read the tables of some videos; those that cannot be read are left out."""
    index = dataset.index
    columns = pose_columns(index.pose_names)
    actions, changes = [], []
    for video in videos:
        try:
            done, poses = dataset.actions(video), dataset.poses(video)
            check_actions(done, index, video)
        except DatasetError:
            continue  # found again, and flagged, when all tables are read
        actions.append(done)
        if columns is not None:
            changes.append(steps(poses, columns))
    scale = None
    if index.action_type == "continuous":
        every = np.concatenate(actions) if actions else np.zeros((0, len(index.action_names)))
        scale = np.sqrt(np.square(every, dtype=np.float64).mean(axis=0)) if len(every) else np.zeros(every.shape[1])
    usual = None
    if columns is not None:
        kinds = [action_kinds(done, scale) for done in actions]
        usual = usual_motion(changes, kinds, 2 if scale is not None else len(index.action_names))
    return Survey(
        columns=columns,
        usual=usual,
        travel=describe_travel(columns, usual, index.fps) if columns is not None and usual is not None else None,
        scale=scale,
        has_actions=bool(index.action_names),
        least_stuck=max(2, round(STUCK_SECONDS * index.fps)),
        actions=actions if scale is not None else [],
    )
