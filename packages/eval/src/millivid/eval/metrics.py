"""Metrics as small objects: of frames, compared one by one, and of sets of features."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .networks.lpips import LPIPS
from .pixels import WINDOW, mean_squared_error, ssim


class Metric:
    """What metrics of frames (`FrameMetric`) and of sets (`SetMetric`) share.

    `network`: what it computes with, if anything: its `to(device)` is called, and its `weights_name` and `weights_sha256`
    are told.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    unit: str = ""
    decimals: int = 3
    min_size: int = 1
    definition: str
    network: Any = None

    def to(self, device: torch.device | str) -> Self:
        """Move what the metric computes with; returns itself."""
        if self.network is not None:
            self.network.to(device)
        return self

    def describe(self) -> dict[str, Any]:
        """What a reader needs to reproduce the number, as JSON values."""
        described: dict[str, Any] = {"label": self.label, "better": self.better, "unit": self.unit}
        described["definition"] = self.definition
        if self.network is not None and self.network.weights_name is not None:
            described["weights"] = {"name": self.network.weights_name, "sha256": self.network.weights_sha256}
        return described


class FrameMetric(Metric):
    """A metric with one value per frame. Subclasses name it and implement `measure`.

    What `measure` gives may be averaged (the squared error for PSNR); `figure` turns averaged values into what is reported.
    A metric with `has_map` also says how much each pixel contributes.
    """

    has_map = False
    is_distance = False
    """Whether the averageable value is 0 for equal frames and grows as they differ."""

    def measure(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, " frame"]:
        """One averageable value per frame, for frames in [0, 1]."""
        raise NotImplementedError

    def measure_with_map(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> tuple[Float[Tensor, " frame"], Float[Tensor, "frame height width"]]:
        """The same, and an averageable value per pixel."""
        raise NotImplementedError

    def figure(self, values: np.ndarray) -> np.ndarray:
        """The reported figure of averaged values."""
        return np.asarray(values)


class SetMetric(Metric):
    """A Fréchet distance between features of items of `window` frames. Subclasses name it and implement `features`.

    Of a video whose length is no multiple of `window` the last frames are left out. `dim`: of a feature.
    """

    better = "lower"
    decimals = 1
    window: int = 1
    dim: int

    def features(self, frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "item dim"]:
        """The features of frames in [0, 1]; there are item x window of them."""
        raise NotImplementedError

    def items(self, first: int, last: int) -> slice:
        """Of the items of a video's generated frames, those wholly within frames `first` to `last`, counted from 1."""
        return slice(-(-(first - 1) // self.window), last // self.window)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "frames_per_item": self.window, "dimensions": self.dim}


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

    name, label, better = "lpips", "LPIPS", "lower"
    net: ClassVar[str] = "alex"
    has_map = is_distance = True

    def __init__(self, network: LPIPS | None = None) -> None:
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
        distance, where = self.network.with_map(generated, reference)
        return distance, where
