"""Metrics as small objects: `update` with batches of frames, `compute` the figure."""

from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import EvaluationError
from .figures import Figure, bootstrap_figure
from .frames import check_pair
from .networks.lpips import LPIPS
from .psnr import mean_squared_error
from .ssim import WINDOW, ssim


class Metric:
    """What metrics of frames (`FrameMetric`) and of sets (`SetMetric`) share."""

    name: str
    label: str
    better: Literal["higher", "lower"]
    unit: str = ""
    decimals: int = 3
    min_size: int = 1
    definition: str

    def update(
        self,
        generated: Float[Tensor, "frame 3 height width"],
        reference: Float[Tensor, "frame 3 height width"],
        *,
        video: str = "",
    ) -> None:
        """Add frames in [0, 1]; batches of one `video` follow each other."""
        raise NotImplementedError

    def compute(self) -> Figure:
        """The figure over everything that was added, with its interval over videos."""
        raise NotImplementedError

    def to(self, device: torch.device | str) -> Self:
        """Move what the metric computes with; returns itself."""
        return self

    def describe(self) -> dict[str, Any]:
        """What a reader needs to reproduce the number, as JSON values."""
        return {"label": self.label, "better": self.better, "unit": self.unit, "definition": self.definition}


class FrameMetric(Metric):
    """A metric with one value per frame. Subclasses name it and implement `measure`.

    `values` are the quantity that may be averaged (the squared error for PSNR); `figure` turns averaged values into what is
    reported. A metric with `has_map` also says how much each pixel contributes.
    """

    has_map = False
    is_distance = False
    """Whether the averageable value is 0 for equal frames and grows as they differ."""

    def __init__(self) -> None:
        self._batches: dict[str, list[np.ndarray]] = {}

    def measure(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, " frame"]:
        """One averageable value per frame."""
        raise NotImplementedError

    def measure_with_map(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> tuple[Float[Tensor, " frame"], Float[Tensor, "frame height width"]]:
        """The same, and an averageable value per pixel."""
        raise NotImplementedError

    def figure(self, values: np.ndarray) -> np.ndarray:
        """The reported figure of averaged values."""
        return np.asarray(values)

    @torch.no_grad()
    def update(self, generated: Tensor, reference: Tensor, *, video: str = "") -> None:
        """Add frames in [0, 1]; batches of one `video` follow each other. Raises EvaluationError, also for NaN."""
        check_frames(generated, reference, self, video)
        if not len(generated):
            return
        values = check_finite(self.measure(generated, reference).cpu().double().numpy(), self.label, video)
        self._batches.setdefault(video, []).append(values)

    def values(self) -> dict[str, Float[np.ndarray, " frame"]]:
        """The averageable value of every frame added, by video."""
        return {video: np.concatenate(batches) for video, batches in self._batches.items()}

    def compute(self) -> Figure:
        """The figure over all frames, with its interval over videos. Raises EvaluationError if none were added."""
        rows = list(self.values().values())
        if not rows:
            raise EvaluationError(f"{self.label}: no frames were given")
        sums, counts = np.array([row.sum() for row in rows]), np.array([len(row) for row in rows])
        return bootstrap_figure(sums, counts, self.figure)


def check_frames(generated: Tensor, reference: Tensor, metric: Metric, video: str) -> None:
    """Raise EvaluationError for frames that are no pair, too small, or hold NaN or infinity."""
    check_pair(generated, reference, metric=metric.label, min_size=metric.min_size)
    for name, frames in (("generated", generated), ("reference", reference)):
        if not frames.sum().isfinite():  # a sum is quick, and not finite where a value is not
            bad = int((~frames.isfinite().flatten(1).all(dim=1)).nonzero()[0])
            raise EvaluationError(
                f"{metric.label}: frame {bad} of this batch of {name} video {video!r} holds NaN or infinity"
            )


def check_finite(values: np.ndarray, label: str, video: str) -> np.ndarray:
    """The values (item, ...); EvaluationError if one of them is NaN or infinite."""
    if not np.isfinite(values).all():
        bad, *_ = np.argwhere(~np.isfinite(values))[0]
        raise EvaluationError(f"{label} of video {video!r} is not finite at item {bad} of this batch")
    return values


class PSNRMetric(FrameMetric):
    """Peak signal-to-noise ratio; every average is taken over squared errors, before the logarithm."""

    name, label, better, unit, decimals = "psnr", "PSNR", "higher", "dB", 2
    has_map = is_distance = True
    definition = (
        "-10 log10 of the mean squared error, frames in [0, 1]. Curve: error averaged over videos, per frame. Horizon: "
        "error averaged over its frames and all videos. Per-video figures: error averaged over the horizon's frames of "
        "one video. null: every frame identical, so infinite. frame_mean: mean over frames and videos of each frame's "
        "own PSNR, as the authors' code records it (null if any frame is identical)."
    )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        return mean_squared_error(generated, reference)

    def measure_with_map(self, generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.measure(generated, reference), (generated - reference).square().mean(dim=1)

    def figure(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(-10 * np.log10(values))

    def frame_mean(self, values: np.ndarray) -> float:
        """Mean over frames of each frame's own PSNR; inf if any frame is identical to the truth."""
        return float(self.figure(values).mean())


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

    name, label, better, net = "lpips", "LPIPS", "lower", "alex"
    has_map = is_distance = True

    def __init__(self, network: LPIPS | None = None) -> None:
        super().__init__()
        self.network = network if network is not None else LPIPS(self.net)
        self.min_size = self.network.min_size
        self.definition = (
            f"Zhang et al. 2018, v0.1, {self.network.net}; frames at their own size. All averages are means of "
            "per-frame values."
        )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        distance: Tensor = self.network(generated, reference)
        return distance

    def measure_with_map(self, generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.with_map(generated, reference)

    def to(self, device: torch.device | str) -> Self:
        self.network.to(device)
        return self

    def describe(self) -> dict[str, Any]:
        weights = {"name": self.network.weights_name, "sha256": self.network.weights_sha256}
        return {**super().describe(), "weights": weights}
