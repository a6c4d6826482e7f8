"""The tables of videos, each read once: what is done, how the camera moves, and where it is stuck or jumps."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset, ClipIndex
from ..errors import DatasetError
from ..verification import Progress
from .camera import NEGLIGIBLE, CameraPath, Steps, at_rest, camera_path, map_axes, path_steps, usual_travel
from .findings import Row, Travel
from .frames import histogram

BINS = 24
MOVES = 0.25  # share of an action's frames that must move or turn the camera, so that it counts as one that does
ACTING = 0.5  # continuous actions act where a component is at least this many times its root mean square
JUMP = 10.0  # usual steps in one frame above which the camera has jumped
STUCK_SECONDS = 1.0  # walking into something and turning away sooner is no defect


class Table(NamedTuple):
    """What is done in each frame of a video, and where its camera is, if the poses say so."""

    actions: NDArray[Any]
    path: CameraPath | None
    nan_poses: int | None  # poses that are not finite; None if there are none at all


class UsualMotion(NamedTuple):
    """What the cameras of evenly chosen videos usually do; every video is measured against it."""

    travel: Travel
    scale: NDArray[np.float64] | None  # root mean square of the components of continuous actions
    active: NDArray[np.bool_]  # [kind of action]: whether it moves or turns the camera


def read_table(dataset: ClipDataset, video: str) -> Table | DatasetError:
    """A video's table, or why it cannot be used: a damaged file, or actions that no model could be given."""
    try:
        actions, poses = dataset.actions(video), dataset.poses(video)
    except DatasetError as error:
        return error
    names = dataset.index.action_names
    if dataset.index.action_type == "continuous":
        if not np.isfinite(actions).all():
            return DatasetError(f"the actions of {video} hold NaN or infinity; make it again.")
    elif actions.min() < 0 or actions.max() >= len(names):
        lie = f"lie in {actions.min()}..{actions.max()}, but there are {len(names)} action names"
        return DatasetError(f"the actions of {video} {lie}; make it again.")
    nan_poses = int((~np.isfinite(poses).all(axis=1)).sum()) if poses.size else None
    return Table(actions, camera_path(poses, dataset.index.pose_names), nan_poses)


def usual_motion(tables: Sequence[Table], index: ClipIndex) -> UsualMotion | None:
    """How cameras usually move; None where poses have no place."""
    plane, num_kinds, scale = map_axes(index.pose_names), len(index.action_names), None
    if plane is None:
        return None
    if index.action_type == "continuous":
        every = np.concatenate([np.zeros((0, num_kinds)), *(table.actions for table in tables)])
        scale, num_kinds = np.sqrt(np.square(every).sum(axis=0) / max(len(every), 1)), 2
    steps = [path_steps(table.path) for table in tables if table.path is not None]
    travel = usual_travel(steps, plane, index.fps)
    taken, moving = np.zeros((2, num_kinds), np.int64)
    for table, change in zip(tables, steps, strict=True):
        done = _action_kinds(table.actions, scale)[1:]  # an action leads to the pose of its frame
        moved = np.isfinite(change.distance + change.look) & ~at_rest(change, travel)
        taken += np.bincount(done, minlength=num_kinds)
        moving += np.bincount(done[moved], minlength=num_kinds)
    return UsualMotion(travel, scale, (taken > 0) & (moving >= MOVES * taken))


