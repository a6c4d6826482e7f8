"""Every size, both variants, square and wide images, and any number of levels."""

import pytest
import torch

from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, tokenizer_loss
from millivid.tokenizer.config import SIZES


def count_by_hand(width: int, depth: int, num_heads: int, channels: int = 32, patch: int = 16 * 16 * 3) -> int:
    """Parameters of a tokenizer with four levels whose encoder and decoder are alike."""
    block = (3 + 1 + 4 + 4) * width**2 + (3 + 1 + 4 + 1) * width + 2 * width // num_heads
    adaptive = 6 * width**2 + 6 * width
    encoder = patch * width + width + depth * block + width * channels + channels
    decoder = channels * width + width + depth * (block + adaptive) + width * patch + patch
    return encoder + decoder + 2 * 4 * width  # and a level embedding each


def test_the_count_is_the_released_one() -> None:
    assert count_by_hand(**SIZES["B"]) == 213_798_176


@pytest.mark.parametrize("size", ["S", "B", "L"])
@pytest.mark.parametrize("variant", ["adaptive", "cascaded"])
def test_sizes(size: str, variant: str) -> None:
    with torch.device("meta"):
        model = HierarchicalTokenizer(TokenizerConfig(variant=variant, **SIZES[size]))  # type: ignore[arg-type]
        latents = model.encode(torch.empty(2, 3, 256, 256))
    assert sum(parameter.numel() for parameter in model.parameters()) == count_by_hand(**SIZES[size])
    assert [tuple(level.shape) for level in latents] == [(2, side, side, 32) for side in (16, 8, 4, 2)]
    assert model.decode(latents, level=3).shape == (2, 3, 256, 256)


@pytest.mark.parametrize("variant", ["adaptive", "cascaded"])
@pytest.mark.parametrize(
    ("image", "patch", "levels"), [((8, 24), (4, 4), 1), ((48, 16), (4, 2), 3), ((32, 64), (2, 2), 5)]
)
def test_wide_and_tall_images_and_any_number_of_levels(
    variant: str, image: tuple[int, int], patch: tuple[int, int], levels: int
) -> None:
    torch.manual_seed(0)
    config = TokenizerConfig(
        image_size=image, patch_size=patch, num_levels=levels, latent_channels=3, width=16, depth=1, num_heads=2,
        variant=variant,  # type: ignore[arg-type]
    )  # fmt: skip
    model, images = HierarchicalTokenizer(config), torch.rand(levels, 3, *image)
    latents = model.encode(images)
    grids = [(image[0] // patch[0] >> level, image[1] // patch[1] >> level) for level in range(levels)]
    assert [tuple(level.shape) for level in latents] == [(levels, *grid, 3) for grid in grids]
    for level in range(levels):
        assert model.decode(latents, level).shape == images.shape
    loss, _ = tokenizer_loss(model, images, torch.arange(levels))
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
