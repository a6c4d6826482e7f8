"""The loss, by its definition: one masked pass over every token, and squares of what it misses."""

import dataclasses

import pytest
import torch

from millivid.diffusion import TokenBatch, VideoDiT, VideoDiTConfig, alpha_sigma, diffusion_loss, draw, stack_tokens
from millivid.diffusion.train import TrainDiffusionConfig
from millivid.rollout import make_schedule

GRIDS = ((2, 4), (1, 2))


def model_of(prediction: str) -> VideoDiT:
    torch.manual_seed(0)
    sizes = {"grids": GRIDS, "latent_channels": 3, "width": 24, "depth": 2, "num_heads": 2}
    model = VideoDiT(VideoDiTConfig(**sizes, frozen_context=True, prediction=prediction)).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def batch_of(model: VideoDiT) -> tuple[torch.Tensor, TokenBatch, torch.Tensor]:
    chunk = make_schedule("millivid", windows=(1, 4), history=16).chunk((8, 2))
    tokens = stack_tokens([model.tokens_of(chunk.steps[0]), model.tokens_of(chunk.steps[-1])])
    x = torch.randn(*tokens.level.shape, 3, dtype=torch.float64)
    return x, tokens, torch.randint(0, 3, tokens.cell_level.shape)


@pytest.mark.parametrize("prediction", ["velocity", "data"])
@pytest.mark.parametrize("gamma", [None, 5.0])
@pytest.mark.parametrize("noisy_context", [False, True])
def test_the_loss_is_what_it_says(prediction: str, gamma: float | None, noisy_context: bool) -> None:
    model = model_of(prediction)
    x, tokens, action = batch_of(model)
    draws = draw(x, 0.0, torch.Generator().manual_seed(1))
    draws = dataclasses.replace(draws, t=torch.tensor([0.3, 0.8]).double(), dropped=torch.tensor([False, True]))
    context_t = torch.zeros(tokens.cell_level.shape, dtype=torch.float64)
    if noisy_context:
        context_t = 0.3 * torch.rand_like(context_t)
        draws = dataclasses.replace(draws, context_t=context_t)
    context_t = torch.where(draws.dropped.unsqueeze(1), 1.0, context_t)
    t = torch.where(tokens.cell_is_target, draws.t.unsqueeze(1), context_t)
    alpha, sigma = (part.gather(1, tokens.cell).unsqueeze(-1) for part in alpha_sigma(t))
    noisy = alpha * x + sigma * draws.eps
    seen = torch.where(draws.dropped.unsqueeze(1), -1, action)
    predicted = model(noisy, t, tokens, seen)
    data = predicted if prediction == "data" else alpha * noisy - sigma * predicted
    snr = (alpha / sigma) ** 2
    weight = (
        snr + 1 if gamma is None else snr.clamp(max=gamma) + 1
    )  # the velocity's error is that of the data over sigma
    squared = ((data - x).square() * weight).mean(dim=-1)[tokens.is_target]
    loss, per_example = diffusion_loss(model, x, tokens, action, draws, snr_gamma=gamma)
    torch.testing.assert_close(loss, squared.mean(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(per_example.mean(), squared.mean(), rtol=1e-6, atol=1e-8)  # as many targets in each


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"prediction": "data"}}, "give snr_gamma=5"),
        ({"snr_gamma": 0.0}, "snr_gamma is 0"),
        ({"context_noise": 0.3}, "context_noise is 0.3; it needs model.frozen_context=true"),
        ({"group_shares": (1.0, 0.0)}, "group_shares is"),
        ({"context_noise": 1.0}, "context_noise is 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    model = dataclasses.replace(
        TrainDiffusionConfig.__dataclass_fields__["model"].default_factory(), **settings.pop("model", {})
    )
    with pytest.raises(ValueError, match=message):
        TrainDiffusionConfig(data="data", out="out", model=model, **settings)
