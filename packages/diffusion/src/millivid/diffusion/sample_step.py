"""One rollout step: targets from noise, by a solver that asks the network."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from millivid.diffusion.actions import Actions
from millivid.diffusion.model import Seen, VideoDiT
from millivid.diffusion.noise import add_noise, alpha_sigma
from millivid.diffusion.solvers import Solver, make_solver
from millivid.diffusion.tokens import TokenBatch, TokenPart
from millivid.files.values import check_number

Network = Callable[[Tensor, float], Tensor]
"""What the network predicts of noisy values at a time."""


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a rollout step is sampled.

    steps, solver, last_time: evaluations of the network, the rule between them and the time of the last, see `make_solver`.
    guidance: 1 is none. shift: of the noise schedule.

    Raises ValueError for a solver that there is not, and unless steps is a whole number from 2 to 10,000, last_time lies in 0
    to 0.999, guidance in 0 to 1000 and shift in 0.001 to 1000.
    """

    steps: int = 50
    guidance: float = 1.0
    shift: float = 1.0
    solver: str = "ddim"
    last_time: float = 0.0

    def __post_init__(self) -> None:
        self.make_solver()
        check_number(self.guidance, "guidance", 0, 1000, hint=", 1 for none")
        check_number(self.shift, "noise shift", 1e-3, 1000, hint=": positive, 1 for none")

    def make_solver(self) -> Solver:
        """The solver that these settings name."""
        return make_solver(self.solver, self.steps, self.last_time)


@torch.no_grad()
def denoise(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    eps: Float[Tensor, "batch token c"],
    t: float,
    tokens: TokenBatch,
    action: Actions | None = None,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    guidance: float = 1.0,
    shift: float = 1.0,
) -> tuple[Float[Tensor, "batch token c"], Float[Tensor, "batch token c"]]:
    """One model call at time t: the data and noise it sees in the targets; context keeps its x and eps.

    guidance g mixes predictions as v_uncond + g (v - v_uncond); unconditional means that everything but the targets is
    pure noise and that there are no actions (Ho & Salimans 2022). At g = 1 only the conditional model is called. Raises
    ValueError for a time outside [0, 1].
    """
    check_number(t, "t", 0, 1)
    target = tokens.is_target.unsqueeze(-1).to(x.device, non_blocking=True)
    noisy = add_noise(x, eps, *_amplitudes(t, shift))
    predicted = _guided(lambda *dropped: _in_one_pass(model, x, eps, tokens, pose, shift, *dropped), action, guidance)(
        noisy, t
    )
    x_hat, eps_hat = model.data_and_noise(predicted, noisy, *_amplitudes(t, shift))
    return torch.where(target, x_hat, x), torch.where(target, eps_hat, eps)


@torch.no_grad()
def sample_step(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    eps: Float[Tensor, "batch token c"],
    tokens: TokenBatch,
    action: Actions | None = None,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    config: SamplerConfig | None = None,
) -> tuple[Float[Tensor, "batch token c"], Float[Tensor, "batch token c"]]:
    """Write one step's targets from noise, evaluating all tokens each time.

    Returns the whole sequence, and its noise with the targets' last estimate. See `sample_targets` for a frozen context.
    """
    config = config or SamplerConfig()
    network = _guided(
        lambda *dropped: _in_one_pass(model, x, eps, tokens, pose, config.shift, *dropped), action, config.guidance
    )
    data, noise = _solve(model, network, eps, config)
    target = tokens.is_target.unsqueeze(-1).to(x.device, non_blocking=True)
    return torch.where(target, data, x), torch.where(target, noise, eps)


@torch.no_grad()
def sample_targets(
    model: VideoDiT,
    x: Float[Tensor, "batch context c"],
    eps: Float[Tensor, "batch context c"],
    noise: Float[Tensor, "batch target c"],
    parts: tuple[TokenPart, TokenPart],
    action: Actions | None = None,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    config: SamplerConfig | None = None,
) -> tuple[Float[Tensor, "batch target c"], Float[Tensor, "batch target c"]]:
    """What `sample_step` writes, for a model with frozen context: x is read once, and evaluations see the targets alone.

    x, eps: the context and its noise. noise: the targets'. parts: the context and the targets, see `TokenBatch.split`.
    action: per cell of the whole step. pose: likewise, as `VideoDiT.pose_seen` gives it. On a GPU nothing is waited for when
    parts, action and pose are on the CPU. Returns the targets and their noise as last estimated.

    Raises ValueError for a model without frozen context.
    """
    config = config or SamplerConfig()
    network = _guided(
        lambda *dropped: _after_reading(model, x, eps, parts, pose, config.shift, *dropped), action, config.guidance
    )
    return _solve(model, network, noise, config)


def _guided(
    network_given: Callable[[float, Actions | None], Network], action: Actions | None, guidance: float
) -> Network:
    """Predictions with context at time 0 and actions, or mixed with those whose context is noise and that have none."""
    conditional = network_given(0.0, action)
    if guidance == 1.0:
        return conditional
    unconditional = network_given(1.0, None)

    def mixed(noisy: Tensor, t: float) -> Tensor:
        without = unconditional(noisy, t)
        return without + guidance * (conditional(noisy, t) - without)

    return mixed


def _in_one_pass(
    model: VideoDiT,
    x: Tensor,
    eps: Tensor,
    tokens: TokenBatch,
    pose: Tensor | None,
    shift: float,
    context_t: float,
    action: Actions | None,
) -> Network:
    """Predictions for a whole step's tokens."""
    context = add_noise(x, eps, *_amplitudes(context_t, shift))
    target = tokens.is_target.unsqueeze(-1).to(x.device, non_blocking=True)
    placed = model.place(tokens, action, model.pose_seen(pose, tokens), Seen(tokens, context))

    def network(noisy: Tensor, t: float) -> Tensor:
        times = torch.where(tokens.cell_is_target, t, context_t)
        conditions = model.conditions(times, tokens.cell_level, action)
        return model.predict(torch.where(target, noisy, context), conditions, placed).to(x.dtype)

    return network


def _after_reading(
    model: VideoDiT,
    x: Tensor,
    eps: Tensor,
    parts: tuple[TokenPart, TokenPart],
    pose: Tensor | None,
    shift: float,
    context_t: float,
    action: Actions | None,
) -> Network:
    """Predictions for a step's targets, whose context is read here."""
    seen = Seen(parts[0].tokens, add_noise(x, eps, *_amplitudes(context_t, shift)))
    context, targets = (model.prepare(part, torch.tensor(context_t), action, pose, seen) for part in parts)
    read = model.read_context(seen.latents, *context)
    asked, placed = targets[0].to(x.device), targets[1]

    def network(noisy: Tensor, t: float) -> Tensor:
        at_t = replace(asked, t=torch.full_like(asked.t, t))
        return model.predict(noisy, at_t, placed, read).to(x.dtype)

    return network


def _solve(model: VideoDiT, network: Network, noise: Tensor, config: SamplerConfig) -> tuple[Tensor, Tensor]:
    """The data that a solver finds, and the noise as last estimated."""
    last = [noise]

    def predict(noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        data, last[0] = model.data_and_noise(network(noisy, t), noisy, *_amplitudes(t, config.shift))
        return data, last[0]

    return config.make_solver().solve(predict, noise, config.shift), last[0]


def _amplitudes(t: float, shift: float) -> tuple[Tensor, Tensor]:
    """Signal and noise at a time, as numbers that no GPU has to be asked for."""
    return alpha_sigma(torch.tensor(t, device="cpu"), shift)
