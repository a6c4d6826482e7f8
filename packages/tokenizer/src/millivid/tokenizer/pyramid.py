"""Image pyramids and patches: the geometry that the tokenizer's two halves share."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def level_grids(image_size: Grid, patch_size: Grid, num_levels: int) -> tuple[Grid, ...]:
    """The latent grid (height, width) of every level, finest first.

    Raises ValueError when the patches do not tile the image or the levels cannot be halved.
    """
    (image_height, image_width), (patch_height, patch_width) = image_size, patch_size
    if min(*image_size, *patch_size) < 1 or num_levels < 1:
        raise ValueError(
            f"image_size {image_size}, patch_size {patch_size} and num_levels {num_levels} must all be at least 1"
        )
    if image_height % patch_height or image_width % patch_width:
        raise ValueError(
            f"image_size {image_size} is not a multiple of patch_size {patch_size}; "
            f"{_nearest_multiple(image_height, patch_height), _nearest_multiple(image_width, patch_width)} is"
        )
    height, width = image_height // patch_height, image_width // patch_width
    if num_levels > (most := _most_levels(height, width)):
        halvings = 2 ** min(num_levels - 1, 16)
        raise ValueError(
            f"a latent grid of {height}x{width} cannot be halved {num_levels - 1} times for {num_levels} levels; "
            f"use at most {most} levels or an image size that is a multiple of "
            f"{patch_height * halvings, patch_width * halvings}"
        )
    return tuple((height >> level, width >> level) for level in range(num_levels))


def _nearest_multiple(value: int, base: int) -> int:
    return max(base, round(value / base) * base)


def _most_levels(height: int, width: int) -> int:
    levels = 1
    while height % 2 == 0 and width % 2 == 0:
        height, width, levels = height // 2, width // 2, levels + 1
    return levels


def image_pyramid(image: Float[Tensor, "batch c h w"], num_levels: int) -> tuple[Tensor, ...]:
    """The image and its repeated 2x2 means, finest first. Raises ValueError for one that cannot be halved so often."""
    level_grids((image.shape[-2], image.shape[-1]), (1, 1), num_levels)
    images = [image]
    for _ in range(num_levels - 1):
        images.append(F.avg_pool2d(images[-1], 2))
    return tuple(images)


def patchify(image: Float[Tensor, "batch c h w"], patch_size: Grid) -> Float[Tensor, "batch token patch"]:
    """Cut an image into row-major patches, each flattened as (channel, patch row, patch column).

    Raises ValueError when the patches do not tile the image.
    """
    batch, channel, height, width = image.shape
    level_grids((height, width), patch_size, 1)
    ph, pw = patch_size
    cut = image.reshape(batch, channel, height // ph, ph, width // pw, pw)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // ph) * (width // pw), channel * ph * pw)


def unpatchify(
    patches: Float[Tensor, "batch token patch"], grid: Grid, patch_size: Grid
) -> Float[Tensor, "batch c h w"]:
    """The inverse of `patchify` for a latent grid of (height, width). Raises ValueError for another number of patches."""
    batch = patches.shape[0]
    (rows, columns), (ph, pw) = grid, patch_size
    if patches.shape[1] != rows * columns or patches.shape[2] % (ph * pw):
        raise ValueError(f"patches of shape {tuple(patches.shape)} are none of grid {grid} and patch_size {patch_size}")
    cut = patches.reshape(batch, rows, columns, -1, ph, pw)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, rows * ph, columns * pw)


def sincos_2d(grid: Grid, dim: int) -> Float[Tensor, "token dim"]:
    """Sine-cosine position embedding of a grid's row-major cells: sin x, cos x, sin y, cos y (x is the column).

    dim must be a multiple of 4 and at least 8; frequencies are 10000^(-i / (dim/4 - 1)) (Beyer et al. 2022).
    """
    rows, columns = grid
    num = dim // 4
    frequency = 1 / 10000 ** (torch.arange(num) / (num - 1))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    x_phase, y_phase = x.reshape(-1, 1) * frequency, y.reshape(-1, 1) * frequency
    return torch.cat([x_phase.sin(), x_phase.cos(), y_phase.sin(), y_phase.cos()], dim=1)
