"""Metrics as small objects: of frames, compared one by one, and of sets of features.

One with a network raises MissingWeights where the network's file or library is not there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .errors import EvaluationError
from .frames import check_pair
from .networks.dinov2 import DINOv2
from .networks.i3d import I3D
from .networks.inception import InceptionFeatures
from .networks.lpips import LPIPS
from .networks.matchers import SIFTMatcher, SuperPointMatcher
from .pixels import mean_squared_error, ssim

Decimals = Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
CLIPS_AT_ONCE = 2  # I3D takes some 0.4 GB a clip


class Metric:
    """What metrics of frames (`FrameMetric`) and of sets (`SetMetric`) share.

    `network`: what it computes with, if anything, by default a new one of `network_class`: its `to(device)` is called, and
    its `weights_name` and `weights_sha256` are told.
    """

    name: str
    label: str
    better: Literal["higher", "lower"]
    unit: str = ""
    decimals: Decimals = 3
    definition: str
    network: Any = None
    network_class: ClassVar[Callable[[], Any] | None] = None

    def __init__(self, network: Any = None) -> None:
        make = type(self).network_class
        self.network = make() if network is None and make is not None else network

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

    def measure(
        self, generated: Float[Tensor, "frame 3 height width"], reference: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, " frame"]:
        """One averageable value per frame, for frames in [0, 1]. Raises EvaluationError for any others."""
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
        """The features of frames in [0, 1]; there are item x window of them. Raises EvaluationError for any others."""
        raise NotImplementedError

    def items(self, first: int, last: int) -> slice:
        """Of the items of a video's generated frames, those wholly within frames `first` to `last`, counted from 1."""
        return slice(-(-(first - 1) // self.window), last // self.window)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "frames_per_item": self.window, "dimensions": self.dim}


class PSNRMetric(FrameMetric):
    """Peak signal-to-noise ratio; every average is taken over squared errors, before the logarithm."""

    name, label, better, unit, decimals = "psnr", "PSNR", "higher", "dB", 2
    has_map = True
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

    name, label, better = "ssim", "SSIM", "higher"
    definition = (
        "Wang et al. 2004: Gaussian 11x11, sigma 1.5, K1 0.01, K2 0.03, data range 1, per RGB channel then averaged, "
        "windows wholly inside the frame, no down-sampling. All averages are means of per-frame values."
    )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        return ssim(generated, reference)


class LPIPSMetric(FrameMetric):
    """LPIPS v0.1; averages are plain means."""

    name, label, better = "lpips", "LPIPS", "lower"
    network_class: ClassVar[Callable[[], LPIPS]] = LPIPS
    has_map = True

    def __init__(self, network: LPIPS | None = None) -> None:
        super().__init__(network)
        self.definition = (
            f"Zhang et al. 2018, v0.1, {self.network.net}; frames at their own size. All averages are means of "
            "per-frame values."
        )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        check_pair(generated, reference, metric=self.label)
        return self.network(generated, reference)

    def measure_with_map(self, generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        check_pair(generated, reference, metric=self.label)
        return self.network.with_map(generated, reference)


class VGGLPIPSMetric(LPIPSMetric):
    """LPIPS with the VGG network: the usual training loss, as a metric."""

    name, label, network_class = "lpips_vgg", "LPIPS (vgg)", partial(LPIPS, "vgg")


class DINOv2Metric(FrameMetric):
    """Cosine of DINOv2 class tokens: 1 for frames with the same contents."""

    name, label, better, network_class = "dinov2", "DINOv2", "higher", DINOv2
    definition = (
        "Cosine of the DINOv2 ViT-L/14 class tokens (Oquab et al. 2023) of the 252x252 centres of both frames; frames "
        "whose short side is not 256 pixels are resized to that first (bicubic, antialiased). All averages are means of "
        "per-frame values."
    )

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        check_pair(generated, reference, metric=self.label)
        return functional.cosine_similarity(self.network(generated), self.network(reference), dim=1)


class MatchesMetric(FrameMetric):
    """How many points of the true frame are found again in the generated one. Subclasses name the matcher."""

    better, decimals = "higher", 1

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        check_pair(generated, reference, metric=self.label, rgb=True, min_size=self.network.min_size)
        counts = [self.network(a, b) for a, b in zip(generated, reference, strict=True)]
        return torch.tensor(counts, dtype=torch.float32, device=generated.device)


class SuperPointMatchesMetric(MatchesMetric):
    """Matches of SuperPoint and LightGlue: the paper's."""

    name, label, network_class = "matches", "Matches", SuperPointMatcher
    definition = (
        "Number of LightGlue matches with confidence above 0.5 between SuperPoint points of both frames, at their own "
        "size (at most 2048 points above 0.0005, no early stopping, no pruning); 0 for a frame of one colour. All "
        "averages are means of per-frame values."
    )


class SIFTMatchesMetric(MatchesMetric):
    """Matches of SIFT: needs no weights."""

    name, label, network_class = "matches_sift", "Matches (SIFT)", SIFTMatcher
    definition = (
        "Number of mutual nearest neighbours between SIFT points of both frames (OpenCV, grey) that pass Lowe's ratio test "
        "of 0.75 both ways; 0 for a frame with fewer than two points. All averages are means of per-frame values."
    )


class FVDMetric(SetMetric):
    """Fréchet video distance (Unterthiner et al. 2018) over 16-frame clips."""

    name, label, window, dim, network_class = "fvd", "FVD", 16, 400, I3D
    definition = (
        "Fréchet distance of the logits of the Kinetics-400 I3D (tf-hub) over clips of 16 frames that follow each other "
        "without overlap, frames resized to 224x224 as the original does (bilinear as in TensorFlow 1: top-left corners "
        "aligned, no antialiasing) and scaled to [-1, 1]."
    )

    @torch.no_grad()
    def features(self, frames: Tensor) -> Tensor:
        if len(frames) % self.window or not len(frames):
            raise EvaluationError(
                f"FVD takes a multiple of {self.window} frames; got {len(frames)}: leave the last ones out"
            )
        clips = frames.unflatten(0, (-1, self.window))
        return torch.cat([self.network(chunk) for chunk in clips.split(CLIPS_AT_ONCE)])


class FIDMetric(SetMetric):
    """Fréchet inception distance (Heusel et al. 2017), frames prepared as clean-fid does."""

    name, label, dim, network_class = "fid", "FID", 2048, InceptionFeatures
    definition = (
        "Fréchet distance of the 2048 Inception features (inception-2015-12-05, TorchScript) of single frames, prepared as "
        "clean-fid does: uint8, Pillow's bicubic on each channel as float to 299x299, clipped (Parmar et al. 2022)."
    )

    def features(self, frames: Tensor) -> Tensor:
        return self.network(frames)


METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        PSNRMetric, SSIMMetric, LPIPSMetric, VGGLPIPSMetric, DINOv2Metric, SuperPointMatchesMetric, SIFTMatchesMetric,
        FVDMetric, FIDMetric,
    )
}  # fmt: skip
"""The metrics by name."""
DEFAULT_METRICS = ("psnr", "ssim", "lpips")
PAPER_METRICS = ("psnr", "lpips", "ssim", "dinov2", "matches", "fvd", "fid")
"""The columns of the paper's Table 1."""
