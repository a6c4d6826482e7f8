"""What an evaluation found, as frozen values, and metrics.json, which holds them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float

from millivid.files import read_json, typed

from .errors import EvaluationError
from .evaluation import Role
from .figures import Figure, bootstrap_figure, from_json, json_number
from .horizons import Horizon
from .memory import Memory
from .metrics import Decimals, FrameMetric, Metric, PSNRMetric
from .sets import SetFigure

FORMAT, VERSION = "millivid.eval.report", 2


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricInfo:
    """How a metric's figures are read; better: `higher` or `lower`; description: what it says of itself, as JSON values."""

    name: str
    label: str
    better: Literal["higher", "lower"]
    unit: str = ""
    decimals: Decimals = 3
    description: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, metric: Metric) -> Self:
        """Of a metric that is here."""
        return cls(
            name=metric.name,
            label=metric.label,
            better=metric.better,
            unit=metric.unit,
            decimals=metric.decimals,
            description={**metric.describe(), "decimals": metric.decimals},
        )

    @classmethod
    def from_dict(cls, name: str, content: Mapping[str, Any]) -> Self:
        """As `Results.to_dict` wrote it, or reports before there were decimals in it."""
        decimals = 2 if content.get("unit") == "dB" else 3
        return typed({"decimals": decimals, **content, "name": name, "description": content}, cls, f"metric {name}")

    @property
    def title(self) -> str:
        """The label, and an arrow to where better figures are."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One metric of one run. Figures are +inf where PSNR is (identical frames).

    `horizons`, `per_video` by horizon name: the figure, and each video's own. `frame_mean`, of PSNR: the mean of each
    frame's own. `curve`: per frame over all videos. `frames`: every frame of every video. A metric of sets has
    horizons alone; what was read from a file has no `frames`.
    """

    horizons: dict[str, Figure]
    per_video: dict[str, Float[np.ndarray, " video"]] = field(default_factory=dict)
    frame_mean: dict[str, float] = field(default_factory=dict)
    curve: Float[np.ndarray, " frame"] | None = None
    frames: Float[np.ndarray, "video frame"] | None = None

    @classmethod
    def summarise(cls, metric: FrameMetric, values: np.ndarray, horizons: tuple[Horizon, ...], seed: int) -> Self:
        """Figures of averageable `values` (video, frame) over `horizons`."""
        parts = {h.name: values[:, h.span] for h in horizons}

        def over(part: np.ndarray) -> Figure:
            counts = np.full(len(part), float(part.shape[1]))
            return bootstrap_figure(part.sum(axis=1), counts, metric.figure, seed=seed)

        return cls(
            horizons={name: over(part) for name, part in parts.items()},
            per_video={name: metric.figure(part.mean(axis=1)) for name, part in parts.items()},
            frame_mean=(
                {name: metric.frame_mean(part) for name, part in parts.items()}
                if isinstance(metric, PSNRMetric)
                else {}
            ),
            curve=metric.figure(values.mean(axis=0)),
            frames=metric.figure(values),
        )

    def to_dict(self) -> dict[str, Any]:
        horizons = {name: figure.to_dict() for name, figure in self.horizons.items()}
        for name, mean in self.frame_mean.items():
            horizons[name]["frame_mean"] = json_number(mean)
        for name, values in self.per_video.items():
            horizons[name]["per_video"] = [json_number(v) for v in values]
        curve = {} if self.curve is None else {"curve": [json_number(v) for v in self.curve]}
        return {"horizons": horizons, **curve}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], horizons: Sequence[Horizon]) -> Self:
        """As `to_dict` wrote it, without `frames`. Raises KeyError where a horizon is missing."""
        by_horizon, curve = {h.name: content["horizons"][h.name] for h in horizons}, content.get("curve")
        return cls(
            horizons={name: (SetFigure if "mmd" in one else Figure).from_dict(one) for name, one in by_horizon.items()},
            per_video={name: _array(one["per_video"]) for name, one in by_horizon.items() if "per_video" in one},
            frame_mean={name: from_json(one["frame_mean"]) for name, one in by_horizon.items() if "frame_mean" in one},
            curve=None if curve is None else _array(curve),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """What was compared, in metrics.json as it is here.

    Frames [start, stop) of every video in `ids` were compared; generated frame 1 is frame `start`. `reference_videos`: how
    many the reference has. `fps`: None where it is not known. `sizes` are the (width, height) that occur. `skipped` says, by
    metric name, why one is not there. `roles`: whether a run is a bound, in order of runs. `protocol`: what a reader needs to
    reproduce the figures, as JSON values.
    """

    ids: tuple[str, ...]
    reference_videos: int
    start: int
    stop: int
    fps: float | None
    sizes: tuple[tuple[int, int], ...]
    device: str
    seconds: float
    skipped: Mapping[str, str]
    roles: Mapping[str, Role]
    descriptions: Mapping[str, str]
    protocol: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Results(Compared):
    """Scores of every run, `scores[run][metric]` in the order of `metrics`, and what they were computed over.

    `memory` is None where `skipped["memory"]` says why.
    """

    horizons: tuple[Horizon, ...]
    metrics: tuple[MetricInfo, ...]
    scores: Mapping[str, Mapping[str, Scores]]
    memory: Memory | None

    @property
    def num_frames(self) -> int:
        """Frames compared per video."""
        return self.stop - self.start

    @property
    def runs(self) -> list[str]:
        """Runs, then bounds."""
        return sorted(self.roles, key=lambda run: self.roles[run] == "bound")

    @property
    def frame_metrics(self) -> list[MetricInfo]:
        """Those with a value per frame, and so with curves."""
        return [m for m in self.metrics if all(scores[m.name].curve is not None for scores in self.scores.values())]

    @property
    def set_metrics(self) -> list[MetricInfo]:
        """Those of sets."""
        return [metric for metric in self.metrics if metric not in self.frame_metrics]

    def metric(self, name: str) -> MetricInfo | None:
        """The metric of that name, if it is there."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def figure(self, run: str, metric: str, horizon: str) -> Figure:
        """A figure of the table; a `SetFigure` for a metric of sets."""
        return self.scores[run][metric].horizons[horizon]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values. Infinite figures (PSNR of identical frames) and undefined ones become None."""
        return {
            "roles": dict(self.roles),
            "descriptions": dict(self.descriptions),
            "videos": len(self.ids),
            "reference_videos": self.reference_videos,
            "ids": list(self.ids),
            "start": self.start,
            "stop": self.stop,
            "frames": self.num_frames,
            "fps": None if self.fps is None else json_number(self.fps),
            "sizes": [list(size) for size in self.sizes],
            "device": self.device,
            "seconds": self.seconds,
            "horizons": [{"name": h.name, "first": h.first, "last": h.last} for h in self.horizons],
            "metrics": {metric.name: dict(metric.description) for metric in self.metrics},
            "skipped": dict(self.skipped),
            "runs": {
                run: {name: scores.to_dict() for name, scores in by_metric.items()}
                for run, by_metric in self.scores.items()
            },
            "memory": None if self.memory is None else self.memory.to_dict(),
            "protocol": dict(self.protocol),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Results as `to_dict` wrote them, without what single frames are like; None becomes nan.

        Raises ValueError, LookupError or TypeError for another dict.
        """
        compared = typed(content, Compared, "what was compared")
        horizons = tuple(Horizon(**horizon) for horizon in content["horizons"])
        metrics = tuple(MetricInfo.from_dict(name, described) for name, described in content["metrics"].items())
        scores, memory = content["runs"], content["memory"]
        return cls(
            **vars(compared),
            horizons=horizons,
            metrics=metrics,
            scores={
                run: {metric.name: Scores.from_dict(scores[run][metric.name], horizons) for metric in metrics}
                for run in compared.roles
            },
            memory=None if memory is None else Memory.from_dict(memory, list(compared.roles)),
        )


def read_results(path: str | os.PathLike[str]) -> Results:
    """The results in a report's metrics.json. Raises EvaluationError for another file."""
    content = read_json(Path(path), dict[str, Any], EvaluationError, "evaluate again")
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise EvaluationError(
            f"{path} is of format {content.get('format')} {content.get('version')}; this version reads {FORMAT} {VERSION}"
        )
    try:
        return Results.from_dict(content)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise EvaluationError(
            f"{path} is no metrics.json of a report ({type(error).__name__}: {error}); evaluate again"
        ) from error


def _array(values: list[float | None]) -> np.ndarray:
    return np.array([from_json(value) for value in values])
