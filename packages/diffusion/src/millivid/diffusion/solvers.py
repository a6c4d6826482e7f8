"""Solvers: the times at which the network is asked on the way from noise to data, and the rule between them."""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from millivid.diffusion.noise import add_noise, alpha_sigma, logsnr
from millivid.files.values import check_fields, check_number

Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""What a network says of noisy values at a time: the data and the noise in them."""


@dataclass(frozen=True)
class Solver(ABC):
    """How noise becomes data: the times at which the network is asked, and a rule that leads from one to the next.

    times: descending from 1 (noise) to 0 (data) or above; what the network predicts at the last one is the result. Raises
    ValueError for others.
    """

    times: tuple[float, ...]

    def __post_init__(self) -> None:
        check_fields(self)
        descending = all(later < earlier for earlier, later in zip(self.times, self.times[1:], strict=False))
        if not self.times or self.times[0] != 1 or self.times[-1] < 0 or not descending:
            shown = ", ".join(f"{t:g}" for t in self.times[:8]) + (", ..." if len(self.times) > 8 else "")
            raise ValueError(
                f"a solver's times are ({shown}); they must descend from 1 to 0 or above, as in (1, 0.5, 0)"
            )

    @abstractmethod
    def solve(self, predict: Predict, noise: Float[Tensor, "*shape"], shift: float = 1.0) -> Float[Tensor, "*shape"]:
        """The data that standard normal noise leads to, of its type and on its device.

        predict: the data and the noise that the network sees in noisy values at a time; called once per time, in order.
        shift: the noise schedule's, see `logsnr`. What depends on times alone is computed on the CPU, and no GPU is waited
        for. Raises ValueError for a shift that is not positive.
        """


@dataclass(frozen=True)
class DDIM(Solver):
    """First order, the paper's: predicted data and noise are mixed again at the next time (Song et al. 2021, eta 0)."""

    def solve(self, predict: Predict, noise: Float[Tensor, "*shape"], shift: float = 1.0) -> Float[Tensor, "*shape"]:
        # As precise as the network's own amplitudes. 64 of each, for the CPU's vector instructions: those compute the
        # amplitudes of many cells, and single numbers would differ from them in the last bit.
        times = torch.tensor(self.times, dtype=torch.promote_types(noise.dtype, torch.float32), device="cpu")
        alphas, sigmas = (amplitude[0] for amplitude in alpha_sigma(times.repeat(64, 1), shift))
        data = torch.zeros_like(noise)
        for t, alpha, sigma in zip(self.times, alphas, sigmas, strict=True):
            data, noise = predict(add_noise(data, noise, alpha, sigma), t)
        return data


@dataclass(frozen=True)
class DPMSolverPP2M(Solver):
    """Second order: data lie on a line through the last two predictions (Lu et al. 2022, DPM-Solver++, algorithm 2).

    The first step, before which there is one prediction, is of first order, and so is a step to time 0: log SNR goes too far
    in it to go on along a line. A last time above 0 needs no such step.
    """

    def solve(self, predict: Predict, noise: Float[Tensor, "*shape"], shift: float = 1.0) -> Float[Tensor, "*shape"]:
        return _multistep(self.times, predict, noise, shift, corrects=False)


@dataclass(frozen=True)
class UniPC(Solver):
    """Third order: steps as in `DPMSolverPP2M`, each made again with the prediction that it led to (Zhao et al. 2023).

    The paper's UniPC-2 with its B2(h) = e^h - 1. The network is not asked again after a correction, so that a step costs one
    evaluation. With a last time of 0 the order is the second.
    """

    def solve(self, predict: Predict, noise: Float[Tensor, "*shape"], shift: float = 1.0) -> Float[Tensor, "*shape"]:
        return _multistep(self.times, predict, noise, shift, corrects=True)


SOLVERS: dict[str, type[Solver]] = {"ddim": DDIM, "dpmpp_2m": DPMSolverPP2M, "unipc": UniPC}


def make_solver(name: str, steps: int, last_time: float = 0.0) -> Solver:
    """A solver by name, with `steps` evaluations of the network at even times from 1 to `last_time`, both included.

    name: ddim, dpmpp_2m or unipc. last_time: 0 for the paper's times; above it the result is what the network expects at that
    time, when more is open: 0.6 % of the variance is noise at 0.05. Raises ValueError for an unknown name (with the closest),
    for steps that are no whole number from 2 to 10,000, and for a last_time outside 0 to 0.999.
    """
    solver = SOLVERS.get(str(name))
    if solver is None:
        close = difflib.get_close_matches(str(name), SOLVERS, n=1, cutoff=0.4)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"there is no solver {name!r}; {meant}Known: {', '.join(SOLVERS)}")
    check_number(steps, "sampling steps", 2, 10_000, whole=True, hint=": at least 2, for the first and the last time")
    check_number(last_time, "last time", 0, 0.999, hint=": below 1, where sampling begins, and 0 for the paper's times")
    return solver(tuple(torch.linspace(1, last_time, steps, device="cpu").tolist()))


def _multistep(times: tuple[float, ...], predict: Predict, noise: Tensor, shift: float, *, corrects: bool) -> Tensor:
    exact = torch.tensor(times, dtype=torch.float64, device="cpu")
    alpha, sigma = (amplitude.tolist() for amplitude in alpha_sigma(exact, shift))
    place = (logsnr(exact, shift) / 2).tolist()
    noisy = sigma[0] * noise
    data = earlier = predict(noisy, times[0])[0]
    for i in range(1, len(times)):
        # The exact solution over a step: noise that shrinks, and a mean of the data along it, which e^place weighs.
        length = place[i] - place[i - 1]
        kept, pull = sigma[i] / sigma[i - 1] * noisy, -alpha[i] * math.expm1(-length)
        ratio = length / (place[i - 1] - place[i - 2]) if i > 1 and times[i] > 0 else 0.0
        slope = ratio * (data - earlier)  # of the line through the last two predictions, over the length of this step
        noisy = kept + pull * (data + slope / 2)
        new = predict(noisy, times[i])[0]
        if corrects:
            backward, forward = _parabola(length, ratio)
            noisy = kept + pull * (data + backward * slope + forward * (new - data))
        data, earlier = new, data
    return data


def _parabola(length: float, ratio: float) -> tuple[float, float]:
    """Weights of the slopes to the earlier and to the new prediction in the mean of a parabola through all three."""
    if ratio == 0:
        return 0.0, 0.5  # no earlier prediction: UniC-1, for which the paper takes a half whatever the length
    gain = -math.expm1(-length)
    first = 1 / gain - 1 / length  # the mean of u, from 0 to 1 along the step
    second = 1 / gain - 2 * first / length  # the mean of u^2
    backward = (first - second) * ratio / (1 + ratio)
    return backward, first - backward
