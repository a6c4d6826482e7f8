"""The tokenizer's training objective: reconstruct the whole image pyramid from one level drawn per image."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.tokenizer.model import HierarchicalTokenizer
from millivid.tokenizer.pyramid import unpatchify

Perceptual = Callable[[Tensor, Tensor], Tensor]


def tokenizer_loss(
    model: HierarchicalTokenizer,
    frames: Float[Tensor, "batch 3 h w"],
    level: Int[Tensor, " batch"],
    perceptual: Perceptual | None = None,
    perceptual_weight: float = 0.05,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Squared error over the pyramid, weighted by 4^level, plus a perceptual distance on the finest image.

    frames: float in [0, 1]; level: the level that each image is decoded from, drawn uniformly in training.
    perceptual: distance of two image batches in [0, 1] -> (batch,), LPIPS in the paper. Returns the loss and its parts.
    """
    target = model.patches(frames)
    decoded = model.decode_patches(model.encode_patches(target), level).float()
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
