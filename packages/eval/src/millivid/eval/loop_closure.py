"""How well a video closes its loops: what a view shows when the camera is back, against what it showed before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from .errors import EvaluationError
from .figures import Figure, bootstrap_figure, json_number
from .frames import to_unit_range
from .metrics import FrameMetric
from .revisits import gap_bins
from .videos import VideoSource

DEFINITION = (
    "Pairs of frames with the same view between which the camera was away: for each frame that comes back, the latest "
    "such earlier one. Distance: between the two. Closure: that distance over the mean distance from the earlier one "
    "to frames in between that were away; 0 came back exactly, 1 is as far as what was seen on the way; no true frame. "
    "Frozen: nothing changed on the way, so that closure is undefined; such pairs are left out of it."
)
STILL = 1e-12
"""A mean distance up to here is that of equal frames: one grey level of one pixel of a 512x512 frame makes more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Returns:
    """One video's pairs of frames (first, second); of each, the averageable distance and the closure (nan: frozen)."""

    first: Int[np.ndarray, " pair"]
    second: Int[np.ndarray, " pair"]
    values: Float[np.ndarray, " pair"]
    closure: Float[np.ndarray, " pair"]

    @property
    def gap(self) -> Int[np.ndarray, " pair"]:
        """Frames from the first to the second."""
        return self.second - self.first

    @property
    def frozen(self) -> bool:
        """Whether nothing changes on the way of some pair."""
        return bool(np.isnan(self.closure).any())


