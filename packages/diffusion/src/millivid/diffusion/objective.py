"""The training objective: v-prediction on the target tokens, with clean context that is sometimes dropped."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from millivid.diffusion.actions import Actions, withhold
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.noise import add_noise, alpha_sigma, velocity
from millivid.diffusion.tokens import TokenBatch
from millivid.files.values import check_number


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random numbers of one training step: time per example, whose context is dropped, noise per token."""

    t: Float[Tensor, " batch"]
    dropped: Bool[Tensor, " batch"]
    eps: Float[Tensor, "batch token c"]


def draw(x: Float[Tensor, "batch token c"], context_dropout: float, generator: torch.Generator | None = None) -> Draws:
    """Uniform times, context dropped with the given probability, and standard normal noise for a batch like x.

    Raises ValueError for a probability outside [0, 1].
    """
    check_number(context_dropout, "context_dropout", 0, 1)
    batch = len(x)
    return Draws(
        t=torch.rand(batch, generator=generator, device=x.device),
        dropped=torch.rand(batch, generator=generator, device=x.device) < context_dropout,
        eps=torch.randn(x.shape, generator=generator, device=x.device),
    )


def diffusion_loss(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    tokens: TokenBatch,
    action: Actions | None,
    draws: Draws,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    shift: float = 1.0,
    drop_actions: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, " batch"]]:
    """Mean squared velocity error over the target tokens, and the same per example (detached).

    x: clean latents, normalised if the model normalises. Context has time 0; where it is dropped it has time 1 (pure
    noise) and, with `drop_actions`, every action is withheld: what the unconditional half of guidance sees.
    """
    dropped = draws.dropped.unsqueeze(1)
    t = torch.where(tokens.cell_is_target, draws.t.unsqueeze(1), dropped.float())
    if action is not None and drop_actions:
        action = withhold(action, dropped)
    alpha, sigma = (part.gather(1, tokens.cell).unsqueeze(-1) for part in alpha_sigma(t, shift))
    v_hat = model(add_noise(x, draws.eps, alpha, sigma), t, tokens, action, pose)
    squared = (v_hat.float() - velocity(x, draws.eps, alpha, sigma)).square().mean(dim=-1)
    target = tokens.is_target
    per_example = (squared * target).sum(dim=1) / target.sum(dim=1)
    return (squared * target).sum() / target.sum(), per_example.detach()
