"""Solvers: their order, what diffusers says, the paper's sampling to the last bit, and errors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from millivid.diffusion import DDIM, SOLVERS, DPMSolverPP2M, Predict, Solver, UniPC, make_solver
from millivid.diffusion.noise import add_noise, alpha_sigma, data_and_noise

MEAN, DEVIATION = 0.7, 0.5
NOISE = torch.linspace(-2, 2, 9, dtype=torch.float64)
ORDERS = {"ddim": (0.95, 1.1), "dpmpp_2m": (1.9, 2.25), "unipc": (2.7, 3.1)}  # 1, 2 and 3, of 48 to 256 evaluations
every_solver = pytest.mark.parametrize("name", SOLVERS)


def gaussian(deviation: float = DEVIATION, shift: float = 1.0) -> Predict:
    """What a perfect network says of data that are normal with mean MEAN."""

    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        alpha, sigma = alpha_sigma(torch.tensor(t, dtype=torch.float64), shift)
        gain = alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2)
        data = MEAN + gain * (noisy - alpha * MEAN)
        return data, (noisy - alpha * data) / sigma

    return predict


def solution(solver: Solver, deviation: float = DEVIATION, shift: float = 1.0) -> Tensor:
    """The exact end of the probability-flow equation, on which every value keeps its distance from the mean in deviations."""
    ends = torch.tensor([solver.times[0], solver.times[-1]], dtype=torch.float64)
    alpha, sigma = alpha_sigma(ends, shift)
    spread = (alpha**2 * deviation**2 + sigma**2).sqrt()
    distance = (sigma[0] * NOISE - alpha[0] * MEAN) / spread[0]
    return gaussian(deviation, shift)(alpha[1] * MEAN + distance * spread[1], solver.times[-1])[0]


def error(solver: Solver, deviation: float = DEVIATION, shift: float = 1.0) -> float:
    found = solver.solve(gaussian(deviation, shift), NOISE, shift)
    return float((found - solution(solver, deviation, shift)).abs().max())


def nonlinear(noisy: Tensor, t: float) -> Tensor:
    """Bounded data that depend on noisy values and time in no simple way."""
    return torch.tanh(2 * noisy + torch.sin(3 * noisy + 5 * t))


def with_noise(data: Callable[[Tensor, float], Tensor], shift: float) -> Predict:
    """The data that a function gives, and the noise that goes with them."""

    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        alpha, sigma = alpha_sigma(torch.tensor(t, dtype=torch.float64), shift)
        x = data(noisy, t)
        return x, (noisy - alpha * x) / sigma

    return predict


def recording(predict: Predict) -> tuple[Predict, list[tuple[float, Tensor]]]:
    seen: list[tuple[float, Tensor]] = []

    def recorded(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        seen.append((t, noisy))
        return predict(noisy, t)

    return recorded, seen


def order(name: str, last_time: float, shift: float) -> float:
    """Minus the slope of the error's logarithm over that of the number of evaluations, by least squares."""
    steps = torch.tensor([48, 64, 96, 128, 192, 256])
    errors = torch.tensor([error(make_solver(name, int(n), last_time), shift=shift) for n in steps])
    x = steps.log() - steps.log().mean()
    return -float((x * errors.log()).sum() / (x * x).sum())


@pytest.mark.parametrize("shift", [0.7, 1.0])
@every_solver
def test_the_error_falls_with_the_order_of_the_solver(name: str, shift: float) -> None:
    least, most = ORDERS[name]
    assert least < order(name, 0.05, shift) < most


def test_ddim_is_of_first_order_at_the_papers_times() -> None:
    assert 0.95 < order("ddim", 0.0, 1.0) < 1.1


