"""PSNR and SSIM of frames, computed from their pixels alone."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .frames import check_pair

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03  # Wang et al. 2004, section III-C
CACHED = 2**18
"""Values of frames that are compared at once: one RGB frame of 256x256."""


def mean_squared_error(
    generated: Float[Tensor, "frame channel height width"], reference: Float[Tensor, "frame channel height width"]
) -> Float[Tensor, " frame"]:
    """Mean over channels and pixels of the squared difference, per frame; frames in [0, 1]."""
    check_pair(generated, reference, metric="mean squared error")
    return (generated - reference).square().mean(dim=(1, 2, 3))


def psnr(
    generated: Float[Tensor, "frame channel height width"], reference: Float[Tensor, "frame channel height width"]
) -> Float[Tensor, " frame"]:
    """PSNR in dB of every frame, for frames in [0, 1]: -10 log10(MSE).

    Identical frames give +inf, which is what the formula says. So that one such frame does not swallow an average,
    every figure over several frames in this package averages the squared error first and takes the logarithm last
    (`PSNRMetric.figure`). Raises EvaluationError for frames that are no floats in [0, 1], and shapes that differ.
    """
    return -10 * mean_squared_error(generated, reference).log10()


def _blur(x: Float[Tensor, "frame channel height width"]) -> Float[Tensor, "frame channel height-10 width-10"]:
    """Gaussian-weighted local mean, 11 taps each way, only where the whole window lies inside the frame."""
    offset = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    weight = torch.exp(-offset.square() / (2 * SIGMA**2))
    weight = weight / weight.sum()
    channels = x.shape[1]
    x = functional.conv2d(x, weight.view(1, 1, WINDOW, 1).expand(channels, -1, -1, -1), groups=channels)
    return functional.conv2d(x, weight.view(1, 1, 1, WINDOW).expand(channels, -1, -1, -1), groups=channels)


def ssim(
    generated: Float[Tensor, "frame channel height width"], reference: Float[Tensor, "frame channel height width"]
) -> Float[Tensor, " frame"]:
    """SSIM of every frame, for frames in [0, 1]; 1 means identical, and it can be slightly negative.

    Gaussian window 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, no down-sampling, biased variances. Each
    channel is compared on its own and the mean over channels is taken. Borders: only windows that lie wholly inside the
    frame count (the outer 5 pixels have no window of their own), as in scikit-image's `structural_similarity` with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`. (torchmetrics continues frames by reflection and counts
    the borders too: its figures differ by about 1e-3, its map without the borders agrees.) Differentiable; constant frames are
    fine. Raises EvaluationError for frames that are no floats in [0, 1] or smaller than 11x11, and shapes that differ.
    """
    check_pair(generated, reference, metric="SSIM", min_size=WINDOW)
    # Few frames at a time, so that what is computed on the way stays in a processor's cache.
    count = max(1, CACHED // max(generated[:1].numel(), 1))
    pairs = zip(generated.split(count), reference.split(count), strict=True)
    return torch.cat([_similarity(a, b) for a, b in pairs])


def _similarity(generated: Tensor, reference: Tensor) -> Tensor:
    c1, c2 = K1**2, K2**2
    count = generated.shape[0]
    products = (generated * generated, reference * reference, generated * reference)
    moments = _blur(torch.cat((generated, reference, *products)))
    mean_a, mean_b, square_a, square_b, product = torch.split(moments, count)
    variance_a = square_a - mean_a.square()
    variance_b = square_b - mean_b.square()
    covariance = product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))
