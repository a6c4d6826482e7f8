"""Loops: videos that walk away and come back to the same view, which need no true frames to be judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millivid.command import ConfigError
from millivid.data import POSE_NAMES, ClipDataset
from millivid.eval import FrameMetric, loop_closure, open_videos
from millivid.eval.loop_closure import LoopClosure
from millivid.eval.motion import measure_motions, returning, walk

MEASURED_VIDEOS = 100
"""Videos of a dataset that its actions' motions are measured from, at most."""

SAME = 0.01
"""How far apart two equal places may be, in frames of the fastest action: dead reckoning in float32 is not exact."""

AWAY = 10.0
"""How far apart a frame that is away must be, in frames of the fastest action, where the camera does not turn away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Way:
    """What is done in a video, its context included, and where the camera is after each action.

    actions: int64 [frame]; poses: float32 [frame, 5].
    """

    actions: NDArray[np.int64]
    poses: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.actions)


def loop_ways(dataset: ClipDataset, ids: Sequence[str], context: int, out: int) -> dict[str, Way]:
    """For each video its recorded context, its next `out` recorded actions, and actions that lead back from there.

    So the last pose is that of the last context frame. Poses after the context are dead-reckoned from it by the motions
    that the dataset's actions have; their height does not follow the ground. Where nothing undoes an action, the camera
    turns around twice, so that ways of one `out` may have two lengths. Raises ConfigError for a dataset whose actions
    cannot return.
    """
    motions = _motions(dataset)
    ways = {}
    for id in ids:
        recorded, pose = dataset.actions(id, 0, context + out), dataset.poses(id, 0, context)
        away = recorded[context:]
        try:
            away = np.concatenate([away, returning(away, motions)])
            poses = walk(pose[-1], away, motions).astype(np.float32)
        except ValueError as error:
            names = ", ".join(f"{index} {name}" for index, name in enumerate(dataset.index.action_names))
            raise ConfigError(f"{dataset.folder} allows no loops: {error} (its actions: {names})") from error
        ways[id] = Way(actions=np.concatenate([recorded[:context], away]), poses=np.concatenate([pose, poses]))
    return ways


def loop_report(folder: str | Path, metrics: Sequence[FrameMetric]) -> dict[str, LoopClosure]:
    """How well the videos of `millivid generate` close their loops, by the name of the metric, which must be distances.

    Any generated clips will do that come back to a view; those of `loop=` all do. Raises ConfigError for clips that were not
    generated, EvaluationError for other metrics and where no camera comes back.
    """
    dataset = ClipDataset(folder)
    context = dataset.index.source.get("context")
    if "generated_by" not in dataset.index.source or not isinstance(context, int):
        raise ConfigError(f"{folder} holds no generated clips; make some with millivid generate loop=64")
    step = float(np.nanmax(np.linalg.norm(_motions(dataset)[:, :3], axis=1)))
    poses = {id: dataset.poses(id) for id in dataset.ids()}
    videos = open_videos(folder)
    return {
        metric.name: loop_closure(
            videos, poses, metric, context=context, distance=SAME * step, away_distance=AWAY * step
        )
        for metric in metrics
    }


def _motions(dataset: ClipDataset) -> NDArray[np.float64]:
    if tuple(dataset.index.pose_names) != POSE_NAMES:
        raise ConfigError(
            f"{dataset.folder} has poses of {list(dataset.index.pose_names)}; loops need {list(POSE_NAMES)}"
        )
    if dataset.index.action_type != "categorical":
        raise ConfigError(f"{dataset.folder} has continuous actions; loops need categorical ones, each with its motion")
    ids = dataset.ids()[:MEASURED_VIDEOS]
    actions, poses = [dataset.actions(id) for id in ids], [dataset.poses(id) for id in ids]
    return measure_motions(actions, poses, len(dataset.index.action_names))
