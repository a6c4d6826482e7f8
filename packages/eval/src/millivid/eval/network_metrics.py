"""Metrics that need a pretrained network. Each raises MissingWeights where its file or its library is not there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .errors import EvaluationError
from .frames import check_pair
from .metrics import FrameMetric, LPIPSMetric, Metric, SetMetric
from .networks.dinov2 import DINOv2
from .networks.i3d import I3D
from .networks.inception import InceptionFeatures
from .networks.matchers import Matcher, SIFTMatcher, SuperPointMatcher, XFeatMatcher

CLIPS_AT_ONCE = 2  # I3D takes some 0.4 GB a clip


class VGGLPIPSMetric(LPIPSMetric):
    """LPIPS with the VGG network: the usual training loss, as a metric."""

    name, label, net = "lpips_vgg", "LPIPS (vgg)", "vgg"


class _WithNetwork(Metric):
    """A metric that computes with `network`, by default a new one of `network_class`."""

    network_class: Callable[[], Any]

    def __init__(self, network: Any = None) -> None:
        self.network = network if network is not None else type(self).network_class()


class DINOv2Metric(_WithNetwork, FrameMetric):
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


class MatchesMetric(_WithNetwork, FrameMetric):
    """How many points of the true frame are found again in the generated one. Subclasses name the matcher."""

    better, decimals = "higher", 1
    network_class: Callable[[], Matcher]

    def __init__(self, network: Matcher | None = None) -> None:
        super().__init__(network)
        self.min_size = self.network.min_size

    def measure(self, generated: Tensor, reference: Tensor) -> Tensor:
        check_pair(generated, reference, metric=self.label, min_size=self.min_size)
        if generated.shape[1] != 3:
            raise EvaluationError(f"{self.label}: frames have {generated.shape[1]} channels; it takes 3 (RGB)")
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


class XFeatMatchesMetric(MatchesMetric):
    """Matches of XFeat and its smaller LightGlue: a stand-in whose weights come in a package, never the paper's number."""

    name, label, network_class = "matches_xfeat", "Matches (XFeat)", XFeatMatcher
    definition = (
        "Number of LighterGlue matches with confidence above 0.5 between XFeat points of both frames (Potje et al. 2024), "
        "at their own size rounded down to a multiple of 32 (at most 4096 points above 0.05, no early stopping, no "
        "pruning); 0 for a frame of one colour. All averages are means of per-frame values."
    )


class SIFTMatchesMetric(MatchesMetric):
    """Matches of SIFT: needs no weights."""

    name, label, network_class = "matches_sift", "Matches (SIFT)", SIFTMatcher
    definition = (
        "Number of mutual nearest neighbours between SIFT points of both frames (OpenCV, grey) that pass Lowe's ratio test "
        "of 0.75 both ways; 0 for a frame with fewer than two points. All averages are means of per-frame values."
    )


class FVDMetric(_WithNetwork, SetMetric):
    """Fréchet video distance (Unterthiner et al. 2018) over 16-frame clips."""

    name, label, window, dim, network_class = "fvd", "FVD", 16, 400, I3D
    definition = (
        "Fréchet distance of the logits of the Kinetics-400 I3D (tf-hub) over clips of 16 frames that follow each other "
        "without overlap, frames resized to 224x224 as the original does (bilinear as in TensorFlow 1: top-left corners "
        "aligned, no antialiasing) and scaled to [-1, 1]."
    )

    @torch.no_grad()
    def features(self, frames: Tensor) -> Tensor:
        clips = frames.unflatten(0, (-1, self.window))
        return torch.cat([self.network(chunk) for chunk in clips.split(CLIPS_AT_ONCE)])


class FIDMetric(_WithNetwork, SetMetric):
    """Fréchet inception distance (Heusel et al. 2017), frames prepared as clean-fid does."""

    name, label, dim, network_class = "fid", "FID", 2048, InceptionFeatures
    definition = (
        "Fréchet distance of the 2048 Inception features (inception-2015-12-05, TorchScript) of single frames, prepared as "
        "clean-fid does: uint8, Pillow's bicubic on each channel as float to 299x299, clipped (Parmar et al. 2022)."
    )

    def features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.network(frames)
        return features


NETWORK_METRICS: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        VGGLPIPSMetric, DINOv2Metric, SuperPointMatchesMetric, XFeatMatchesMetric, SIFTMatchesMetric, FVDMetric, FIDMetric,
    )
}  # fmt: skip
