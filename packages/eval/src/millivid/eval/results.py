"""What an evaluation found, as frozen values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .horizons import Horizon
from .metrics import FrameMetric, PSNRMetric


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One metric of one run. `values` may be averaged (squared errors for PSNR); everything else is reported figures.

    `frames`: every frame of every video. `curve`: per frame over all videos. `horizons`, `per_video`, `stderr` by
    horizon name: the figure, each video's own figure, and its standard error over videos (nan, undefined, for a single
    video or an infinite figure). `extra`: further figures by name, each by horizon name. Figures are +inf where PSNR is
    (identical frames), never nan.
    """

    values: Float[np.ndarray, "video frame"]
    frames: Float[np.ndarray, "video frame"]
    curve: Float[np.ndarray, " frame"]
    horizons: dict[str, float]
    per_video: dict[str, Float[np.ndarray, " video"]]
    stderr: dict[str, float]
    extra: dict[str, dict[str, float]]

    @classmethod
    def summarise(cls, metric: FrameMetric, values: np.ndarray, horizons: tuple[Horizon, ...]) -> "Scores":
        """Figures of averageable `values` (video, frame) over `horizons`."""
        per_video = {h.name: metric.figure(values[:, h.span], axis=1) for h in horizons}
        extra: dict[str, dict[str, float]] = {}
        if isinstance(metric, PSNRMetric):
            extra["frame_mean"] = {h.name: metric.frame_mean(values[:, h.span]) for h in horizons}
        return cls(
            values=values,
            frames=metric.figure(values[None], axis=0),
            curve=metric.figure(values, axis=0),
            horizons={h.name: float(metric.figure(values[:, h.span])) for h in horizons},
            per_video=per_video,
            stderr={name: standard_error(figures) for name, figures in per_video.items()},
            extra=extra,
        )

    def to_dict(self) -> dict[str, Any]:
        horizons = {
            name: {
                "value": json_number(value),
                "standard_error": json_number(self.stderr[name]),
                **{key: json_number(figures[name]) for key, figures in self.extra.items()},
                "per_video": [json_number(v) for v in self.per_video[name]],
            }
            for name, value in self.horizons.items()
        }
        return {"horizons": horizons, "curve": [json_number(v) for v in self.curve]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """Scores of every run, `scores[run][metric name]`, and what they were computed over.

    Frames [start, stop) of every video in `ids` were compared; generated frame 1 is frame `start`. `sizes` are the
    (width, height) that occur. `skipped` says, by metric name, why a metric is not there.
    """

    ids: tuple[str, ...]
    start: int
    stop: int
    fps: float
    sizes: tuple[tuple[int, int], ...]
    horizons: tuple[Horizon, ...]
    metrics: tuple[FrameMetric, ...]
    skipped: dict[str, str]
    scores: dict[str, dict[str, Scores]]
    device: str
    seconds: float

    @property
    def num_frames(self) -> int:
        """Frames compared per video."""
        return self.stop - self.start

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values. Infinite figures (PSNR of identical frames) and undefined errors become None."""
        return {
            "videos": len(self.ids),
            "ids": list(self.ids),
            "start": self.start,
            "stop": self.stop,
            "frames": self.num_frames,
            "fps": json_number(self.fps),
            "sizes": [list(size) for size in self.sizes],
            "device": self.device,
            "seconds": round(self.seconds, 2),
            "horizons": [{"name": h.name, "first": h.first, "last": h.last} for h in self.horizons],
            "metrics": {metric.name: metric.describe() for metric in self.metrics},
            "skipped": dict(self.skipped),
            "runs": {
                run: {name: scores.to_dict() for name, scores in by_metric.items()}
                for run, by_metric in self.scores.items()
            },
        }


def standard_error(figures: Float[np.ndarray, " video"]) -> float:
    """Standard error of the mean over videos; nan for one video or an infinite figure."""
    if len(figures) < 2 or not np.isfinite(figures).all():
        return math.nan
    return float(figures.std(ddof=1) / math.sqrt(len(figures)))


def json_number(value: float) -> float | None:
    """Six significant digits, and None for what JSON has no number for."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None