@dataclass(frozen=True, kw_only=True)
class LoopFigures:
    """The reported distance (dB for PSNR) and closure over pairs, intervals over videos; pairs, and frozen ones."""

    distance: Figure
    closure: Figure
    pairs: int
    frozen: int

    def to_dict(self) -> dict[str, Any]:
        figures = {"distance": self.distance.to_dict(), "closure": self.closure.to_dict()}
        return {**figures, "pairs": self.pairs, "frozen_pairs": self.frozen}


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopClosure:
    """Loop closure by one metric: `overall`, `by_gap` ("1-16", "17-32", "33-64", ... frames) and each video's pairs.

    `per_video` has only videos that come back; `settings` are the tolerances.
    """

    metric: FrameMetric
    overall: LoopFigures
    by_gap: dict[str, LoopFigures]
    per_video: dict[str, Returns]
    settings: dict[str, float]

    @property
    def frozen(self) -> tuple[str, ...]:
        """Ids of videos in which nothing changes on the way of some pair."""
        return tuple(id for id, returns in self.per_video.items() if returns.frozen)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; None for what is undefined or infinite."""
        videos = {
            id: {
                "gaps": returns.gap.tolist(),
                "distance": [json_number(value) for value in self.metric.figure(returns.values)],
                "closure": [json_number(value) for value in returns.closure],
            }
            for id, returns in self.per_video.items()
        }
        return {
            "metric": self.metric.name,
            "definition": DEFINITION,
            "settings": dict(self.settings),
            **self.overall.to_dict(),
            "by_gap": {name: figures.to_dict() for name, figures in self.by_gap.items()},
            "frozen": list(self.frozen),
            "per_video": videos,
        }


def find_returns(
    poses: Float[np.ndarray, "frame 5"],
    first: int,
    *,
    distance: float = 1e-3,
    angle: float = 0.1,
    away_distance: float = 1.5,
    away_angle: float = 45.0,
) -> Int[np.ndarray, "pair 2"]:
    """Pairs (s, t), first <= s < t, of equal poses between which the camera was away; for each t the latest such s.

    poses: x, y, z, yaw, pitch. Equal: within `distance` and `angle` (degrees, of yaw and of pitch). Away: some frame in
    between is at least `away_distance` or `away_angle` from s.
    """
    poses = np.asarray(poses, np.float64)
    latest = np.full(len(poses), -1)
    for s in range(first, len(poses) - 2):
        moved, turned = _apart(poses[s], poses[s + 1 :])
        been_away = np.logical_or.accumulate((moved >= away_distance) | (turned >= away_angle))
        same = (moved <= distance) & (turned <= angle)
        latest[s + 2 :][same[1:] & been_away[:-1]] = s
    seconds = np.flatnonzero(latest >= 0)
    return np.stack([latest[seconds], seconds], axis=1)


def _apart(pose: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    yaw = (others[:, 3] - pose[3] + 180) % 360 - 180
    return np.linalg.norm(others[:, :3] - pose[:3], axis=1), np.maximum(np.abs(yaw), np.abs(others[:, 4] - pose[4]))


@torch.no_grad()
def loop_closure(
    videos: VideoSource,
    poses: Mapping[str, Float[np.ndarray, "frame 5"]],
    metric: FrameMetric,
    *,
    context: int,
    distance: float = 1e-3,
    angle: float = 0.1,
    away_distance: float = 1.5,
    away_angle: float = 45.0,
    away_frames: int = 16,
    device: torch.device | str = "cpu",
) -> LoopClosure:
    """Compare every frame that comes back, from the last context frame on, with the view's earlier frame.

    poses: of every video that is scored, by id. Tolerances as in `find_returns`; lengths are in the poses' unit. At
    most `away_frames` frames of a way, evenly spread, say how far it led. Raises EvaluationError where poses and videos
    do not go together and where no camera comes back.
    """
    if context < 1 or away_frames < 1:
        raise EvaluationError(f"context is {context} and away_frames {away_frames}; both must be at least 1")
    if not metric.is_distance:
        raise EvaluationError(
            f"{metric.label} is no distance that is 0 for equal frames; loops take psnr, lpips or lpips_vgg"
        )
    settings = {"distance": distance, "angle": angle, "away_distance": away_distance, "away_angle": away_angle}
    metric.to(device)
    per_video: dict[str, Returns] = {}
    for id, path in poses.items():
        if path.shape != (videos.num_frames(id), 5):
            raise EvaluationError(
                f"video {id!r} has {videos.num_frames(id)} frames, but poses {path.shape}; each frame needs one of x, "
                "y, z, yaw, pitch"
            )
        pairs = find_returns(path, context - 1, **settings)
        if len(pairs):
            per_video[id] = _compare(
                videos, id, np.asarray(path, np.float64), pairs, metric, settings, away_frames, device
            )
    if not per_video:
        raise EvaluationError(
            f"in none of {len(poses)} videos the camera comes back, within {distance:g} and {angle:g} degrees, to a "
            f"pose from frame {context - 1} on after being {away_distance:g} or {away_angle:g} degrees away; make loops"
        )
    gaps = np.concatenate([returns.gap for returns in per_video.values()])
    bins = [(low, high) for low, high in gap_bins(int(gaps.max())) if ((low <= gaps) & (gaps <= high)).any()]
    return LoopClosure(
        metric=metric,
        overall=_summarise(per_video, metric, None),
        by_gap={f"{low}-{high}": _summarise(per_video, metric, (low, high)) for low, high in bins},
        per_video=per_video,
        settings=settings,
    )


def _compare(
    videos: VideoSource,
    id: str,
    poses: np.ndarray,
    pairs: np.ndarray,
    metric: FrameMetric,
    settings: Mapping[str, float],
    away_frames: int,
    device: torch.device | str,
) -> Returns:
    begin = int(pairs.min())
    frames = videos.read(id, begin, int(pairs.max()) + 1)
    values, closure = [], []
    for s, t in pairs:
        moved, turned = _apart(poses[s], poses[s + 1 : t])
        away = s + 1 + np.flatnonzero((moved >= settings["away_distance"]) | (turned >= settings["away_angle"]))
        some = away[np.unique(np.linspace(0, len(away) - 1, min(away_frames, len(away))).round().astype(int))]
        images = to_unit_range(frames[np.array([t, *some]) - begin], device)
        earlier = to_unit_range(frames[s - begin][None], device).expand_as(images)
        back, *led = metric.measure(images, earlier).cpu().double().tolist()
        values.append(back)
        closure.append(back / np.mean(led) if np.mean(led) > STILL else math.nan)
    return Returns(first=pairs[:, 0], second=pairs[:, 1], values=np.array(values), closure=np.array(closure))


def _summarise(per_video: Mapping[str, Returns], metric: FrameMetric, gaps: tuple[int, int] | None) -> LoopFigures:
    low, high = gaps or (1, 2**62)
    chosen = [(r.gap >= low) & (r.gap <= high) for r in per_video.values()]
    values = [r.values[pick] for r, pick in zip(per_video.values(), chosen, strict=True)]
    closure = [r.closure[pick] for r, pick in zip(per_video.values(), chosen, strict=True)]
    defined = [c[~np.isnan(c)] for c in closure]

    def sums_and_counts(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return np.array([row.sum() for row in rows]), np.array([float(len(row)) for row in rows])

    pairs = sum(map(len, values))
    return LoopFigures(
        distance=bootstrap_figure(*sums_and_counts(values), metric.figure),
        closure=bootstrap_figure(*sums_and_counts(defined)),
        pairs=pairs,
        frozen=pairs - sum(map(len, defined)),
    )
