"""Metrics as small objects: fed with batches of frames, asked for per-video, per-frame values."""

import copy
from collections.abc import Iterable
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import EvaluationError, MissingWeights
from .lpips import LPIPS
from .psnr import mean_squared_error
from .ssim import WINDOW, ssim


class FrameMetric:
    """A metric with one value per frame. Subclasses name it and implement `measure`.

    `values` that `compute` returns are the quantity that may be averaged (the squared error for PSNR); `figure` turns
    averaged values into what is reported.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    unit: str = ""
    decimals: int = 3
    min_size: int = 1
    definition: str

    def __init__(self) -> None:
        self._batches: dict[str, list[np.ndarray]] = {}

    def measure(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, " frame"]:
        """One averageable value per frame."""
        raise NotImplementedError

    def figure(self, values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
        """The reported figure of averageable `values`, over `axis` (None: all of them)."""
        return np.asarray(values.mean(axis=axis))

    def to(self, device: torch.device | str) -> Self:
        """Move what the metric computes with; returns itself."""
        return self

    def fresh(self) -> Self:
        """An empty metric of the same settings that shares this one's network."""
        other = copy.copy(self)
        other._batches = {}
        return other

    @torch.no_grad()
    def update(
        self,
        generated: Float[Tensor, "frame 3 height width"],
        reference: Float[Tensor, "frame 3 height width"],
        *,
        video: str = "",
    ) -> None:
        """Add frames in [0, 1]; batches of one `video` follow each other. Raises EvaluationError, also for NaN."""
        values = self.measure(generated, reference).cpu().double().numpy()
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise EvaluationError(f"{self.label} of video {video!r} is {values[bad]} at frame {bad} of this batch")
        self._batches.setdefault(video, []).append(values)

    def compute(self) -> Float[np.ndarray, "video frame"]:
        """All averageable values, videos in the order they came; EvaluationError if lengths differ or none came."""
        rows = [np.concatenate(batches) for batches in self._batches.values()]
        if not rows:
            raise EvaluationError(f"{self.label}: no frames were given")
        if len({len(row) for row in rows}) > 1:
            lengths = {video: len(row) for video, row in zip(self._batches, rows, strict=True)}
            raise EvaluationError(f"{self.label}: videos have different numbers of frames: {lengths}")
        return np.stack(rows)

    def describe(self) -> dict[str, Any]:
        """What a reader needs to reproduce the number, as JSON values."""
        return {"label": self.label, "better": self.better, "unit": self.unit, "definition": self.definition}


class PSNRMetric(FrameMetric):
    """Peak signal-to-noise ratio; every average is taken over squared errors, before the logarithm."""

    name, label, better, unit, decimals = "psnr", "PSNR", "higher", "dB", 2
    definition = (
        "-10 log10 of the mean squared error, frames in [0, 1]. Curve: error averaged over videos, per frame. Horizon: "
        "error averaged over its frames and all videos. Standard error and per-video figures: error averaged over the "
        "horizon's frames of one video. null: every frame identical, so infinite. frame_mean: mean over frames and "
        "videos of each frame's own PSNR, as the authors' code records it (null if any frame is identical)."
    )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        return mean_squared_error(generated, reference)

    def figure(self, values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(-10 * np.log10(values.mean(axis=axis)))

    def frame_mean(self, values: np.ndarray) -> float:
        """Mean over frames of each frame's own PSNR; inf if any frame is identical to the truth."""
        with np.errstate(divide="ignore"):
            return float((-10 * np.log10(values)).mean())


class SSIMMetric(FrameMetric):
    """Structural similarity with the 11x11 Gaussian window; averages are plain means."""

    name, label, better, min_size = "ssim", "SSIM", "higher", WINDOW
    definition = (
        "Wang et al. 2004: Gaussian 11x11, sigma 1.5, K1 0.01, K2 0.03, data range 1, per RGB channel then averaged, "
        "windows wholly inside the frame, no down-sampling. All averages are means of per-frame values."
    )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        return ssim(generated, reference)


class LPIPSMetric(FrameMetric):
    """LPIPS v0.1; averages are plain means. Raises MissingWeights where the weights are not installed."""

    name, label, better = "lpips", "LPIPS", "lower"

    def __init__(self, network: LPIPS | None = None) -> None:
        super().__init__()
        self.network = network if network is not None else LPIPS("alex")
        self.min_size = self.network.min_size
        self.definition = (
            f"Zhang et al. 2018, v0.1, {self.network.net}; frames at their own size. All averages are means of "
            "per-frame values."
        )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        distance: Tensor = self.network(generated, reference)
        return distance

    def to(self, device: torch.device | str) -> Self:
        self.network.to(device)
        return self

    def describe(self) -> dict[str, Any]:
        weights = {"name": self.network.weights_name, "sha256": self.network.weights_sha256}
        return {**super().describe(), "weights": weights}


METRICS: dict[str, type[FrameMetric]] = {"psnr": PSNRMetric, "ssim": SSIMMetric, "lpips": LPIPSMetric}


def build_metrics(metrics: Iterable[str | FrameMetric]) -> tuple[tuple[FrameMetric, ...], dict[str, str]]:
    """Metric objects for names (objects pass through), and why each missing one was skipped.

    A *named* metric whose weights are not installed is skipped with its reason. Raises EvaluationError for a name that
    is not known or comes twice, or when no metric is left.
    """
    built: list[FrameMetric] = []
    skipped: dict[str, str] = {}
    for metric in metrics:
        if not isinstance(metric, str):
            built.append(metric)
        elif metric not in METRICS:
            raise EvaluationError(f"metric {metric!r} is not known; these are: {', '.join(METRICS)}")
        else:
            try:
                built.append(METRICS[metric]())
            except MissingWeights as error:
                skipped[metric] = str(error)
    names = [metric.name for metric in built]
    if len(set(names)) < len(names):
        raise EvaluationError(f"metrics {names} must have different names")
    if not built:
        raise EvaluationError(
            f"no metric left to compute; skipped: {skipped}" if skipped else "no metric was asked for"
        )
    return tuple(built), skipped