@pytest.mark.parametrize("steps", [4, 6, 8, 12, 16, 24, 32, 48, 64])
@pytest.mark.parametrize("deviation", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("name", ["dpmpp_2m", "unipc"])
def test_higher_orders_are_no_worse_than_ddim_at_the_papers_times(name: str, deviation: float, steps: int) -> None:
    assert error(make_solver(name, steps), deviation) <= error(make_solver("ddim", steps), deviation)


@pytest.mark.parametrize("name", ["dpmpp_2m", "unipc"])
def test_16_evaluations_of_higher_order_are_better_than_64_of_ddim(name: str) -> None:
    assert error(make_solver(name, 16)) < error(make_solver("ddim", 64)) / 2


def diffusers_scheduler(solver: Solver, alpha: Tensor, sigma: Tensor) -> Any:
    """The scheduler of diffusers that has the solver's rule, for its times. Ours knows no noise below that of time 0."""
    schedulers = pytest.importorskip("diffusers.schedulers", reason="diffusers is not installed")
    steps = len(solver.times)
    settings: dict[str, Any] = {"num_train_timesteps": steps, "prediction_type": "sample"}
    if isinstance(solver, DDIM):
        scheduler = schedulers.DDIMScheduler(**settings, clip_sample=False)
        scheduler.set_timesteps(steps)
        scheduler.alphas_cumprod = alpha.flip(0) ** 2
        return scheduler
    settings |= {"solver_order": 2, "lower_order_final": solver.times[-1] == 0, "final_sigmas_type": "sigma_min"}
    if isinstance(solver, UniPC):
        scheduler = schedulers.UniPCMultistepScheduler(**settings, solver_type="bh2")
    else:
        scheduler = schedulers.DPMSolverMultistepScheduler(**settings, algorithm_type="dpmsolver++")
    scheduler.set_timesteps(steps - 1)
    scheduler.timesteps = torch.arange(steps - 2, -1, -1)
    scheduler.sigmas = sigma / alpha
    return scheduler


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("shift", [0.5, 1.0])
@pytest.mark.parametrize("last_time", [0.0, 0.04])
@pytest.mark.parametrize("steps", [2, 3, 5, 10, 14])
@every_solver
def test_noisy_values_are_those_of_diffusers(name: str, steps: int, last_time: float, shift: float) -> None:
    solver = make_solver(name, steps, last_time)
    alpha, sigma = alpha_sigma(torch.tensor(solver.times, dtype=torch.float64), shift)
    scheduler = diffusers_scheduler(solver, alpha, sigma)
    recorded, seen = recording(with_noise(nonlinear, shift))
    result = solver.solve(recorded, NOISE[None], shift)
    tolerance = 1e-5 if name == "dpmpp_2m" else 1e-9  # theirs computes in float32
    noisy = sigma[0] * NOISE[None]
    for i, (t, found) in enumerate(seen):
        torch.testing.assert_close(found, noisy, rtol=0, atol=tolerance)
        data = nonlinear(noisy, t)
        if i < steps - 1:
            noisy = scheduler.step(data, scheduler.timesteps[i], noisy).prev_sample.double()
    torch.testing.assert_close(result, data, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shift", [0.5, 1.0])
@pytest.mark.parametrize("steps", [2, 4, 20, 50])
def test_ddim_at_the_papers_times_is_the_papers_sampling_to_the_last_bit(steps: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 64, 3, generator=generator)
    matrix = torch.randn(3, 3, generator=generator)

    def velocity(noisy: Tensor, t: float) -> Tensor:
        return torch.tanh(noisy @ matrix + t)

    def amplitudes(t: float) -> tuple[Tensor, Tensor]:  # a time for each of 64 cells
        alpha, sigma = alpha_sigma(torch.full((2, 64), t), shift)
        return alpha.unsqueeze(-1), sigma.unsqueeze(-1)

    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        return data_and_noise(velocity(noisy, t), noisy, *amplitudes(t))

    x, eps = torch.zeros_like(noise), noise
    for t in torch.linspace(1, 0, steps).tolist():
        alpha, sigma = amplitudes(t)
        noisy = alpha * x + sigma * eps
        v = velocity(noisy, t)
        x, eps = alpha * noisy - sigma * v, alpha * v + sigma * noisy
    assert torch.equal(make_solver("ddim", steps).solve(predict, noise, shift), x)


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SOLVERS)),
    steps=st.integers(2, 40),
    last_time=st.floats(0, 0.999),
    shift=st.floats(0.01, 100),
    data=st.lists(st.floats(-100, 100), min_size=1, max_size=5),
)
def test_known_data_are_reached_along_a_straight_mix_with_noise(
    name: str, steps: int, last_time: float, shift: float, data: list[float]
) -> None:
    known = torch.tensor(data, dtype=torch.float64)
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)
    solver = make_solver(name, steps, last_time)
    recorded, seen = recording(with_noise(lambda noisy, t: known, shift))
    assert torch.equal(solver.solve(recorded, noise, shift), known)
    alpha, sigma = alpha_sigma(torch.tensor(solver.times, dtype=torch.float64), shift)
    start = noise - alpha[0] / sigma[0] * known  # the noise in the first noisy values, which hold none of the data
    for i, (_, noisy) in enumerate(seen):
        expected = add_noise(known, start, alpha[i], sigma[i])
        torch.testing.assert_close(noisy, expected, rtol=1e-8, atol=1e-8 * float(start.abs().max() + known.abs().max()))


