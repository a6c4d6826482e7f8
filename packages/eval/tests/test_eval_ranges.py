"""Every range and shape that a docstring of the package documents is checked, in one sentence."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from millivid.eval import (
    EvaluationError,
    FVDMetric,
    Horizon,
    OtherVideos,
    PSNRMetric,
    Revisits,
    ShuffledFrames,
    SSIMMetric,
    VideosInMemory,
    horizons_from,
    last_seen,
    loop_closure,
    psnr,
    ssim,
)
from millivid.eval.bounds import AfterContext
from millivid.eval.frames import check_frames, to_unit_range
from millivid.eval.metrics import FIDMetric, SIFTMatchesMetric
from millivid.eval.networks.inception import InceptionFeatures
from millivid.eval.sets import frechet_distance

FRAMES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
VIDEOS = VideosInMemory({id: np.zeros((4, 16, 16, 3), np.uint8) for id in "ab"})
POSES = np.zeros((4, 5))


class Layers(nn.Module):
    """Stands for Inception's network."""

    def layers(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


MEASURES: dict[str, Callable[[Tensor], object]] = {
    "psnr": lambda x: psnr(x, FRAMES),
    "psnr, second": lambda x: psnr(FRAMES, x),
    "ssim": lambda x: ssim(x, FRAMES),
    "PSNR": lambda x: PSNRMetric().measure(x, FRAMES),
    "PSNR's map": lambda x: PSNRMetric().measure_with_map(x, FRAMES),
    "SSIM": lambda x: SSIMMetric().measure(x, FRAMES),
    "SIFT": lambda x: SIFTMatchesMetric().measure(x, FRAMES),
    "FID": lambda x: FIDMetric(InceptionFeatures(Layers())).features(x),
}
WRONG: dict[str, tuple[Tensor, str]] = {
    "0..255": (FRAMES * 255, r"values from .* to 25.*; it takes \[0, 1\]"),
    "-1..1": (FRAMES * 2 - 1, r"\[-1, 1\] by \(x \+ 1\) / 2"),
    "a little too much": (FRAMES.clamp(max=0.9) + 0.10001, "clamp"),
    "NaN": (torch.where(FRAMES > 0.99, math.nan, FRAMES), "nan"),
    "infinite": (FRAMES / 0, "inf"),
    "uint8": ((FRAMES * 255).byte(), "torch.uint8; it takes floats"),
    "unbatched": (FRAMES[0], r"\(3, 32, 32\); it takes a tensor \(frame"),
    "larger": (torch.zeros(2, 3, 40, 40), "one shape"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("measure", MEASURES)
def test_metrics_refuse_frames_that_cannot_be(measure: str, wrong: str) -> None:
    if measure == "SIFT":
        pytest.importorskip("cv2")
    if (measure, wrong) == ("FID", "larger"):
        return
    frames, message = WRONG[wrong]
    with pytest.raises(EvaluationError, match=message):
        MEASURES[measure](frames)


def test_rounding_is_no_error() -> None:
    frames = FRAMES.clamp(max=0.9) + 0.1 + 2e-7
    assert torch.isfinite(psnr(frames, FRAMES)).all()
    for dtype in (torch.float16, torch.bfloat16):
        check_frames(torch.ones(1, 3, 8, 8, dtype=dtype) + torch.finfo(dtype).eps, "PSNR")


def test_a_loss_takes_what_a_network_gives() -> None:
    made = (FRAMES * 2 - 0.5).requires_grad_()
    ssim(made, FRAMES).sum().backward()
    assert made.grad is not None and made.grad.isfinite().all()


def network_that_is_never_called() -> nn.Module:
    return nn.Identity()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_unit_range(FRAMES.numpy()), r"frames are float32 .*expected an array, uint8"),
        (lambda: to_unit_range(np.zeros((4, 4, 3), np.uint8)), r"uint8 \(4, 4, 3\)"),
        (
            lambda: FVDMetric(network_that_is_never_called()).features(torch.zeros(17, 3, 8, 8)),
            "multiple of 16 frames; got 17",
        ),
        (lambda: frechet_distance(torch.rand(4, 3), torch.rand(4, 2)), "3 and 2 dimensions"),
        (lambda: frechet_distance(torch.rand(4, 3), torch.rand(4, 3) / 0), "NaN or infinity"),
        (lambda: frechet_distance(torch.rand(4, 3), torch.rand(4, 3), -torch.ones(4)), "weights of at least 0"),
        (lambda: VideosInMemory({"a": np.zeros((4, 16, 16, 3), np.uint8)}, fps=math.nan), "fps is nan"),
        (lambda: VideosInMemory({"a": np.zeros((4, 16, 16, 3), np.uint8)}, fps=0), "fps is 0"),
        (lambda: VideosInMemory({"a": np.zeros((0, 16, 16, 3), np.uint8)}), "uint8 .*0, 16"),
        (lambda: VideosInMemory({"a": np.zeros((4, 16, 16, 3), np.uint8)}, poses={"a": POSES[:, :4]}), "poses"),
        (lambda: VIDEOS.read("a", 0.0, 2), "start is 0.0"),
        (lambda: VIDEOS.read("c", 0, 2), "no video 'c'"),
        (lambda: ShuffledFrames(VIDEOS, keep=-1), "keep is -1"),
        (lambda: ShuffledFrames(VIDEOS, seed=-1), "seed is -1"),
        (lambda: ShuffledFrames(VIDEOS, stop=True), "stop is True"),
        (lambda: OtherVideos(VIDEOS, keep=1.5), "keep is 1.5"),
        (lambda: AfterContext(VIDEOS, VIDEOS, -2), "context is -2"),
        (lambda: Horizon("short", 1.0, 4), "horizon 'short' is 1.0"),
        (lambda: horizons_from((16, 64.5)), "horizon edges"),
        (lambda: horizons_from((16, "64")), "horizon edges"),
        (lambda: Revisits(distance=math.inf), "distance is inf"),
        (lambda: Revisits(angle="wide"), "angle is 'wide'"),
        (lambda: last_seen(POSES, 1.5, Revisits()), "context is 1.5"),
        (lambda: last_seen(POSES * math.nan, 1, Revisits()), "NaN"),
        (lambda: loop_closure(FRAMES.movedim(1, -1).numpy(), POSES[:2]), "frames are float32"),
        (lambda: loop_closure(np.zeros((4, 8, 8, 3), np.uint8), POSES * math.nan), "finite"),
        (lambda: loop_closure(np.zeros((4, 8, 8, 3), np.uint8), POSES, True), "context is True"),
        (lambda: loop_closure(np.zeros((4, 8, 8, 3), np.uint8), POSES, 5), "context is 5"),
        (lambda: loop_closure(np.zeros((4, 8, 8, 3), np.uint8), POSES, away_angle=math.nan), "away_angle is nan"),
    ],
)
def test_arguments_that_cannot_be(call: Callable[[], object], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        call()
