"""PSNR and SSIM say what their definitions say."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import jaxtyped

from millivid.eval import EvaluationError, FrameMetric, LPIPSMetric, MissingWeights, PSNRMetric, psnr, ssim
from millivid.eval.evaluation import build_metrics
from millivid.eval.figures import bootstrap_figure


def _pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(*shape, generator=generator, dtype=dtype)
    return a, (a + 0.2 * torch.rand(*shape, generator=generator, dtype=dtype)).clamp(0, 1)


def test_psnr_of_a_known_error_is_known() -> None:
    reference = torch.full((3, 3, 8, 8), 0.5, dtype=torch.float64)
    generated = reference + torch.tensor([0.1, 0.01, 0.0], dtype=torch.float64).view(3, 1, 1, 1)
    assert psnr(generated, reference).tolist() == pytest.approx([20.0, 40.0, math.inf])


@pytest.mark.parametrize("shape", [(2, 3, 11, 11), (3, 3, 24, 37), (1, 1, 64, 64)])
def test_ssim_agrees_with_scikit_image(shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    a, b = _pair(*shape)
    expected = [
        metrics.structural_similarity(
            x.numpy(),
            y.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=0,
            data_range=1,
        )
        for x, y in zip(a, b, strict=True)
    ]
    assert ssim(a, b).tolist() == pytest.approx(expected, abs=1e-10)
    assert ssim(a.float(), b.float()).tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_is_one_for_identical_and_finite_for_constant_frames() -> None:
    a, _ = _pair(2, 3, 16, 16)
    black, white = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    assert ssim(a, a).tolist() == pytest.approx([1.0, 1.0])
    assert ssim(black, black).item() == pytest.approx(1.0)
    # Constant frames: the structure term is 1, the luminance term C1 / (1 + C1) with C1 = 0.01^2.
    assert ssim(black, white).item() == pytest.approx(1e-4 / (1 + 1e-4), rel=1e-3)


def test_ssim_has_a_gradient() -> None:
    a, b = _pair(1, 3, 16, 16)
    (gradient,) = torch.autograd.grad(ssim(a.requires_grad_(), b).sum(), a)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_annotations_hold_at_run_time() -> None:
    beartype = pytest.importorskip("beartype", reason="beartype is not installed").beartype
    a, b = _pair(2, 3, 16, 20)
    for function in (psnr, ssim):
        assert jaxtyped(typechecker=beartype)(function)(a, b).shape == (2,)


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        (torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 17), "must have one shape"),
        (torch.rand(3, 16, 16), torch.rand(3, 16, 16), r"\(frame, channel, height, width\)"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "floats"),
    ],
)
def test_frames_that_do_not_fit_are_named(generated: torch.Tensor, reference: torch.Tensor, message: str) -> None:
    for function in (psnr, ssim):
        with pytest.raises(EvaluationError, match=message):
            function(generated, reference)


def test_small_frames_are_refused_with_the_minimum() -> None:
    with pytest.raises(EvaluationError, match="16x10.*at least 11x11"):
        ssim(torch.rand(1, 3, 10, 16), torch.rand(1, 3, 10, 16))


def test_figures_are_of_averaged_errors() -> None:
    error = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    metric = PSNRMetric()
    values = metric.measure(error, torch.zeros(3, 3, 8, 8)).double().numpy()
    assert metric.figure(values.mean()) == pytest.approx(-10 * math.log10((0.01 + 0.04 + 0.09) / 3))
    assert metric.frame_mean(values) == pytest.approx(np.mean([20, -10 * math.log10(0.04), -10 * math.log10(0.09)]))
    figure = bootstrap_figure(4 * values, np.full(3, 4), metric.figure)
    assert (figure.videos, figure.items) == (3, 12)
    # 27 draws of 3 videos: all three the worst, or all three the best, comes in 1 of 27, so within 95 %.
    assert (figure.low, figure.high) == pytest.approx((-10 * math.log10(0.09), 20))
    alone = bootstrap_figure(np.zeros(1), np.ones(1), metric.figure)
    assert alone.value == math.inf and math.isnan(alone.low) and alone.to_dict()["interval"] == [None, None]


@pytest.mark.parametrize("metric_class", [PSNRMetric, LPIPSMetric])
def test_the_map_of_pixels_averages_to_the_frame(metric_class: type[FrameMetric]) -> None:
    try:
        metric = metric_class()
    except MissingWeights as error:
        pytest.skip(str(error))
    a, b = _pair(2, 3, 64, 64, dtype=torch.float32)
    values, pixels = metric.measure_with_map(a, b)
    torch.testing.assert_close(values, metric.measure(a, b))
    assert pixels.shape == (2, 64, 64)
    # Enlarging a map of features moves its mean a little at the borders.
    torch.testing.assert_close(pixels.mean(dim=(1, 2)), values, rtol=0.02, atol=0)


@pytest.mark.parametrize("shape", [(2, 3, 24, 37), (1, 3, 64, 64)])
def test_psnr_and_ssim_agree_with_torchmetrics(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    a, b = _pair(*shape, dtype=torch.float32)
    # It continues frames by reflection and averages over their borders too; without these it is the same.
    _, pixels = image.structural_similarity_index_measure(
        a, b, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = pixels[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))
    torch.testing.assert_close(ssim(a, b), inside, atol=1e-5, rtol=0)
    for x, y, value in zip(a, b, psnr(a, b), strict=True):
        expected = image.peak_signal_noise_ratio(x[None], y[None], data_range=1.0)
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=0)


def test_metrics_by_name() -> None:
    class Brightness(FrameMetric):
        name, label, better, definition = "brightness", "Brightness", "lower", "difference of mean brightness"

        def measure(self, generated: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
            return (generated - reference).mean(dim=(1, 2, 3)).abs()

    built, skipped = build_metrics(["psnr", Brightness()], videos=2, frames=16)
    assert [metric.name for metric in built] == ["psnr", "brightness"] and not skipped
    with pytest.raises(EvaluationError, match="'pnsr' is not known; these are: psnr, ssim, lpips"):
        build_metrics(["pnsr"], videos=2, frames=16)
    with pytest.raises(EvaluationError, match="different names"):
        build_metrics(["psnr", "psnr"], videos=2, frames=16)