@every_solver
def test_the_network_is_asked_once_per_time_in_order(name: str) -> None:
    recorded, seen = recording(gaussian())
    solver = make_solver(name, 7, 0.1)
    solver.solve(recorded, NOISE)
    assert tuple(t for t, _ in seen) == solver.times


@every_solver
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_result_is_of_the_noises_type_and_shape(name: str, dtype: torch.dtype) -> None:
    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        assert noisy.dtype == dtype
        return noisy / 2, noisy

    found = make_solver(name, 5).solve(predict, torch.ones(2, 3, dtype=dtype))
    assert found.dtype == dtype
    assert found.shape == (2, 3)
    assert found.isfinite().all()


@every_solver
def test_no_device_is_waited_for(name: str) -> None:
    noise = torch.empty(2, 3, device="meta")  # to read a value of such a tensor is an error
    found = make_solver(name, 5).solve(lambda noisy, t: (noisy / 2, noisy), noise)
    assert found.device == noise.device


@every_solver
def test_one_evaluation_is_the_prediction_of_pure_noise(name: str) -> None:
    found = SOLVERS[name]((1.0,)).solve(gaussian(), NOISE)
    sigma = alpha_sigma(torch.ones(1, dtype=torch.float64))[1]
    torch.testing.assert_close(found, gaussian()(sigma * NOISE, 1.0)[0], rtol=1e-7, atol=1e-7)


def test_solvers_are_values() -> None:
    assert make_solver("unipc", 8, 0.1) == make_solver("unipc", 8, 0.1)
    assert make_solver("unipc", 8) != make_solver("dpmpp_2m", 8)
    assert len({DDIM((1.0, 0.0)), DDIM((1.0, 0.0)), UniPC((1.0, 0.0)), DPMSolverPP2M((1.0, 0.0))}) == 3
    assert make_solver("ddim", 3).times == (1.0, 0.5, 0.0)
    assert make_solver("ddim", 3, 0.5).times == (1.0, 0.75, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_solver("dpmpp2m", 8),
            "no solver 'dpmpp2m'; did you mean 'dpmpp_2m'? Known: ddim, dpmpp_2m, unipc",
        ),
        (lambda: make_solver("qqq", 8), "no solver 'qqq'; Known: ddim"),
        (lambda: make_solver("ddim", 1), "sampling steps is 1; it must be a whole number from 2 to 10,000"),
        (lambda: make_solver("ddim", 2.5), "sampling steps is 2.5; it must be a whole number"),  # type: ignore[arg-type]
        (lambda: make_solver("ddim", 8, 1.0), "last time is 1.0; it must be a finite number from 0 to 0.999: below 1"),
        (lambda: make_solver("ddim", 8, -0.1), "last time is -0.1"),
        (lambda: make_solver("ddim", 8, math.nan), "last time is nan"),
        (lambda: DDIM(()), r"times are (); they must descend from 1 to 0 or above"),
        (lambda: DDIM((0.5, 0.0)), "times are (0.5, 0); they must descend from 1"),
        (lambda: DDIM((1.0, 0.5, 0.5)), "times are (1, 0.5, 0.5); they must descend"),
        (lambda: DDIM((1.0, -0.5)), "times are (1, -0.5); they must descend"),
        (lambda: DDIM((1.0, math.nan)), "numbers must be finite"),
        (lambda: DDIM((1.0, "x")), "times is (1.0, 'x'); expected float"),  # type: ignore[arg-type]
        (lambda: DDIM((1.0, 0.0)).solve(gaussian(), NOISE, shift=0.0), "noise shift is 0.0; it must be positive"),
        (lambda: UniPC((1.0, 0.0)).solve(gaussian(), NOISE, shift=-1.0), "noise shift is -1.0; it must be positive"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
