"""The training objective: prediction of velocity or data at the target tokens, with context that is sometimes dropped."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from millivid.diffusion.actions import Actions, withhold
from millivid.diffusion.model import Seen, VideoDiT
from millivid.diffusion.noise import add_noise, alpha_sigma, velocity
from millivid.diffusion.tokens import TokenBatch
from millivid.files.values import check_number


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of one training step: whose context is dropped; times, and noise per token.

    With several copies of the targets, each has a time and a noise of its own; the context takes the first copy's noise.
    context_t: a time of the context's cells, None for 0; what is at the targets' cells is not read.
    """

    t: Float[Tensor, "batch *copies"]
    dropped: Bool[Tensor, " batch"]
    eps: Float[Tensor, "batch *copies token c"]
    context_t: Float[Tensor, "batch cell"] | None = None


def draw(
    x: Float[Tensor, "batch token c"],
    context_dropout: float,
    generator: torch.Generator | None = None,
    copies: int | None = None,
) -> Draws:
    """Uniform times, context dropped with the given probability, and standard normal noise for a batch like x.

    copies: of the targets; their times are stratified, one in each of so many equal parts of [0, 1]. Raises ValueError for a
    probability outside [0, 1].
    """
    check_number(context_dropout, "context_dropout", 0, 1)
    shape: tuple[int, ...] = ()
    if copies is not None:
        check_number(copies, "copies", 1, 1024, whole=True)
        shape = (copies,)
    t = torch.rand(len(x), *shape, generator=generator, device=x.device)
    return Draws(
        t=t if copies is None else stratified(t),
        dropped=torch.rand(len(x), generator=generator, device=x.device) < context_dropout,
        eps=torch.randn(len(x), *shape, *x.shape[1:], generator=generator, device=x.device),
    )


def stratified(t: Float[Tensor, "*b copies"]) -> Float[Tensor, "*b copies"]:
    """Uniform numbers as one in each of as many equal parts of [0, 1]."""
    copies = t.shape[-1]
    return (t + torch.arange(copies, device=t.device)) / copies


def diffusion_loss(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    tokens: TokenBatch,
    action: Actions | None,
    draws: Draws,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    shift: float = 1.0,
    drop_actions: bool = True,
    snr_gamma: float | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"]]:
    """Mean squared velocity error over the target tokens, and the same per example (detached).

    With snr_gamma, times of a signal-to-noise ratio above it weigh less: the error of the data, by which a velocity's is
    divided by sigma^2, counts min(snr, snr_gamma) + 1 times (Hang et al. 2023, for velocities).

    x: clean latents, normalised if the model normalises. Context has time 0; where it is dropped it has time 1 (pure
    noise) and, with `drop_actions`, every action is withheld: what the unconditional half of guidance sees. A model with
    frozen context computes it once, and every copy of the targets attends to it and to itself.

    Raises ValueError for several copies and a model without frozen context.
    """
    dropped = draws.dropped.unsqueeze(1)
    if action is not None and drop_actions:
        action = withhold(action, dropped)
    if model.config.frozen_context:
        squared, real = _apart(model, x, tokens, action, draws, pose, shift, snr_gamma)
    elif draws.t.ndim > 1:
        raise ValueError(
            f"{draws.t.shape[1]} copies of the targets need a context that does not look at them; use targets_per_context=1, "
            "or train with model.frozen_context=true"
        )
    else:
        t = torch.where(tokens.cell_is_target, draws.t.unsqueeze(1), dropped.to(draws.t.dtype))
        noisy = _noisy(x, draws.eps, t, tokens, shift)
        squared = _squared_error(model, model(noisy.latents, t, tokens, action, pose), noisy, snr_gamma).unsqueeze(1)
        real = tokens.is_target.unsqueeze(1)
    copies, squared = squared.shape[1], squared * real
    per_example = squared.sum(dim=(1, 2)) / (copies * real.sum(dim=(1, 2)))
    return squared.sum() / (copies * real.sum()), per_example.detach()


class _Noisy(NamedTuple):
    """Noisy latents, and what they are made of: latents, noise and their amplitudes."""

    latents: Tensor
    x: Tensor
    eps: Tensor
    alpha: Tensor
    sigma: Tensor


def _noisy(x: Tensor, eps: Tensor, t: Tensor, tokens: TokenBatch, shift: float) -> _Noisy:
    """Latents made noisy at a time per cell."""
    alpha, sigma = (part.gather(1, tokens.cell).unsqueeze(-1) for part in alpha_sigma(t, shift))
    return _Noisy(add_noise(x, eps, alpha, sigma), x, eps, alpha, sigma)


def _squared_error(
    model: VideoDiT, predicted: Tensor, noisy: _Noisy, snr_gamma: float | None
) -> Float[Tensor, "batch token"]:
    """The squared error of a prediction, as one of velocities, weighted by time."""
    variance = noisy.sigma.square()
    if model.config.prediction == "velocity":
        truth, weight = velocity(noisy.x, noisy.eps, noisy.alpha, noisy.sigma), torch.ones_like(variance)
        weight = weight if snr_gamma is None else (variance * (snr_gamma + 1)).clamp(max=1)
    else:
        truth, weight = noisy.x, 1 / variance
        weight = weight if snr_gamma is None else weight.clamp(max=snr_gamma + 1)
    return ((predicted.float() - truth).square() * weight).mean(dim=-1)


def _apart(
    model: VideoDiT,
    x: Tensor,
    tokens: TokenBatch,
    action: Actions | None,
    draws: Draws,
    pose: Tensor | None,
    shift: float,
    snr_gamma: float | None,
) -> tuple[Float[Tensor, "batch copies target"], Bool[Tensor, "batch 1 target"]]:
    """Squared errors of every copy of the targets, which see a context computed once, and which of them are no padding."""
    context, targets = (part.map(lambda column: column.to(x.device)) for part in tokens.split())
    seen = model.pose_seen(pose, tokens.to(x.device))
    times, eps = draws.t.view(len(x), -1), draws.eps.view(len(x), -1, *x.shape[1:])
    copies = times.shape[1]

    t = draws.dropped.to(times.dtype).unsqueeze(1).expand(context.cell.shape)
    if draws.context_t is not None:
        t = torch.maximum(t, context.of_cells(draws.context_t))
    clean = _noisy(context.of_tokens(x), context.of_tokens(eps[:, 0]), t, context.tokens, shift)
    shown = Seen(context.tokens, clean.latents)
    read = model.read_context(clean.latents, *model.prepare(context, t, action, seen, shown))

    each = targets.repeat(copies)
    t = times.reshape(-1, 1).expand(each.cell.shape)
    noisy = _noisy(
        targets.of_tokens(x).repeat_interleave(copies, dim=0), each.of_tokens(eps.flatten(0, 1)), t, each.tokens, shift
    )
    given = None if action is None else targets.of_cells(action)
    placed = model.place(targets.tokens, given, None if seen is None else targets.of_cells(seen), shown)
    given = None if given is None else given.repeat_interleave(copies, dim=0)
    conditions = model.conditions(t, each.tokens.cell_level, given)
    predicted = model.predict(noisy.latents, conditions, placed.repeat(copies), read.repeat(copies))
    real = targets.tokens.key_mask
    squared = _squared_error(model, predicted, noisy, snr_gamma).unflatten(0, (-1, copies))
    return squared, (torch.ones_like(targets.token, dtype=torch.bool) if real is None else real).unsqueeze(1)
