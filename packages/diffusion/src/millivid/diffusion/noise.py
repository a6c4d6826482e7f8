"""The noise schedule: shifted cosine log-SNR, and the v-prediction identities that go with it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LOGSNR_MAX = 15.0
T_MIN = math.atan(math.exp(-LOGSNR_MAX / 2))
T_MAX = math.atan(math.exp(LOGSNR_MAX / 2))


def logsnr(t: Float[Tensor, "*b"], shift: float = 1.0) -> Float[Tensor, "*b"]:
    """Log signal-to-noise ratio at time t in [0, 1], 15 at 0 (data) and -15 at 1 (noise) for shift 1.

    Hoogeboom et al. 2023, eq. 4. Raises ValueError for a shift that is not positive; times, which may lie on a GPU, are not
    looked at.
    """
    if not 0 < shift < math.inf:
        raise ValueError(f"noise shift is {shift}; it must be positive and finite, 1 for none")
    return -2 * torch.log(torch.tan(T_MIN + t * (T_MAX - T_MIN))) + 2 * math.log(shift)


def alpha_sigma(t: Float[Tensor, "*b"], shift: float = 1.0) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Signal and noise amplitudes at time t; alpha^2 + sigma^2 = 1."""
    ratio = logsnr(t, shift)
    return torch.sigmoid(ratio).sqrt(), torch.sigmoid(-ratio).sqrt()


def add_noise(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Noisy data, alpha x + sigma eps."""
    return alpha * x + sigma * eps


def velocity(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The prediction target v = alpha eps - sigma x (Salimans & Ho 2022)."""
    return alpha * eps - sigma * x


def data_and_noise(v: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The data and the noise that a velocity implies: (alpha noisy - sigma v, alpha v + sigma noisy)."""
    return alpha * noisy - sigma * v, alpha * v + sigma * noisy


def noise_in(noisy: Tensor, data: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise that there is in noisy data, (noisy - alpha data) / sigma."""
    return (noisy - alpha * data) / sigma
