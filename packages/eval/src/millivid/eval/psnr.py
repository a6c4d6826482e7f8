"""Peak signal-to-noise ratio, per frame."""

from jaxtyping import Float
from torch import Tensor

from .frames import check_pair


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
    (`PSNRMetric.figure`). Raises EvaluationError for shapes that differ.
    """
    return -10 * mean_squared_error(generated, reference).log10()