def _action_kinds(actions: NDArray[Any], scale: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """What is done in each frame: the action; of continuous ones 1 for something, 0 for nothing much."""
    if scale is None:
        return actions.astype(np.int64)
    return np.any((np.abs(actions.astype(np.float64)) >= ACTING * scale) & (scale > 0), axis=1).astype(np.int64)


def measure_tables(
    dataset: ClipDataset, tables: Mapping[str, Table | DatasetError], usual: UsualMotion | None, progress: Progress
) -> tuple[dict[str, Row], dict[str, bytes], list[NDArray[Any]], Travel | None]:
    """Measure the tables of all videos: their rows, digests and totals of their actions, and how cameras travel.

    A table that is not among those that were read is read now. If it cannot be used, the row is an error alone.
    """
    rows: dict[str, Row] = {}
    digests, totals, turns = {}, [], np.zeros(4, np.int64)
    for video in progress(dataset.ids()):
        table = tables[video] if video in tables else read_table(dataset, video)
        if isinstance(table, DatasetError):
            rows[video] = {"error": str(table)}
            continue
        rows[video] = {}
        totals.append(_action_totals(table.actions, dataset.index))
        digests[video] = hashlib.sha256(str(table.actions.shape).encode() + table.actions.tobytes()).digest()
        if usual is not None and table.path is not None:
            motion, counts = _measure_motion(table.actions, path_steps(table.path), usual, dataset.index)
            rows[video], turns = motion, turns + counts
        rows[video]["nan_poses"] = table.nan_poses
    travel = None
    if usual is not None:
        moving, up, down = (turns[1:] / max(turns[0], 1)).tolist()
        shares = {"turning_up": up, "turning_down": down} if "yaw" in dataset.index.pose_names else {}
        travel = dataclasses.replace(usual.travel, moving=moving, **shares)
    return rows, digests, totals, travel


def _measure_motion(
    actions: NDArray[Any], steps: Steps, usual: UsualMotion, index: ClipIndex
) -> tuple[Row, tuple[int, ...]]:
    """A video's distance, turns, jumps and stuck frames, and how many frames there are, move, turn up and turn down."""
    travel, frames = usual.travel, len(actions)
    slight, jump = NEGLIGIBLE * travel.turn, JUMP * travel.step
    moving = int((steps.distance > NEGLIGIBLE * travel.step).sum())
    up, down = int((steps.yaw > slight).sum()), int((steps.yaw < -slight).sum())
    has_yaw = "yaw" in index.pose_names
    row: Row = {
        "distance": float(np.nansum(steps.above)),
        "turned": float(np.nansum(np.abs(steps.yaw))) if has_yaw else None,
        "moving": moving / frames,
        "turning": (up + down) / frames if has_yaw else None,
    }
    if index.action_names:
        stuck = at_rest(steps, travel) & usual.active[_action_kinds(actions, usual.scale)[1:]]
        edges = np.flatnonzero(np.diff(stuck.astype(np.int8), prepend=0, append=0))
        lengths = edges[1::2] - edges[::2]
        lengths = lengths[lengths >= max(2, min(round(STUCK_SECONDS * index.fps), frames - 1))]
        row |= {"stuck": float(lengths.sum() / frames), "longest_stuck": int(lengths.max(initial=0))}
    row["jumps"] = int((steps.above > jump).sum()) if jump > 0 else 0
    return row, (frames, moving, up, down)


def _action_totals(actions: NDArray[Any], index: ClipIndex) -> NDArray[Any]:
    """Of one video, [total, action]: frames and runs, or of continuous actions frames, sum, squares, low, high."""
    if index.action_type == "categorical":
        begins = np.diff(actions, prepend=-1) != 0
        return np.stack([np.bincount(some, minlength=len(index.action_names)) for some in (actions, actions[begins])])
    wide = actions.astype(np.float64)
    frames = np.full(wide.shape[1], len(wide))
    return np.stack([frames, wide.sum(axis=0), (wide**2).sum(axis=0), wide.min(axis=0), wide.max(axis=0)])


def action_rows(totals: Sequence[NDArray[Any]], index: ClipIndex) -> tuple[Row, ...]:
    """One row per name of categorical actions, from the totals of all videos."""
    if index.action_type != "categorical":
        return ()
    taken, runs = np.sum([np.zeros((2, len(index.action_names)), np.int64), *totals], axis=0)
    every = max(int(taken.sum()), 1)
    return tuple(
        {"name": name, "frames": frames, "share": frames / every, "held": frames / max(times, 1)}
        for name, frames, times in zip(index.action_names, taken.tolist(), runs.tolist(), strict=True)
    )


def component_rows(totals: Sequence[NDArray[Any]], sampled: Sequence[Table], index: ClipIndex) -> tuple[Row, ...]:
    """One row per component of continuous actions, from the totals of all videos; histograms of the sampled ones."""
    if index.action_type != "continuous" or not totals or not sampled:
        return ()
    frames, sums, squares = np.sum(totals, axis=0)[:3]
    std = np.sqrt(np.maximum(squares / frames - (sums / frames) ** 2, 0))
    numbers = np.stack([sums / frames, std, np.min(totals, axis=0)[3], np.max(totals, axis=0)[4]], axis=1).tolist()
    values = np.concatenate([table.actions for table in sampled]).T
    return tuple(
        {"name": name, "mean": mean, "std": std, "low": low, "high": high, "histogram": histogram(one, BINS)}
        for name, (mean, std, low, high), one in zip(index.action_names, numbers, values, strict=True)
    )
