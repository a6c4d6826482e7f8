"""The tokenizer's training objective: reconstruct the whole image pyramid from one level drawn per image."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.files.values import check_number
from millivid.tokenizer.model import HierarchicalTokenizer
from millivid.tokenizer.pyramid import unpatchify

Perceptual = Callable[[Tensor, Tensor], Tensor]


def tokenizer_loss(
    model: HierarchicalTokenizer,
    frames: Float[Tensor, "batch 3 h w"],
    level: Int[Tensor, " batch"],
    perceptual: Perceptual | None = None,
    perceptual_weight: float = 0.05,
    noise: Float[Tensor, "batch token c"] | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Squared error over the pyramid, weighted by 4^level, plus a perceptual distance on the finest image.

    frames: float in [0, 1]; level: the level that each image is decoded from, drawn uniformly in training.
    perceptual: distance of two image batches in [0, 1] -> (batch,), LPIPS in the paper. noise: added to the latents that are
    decoded, in standard deviations of each level's channels in this batch. Returns the loss and its parts.
    """
    target = model.patches(frames)
    latents = model.encode_patches(target)
    if noise is not None:
        latents = latents + noise * _deviation(model, latents.detach())
    decoded = model.decode_patches(latents, level).float()
    weight = (4.0**model.token_level).unsqueeze(-1)
    squared = (target - decoded).square()
    mse = (weight * squared).mean()
    finest = model.config.tokens_per_level[0]
    parts = {"mse": mse.detach()}
    per_image = squared[:, :finest].detach().mean(dim=(1, 2))
    for index in range(model.config.num_levels):
        if (chosen := level == index).any():
            parts[f"psnr_level_{index}"] = -10 * torch.log10(per_image[chosen].mean())
    if perceptual is None:
        return mse, parts
    images = unpatchify(decoded[:, :finest], model.config.grids[0], model.config.patch_size)
    distance = perceptual(images, frames).mean()
    return mse + perceptual_weight * distance, parts | {"perceptual": distance.detach()}


def _deviation(model: HierarchicalTokenizer, latents: Tensor) -> Float[Tensor, "token c"]:
    """The standard deviation of each token's channels, over the images and the tokens of its level."""
    levels = latents.split(model.config.tokens_per_level, dim=1)
    return torch.cat([part.std(dim=(0, 1), correction=0).expand(part.shape[1], -1) for part in levels])


@torch.no_grad()
def level_psnr(
    model: HierarchicalTokenizer, frames: Float[Tensor, "batch 3 h w"], batch: int = 128
) -> tuple[float, ...]:
    """PSNR in dB of frames in [0, 1] decoded from each level, finest first, of the squared error averaged over all.

    Raises ValueError for other frames, or none.
    """
    check_number(batch, "batch", 1, whole=True)
    if not len(frames):
        raise ValueError("there are no frames to measure; give at least one")
    errors = torch.zeros(model.config.num_levels, dtype=torch.float64)
    for part in frames.split(batch):
        pyramid = model.encode(part)
        for level in range(model.config.num_levels):
            errors[level] += (model.decode(pyramid, level).clamp(0, 1) - part).square().mean().item() * len(part)
    return tuple((-10 * torch.log10(errors / len(frames))).tolist())
