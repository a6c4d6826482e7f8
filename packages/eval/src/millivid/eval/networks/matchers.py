"""How many points of one frame are found again in another, by two matchers."""

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
CONFIDENCE = 0.5
RATIO = 0.75


class Matcher(Pretrained):
    """Counts the matches of two frames. `min_size`: of a frame's sides. Subclasses implement `count`."""

    min_size = 16

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


class SuperPointMatcher(Matcher):
    """SuperPoint (DeTone, Malisiewicz, Rabinovich 2018) and LightGlue (Lindenberger, Sarlin, Pollefeys 2023), set as
    LightGlue's authors do: at most 2048 points above 0.0005, matches with confidence above 0.5. Frames at their own size.

    LightGlue's shortcuts (early stopping, pruning) are off: they act differently on CPU and GPU. Raises MissingWeights
    without the files, transformers or kornia, EvaluationError for other files.
    """

    def __init__(self) -> None:
        super().__init__()
        require_library("transformers", "SuperPoint is built with it: pip install transformers")
        require_library("kornia", "LightGlue is built with it: pip install kornia")
        points, matches = read_tensors(SUPERPOINT), read_tensors(LIGHTGLUE)
        self.superpoint, self.lightglue = build_superpoint(points), build_lightglue(matches)
        self.freeze(SUPERPOINT, LIGHTGLUE)

    def count(self, a: Tensor, b: Tensor) -> int:
        images = {}
        for name, frame in (("image0", a), ("image1", b)):
            places, descriptors = self.points(frame)
            if not len(places):
                return 0
            size = torch.tensor([[frame.shape[2], frame.shape[1]]], device=frame.device)
            images[name] = {"keypoints": places[None], "descriptors": descriptors[None], "image_size": size}
        return len(self.lightglue(images)["matches"][0])

    def points(self, frame: Float[Tensor, "3 height width"]) -> tuple[Tensor, Tensor]:
        """Places (point, xy) in pixels and descriptors (point, dim)."""
        encoded = self.superpoint.encoder(_grey(frame)[None, None])[0]
        places, _ = self.superpoint.keypoint_decoder(encoded)
        # The descriptors of no points cannot be asked for.
        descriptors = self.superpoint.descriptor_decoder(encoded, places[None]) if len(places) else places
        return places, descriptors


def build_lightglue(state: dict[str, Tensor]) -> nn.Module:
    """LightGlue of kornia with the tensors of a published file, which names them as an older version did."""
    from kornia.feature import LightGlue

    any_features: Any = None  # features of no kind that kornia knows weights of, so it downloads none
    network = LightGlue(any_features, filter_threshold=CONFIDENCE, depth_confidence=-1, width_confidence=-1)
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
