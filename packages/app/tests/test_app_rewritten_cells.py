"""What the release lets shine through where a cell is written twice, measured (docs/decisions/0015)."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

import millivid.app.pipeline
from millivid.diffusion import Noise, SamplerConfig, TokenBatch, VideoDiT, alpha_sigma, rollout
from millivid.kernels import pack_tokens
from millivid.rollout import make_schedule, plan

WEIGHTS = Path(millivid.app.pipeline.__file__).parent / "weights"
ALPHA, SIGMA = (float(part) for part in alpha_sigma(torch.ones(1)))
CONTEXT = 8


class ShiningThrough(Noise):
    """Noise of targets through which `share` of what the store held before shines: at t = 1, sigma eps + alpha old."""

    def __init__(self, model: VideoDiT, stores: Sequence[Tensor], share: float) -> None:
        super().__init__(torch.Generator().manual_seed(1))
        self.model, self.stores, self.share = model, stores, share

    def draw(self, x: Tensor, tokens: TokenBatch) -> Tensor:
        old = pack_tokens(self.stores, *tokens.place)
        written = tokens.is_target.unsqueeze(-1) & (old != 0)  # what was never written is zero in the release too
        return super().draw(x, tokens) + self.share * written * self.model.normalize(old, tokens.level)


def rewritten(model: VideoDiT, share: float) -> Tensor:
    """The finest latents of a chunk by `upscale`, in which a frame of the coarser level is written twice."""
    video = plan(make_schedule("upscale", base=1, num_levels=2), model.config.tokens_per_level, CONTEXT, CONTEXT + 5)
    assert video.chunk.rewrites
    generator = torch.Generator().manual_seed(0)
    stores = []
    for level, grid in enumerate(model.config.grids[:2]):
        given = torch.randn(2, video.buffer_end, *grid, model.config.latent_channels, generator=generator)
        stores.append(model.denormalize(given, level))
        stores[level][:, CONTEXT:] = 0
    actions = torch.randint(0, 3, (2, video.buffer_end), generator=generator)
    list(rollout(model, stores, video, actions, SamplerConfig(steps=10), ShiningThrough(model, stores, share)))
    return stores[0][:, CONTEXT:]


def test_an_old_value_that_shines_through_changes_nothing_that_is_seen() -> None:
    model = VideoDiT.from_pretrained(WEIGHTS / "millivid")
    assert pytest.approx(5.53e-4, rel=1e-3) == ALPHA
    ours, theirs = rewritten(model, 0.0), rewritten(model, ALPHA / SIGMA)
    difference, deviation = (ours - theirs).abs(), float(ours.std())
    print(
        f"latents: deviation {deviation:.2g}, difference at most {difference.max():.2g}, mean {difference.mean():.2g}"
    )
    assert 0 < difference.max() < 1e-2 * deviation
