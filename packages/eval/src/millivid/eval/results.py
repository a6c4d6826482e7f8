"""What an evaluation found, as frozen values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .figures import Figure, bootstrap_figure, json_number
from .horizons import Horizon
from .memory import Memory
from .metrics import FrameMetric, Metric, PSNRMetric
from .set_metrics import SetMetric
from .sets import SetFigure


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One frame metric of one run. `values` may be averaged (squared errors for PSNR); all else are reported figures.

    `frames`: every frame of every video. `curve`: per frame over all videos. `horizons`, `per_video` by horizon name: the
    figure, and each video's own. `extra`: further figures by name, each by horizon name. Figures are +inf where PSNR is
    (identical frames), never nan.
    """

    values: Float[np.ndarray, "video frame"]
    frames: Float[np.ndarray, "video frame"]
    curve: Float[np.ndarray, " frame"]
    horizons: dict[str, Figure]
    per_video: dict[str, Float[np.ndarray, " video"]]
    extra: dict[str, dict[str, float]]

    @classmethod
    def summarise(cls, metric: FrameMetric, values: np.ndarray, horizons: tuple[Horizon, ...], seed: int) -> "Scores":
        """Figures of averageable `values` (video, frame) over `horizons`."""
        extra: dict[str, dict[str, float]] = {}
        if isinstance(metric, PSNRMetric):
            extra["frame_mean"] = {h.name: metric.frame_mean(values[:, h.span]) for h in horizons}

        def over(horizon: Horizon) -> Figure:
            part = values[:, horizon.span]
            counts = np.full(len(part), float(part.shape[1]))
            return bootstrap_figure(part.sum(axis=1), counts, metric.figure, seed=seed)

        return cls(
            values=values,
            frames=metric.figure(values),
            curve=metric.figure(values.mean(axis=0)),
            horizons={h.name: over(h) for h in horizons},
            per_video={h.name: metric.figure(values[:, h.span].mean(axis=1)) for h in horizons},
            extra=extra,
        )

    def to_dict(self) -> dict[str, Any]:
        horizons = {
            name: {
                **figure.to_dict(),
                **{key: json_number(figures[name]) for key, figures in self.extra.items()},
                "per_video": [json_number(v) for v in self.per_video[name]],
            }
            for name, figure in self.horizons.items()
        }
        return {"horizons": horizons, "curve": [json_number(v) for v in self.curve]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """Scores of every run, and what they were computed over.

    Frames [start, stop) of every video in `ids` were compared; generated frame 1 is frame `start`. `reference_videos`: how
    many the reference has. `sizes` are the (width, height) that occur. `scores[run][metric]` for metrics of frames,
    `sets[run][metric][horizon]` for those of sets, in the order of `metrics`. `skipped` says, by metric name, why one is not
    there. `memory` is None where `skipped["memory"]` says why. `hashes`, `reference_hash`: over the videos'
    fingerprints.
    """

    ids: tuple[str, ...]
    reference_videos: int
    start: int
    stop: int
    fps: float
    sizes: tuple[tuple[int, int], ...]
    horizons: tuple[Horizon, ...]
    metrics: tuple[Metric, ...]
    skipped: dict[str, str]
    scores: dict[str, dict[str, Scores]]
    sets: dict[str, dict[str, dict[str, SetFigure]]]
    memory: Memory | None
    hashes: dict[str, str | None]
    reference_hash: str | None
    seed: int
    device: str
    seconds: float

    @property
    def num_frames(self) -> int:
        """Frames compared per video."""
        return self.stop - self.start

    @property
    def frame_metrics(self) -> tuple[FrameMetric, ...]:
        """Those with a value per frame, and so with curves."""
        return tuple(metric for metric in self.metrics if isinstance(metric, FrameMetric))

    @property
    def set_metrics(self) -> tuple[SetMetric, ...]:
        """Those of sets."""
        return tuple(metric for metric in self.metrics if isinstance(metric, SetMetric))

    def figure(self, run: str, metric: str, horizon: str) -> Figure:
        """A figure of the table; a `SetFigure` for a metric of sets."""
        if metric in self.scores[run]:
            return self.scores[run][metric].horizons[horizon]
        return self.sets[run][metric][horizon]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values. Infinite figures (PSNR of identical frames) and undefined ones become None."""
        return {
            "videos": len(self.ids),
            "reference_videos": self.reference_videos,
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
                run: {
                    **{name: scores.to_dict() for name, scores in by_metric.items()},
                    **{name: _horizons(figures) for name, figures in self.sets[run].items()},
                }
                for run, by_metric in self.scores.items()
            },
            "memory": None if self.memory is None else self.memory.to_dict(),
        }


def _horizons(figures: dict[str, SetFigure]) -> dict[str, Any]:
    return {"horizons": {name: figure.to_dict() for name, figure in figures.items()}}
