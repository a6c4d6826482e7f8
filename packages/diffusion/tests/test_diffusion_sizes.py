"""Every size, both ways to patchify, square and wide latents, and any number of levels."""

import pytest
import torch

from millivid.diffusion import SIZES, VideoDiT, VideoDiTConfig, diffusion_loss, draw, stack_tokens
from millivid.rollout import make_schedule


def body_by_hand(width: int, depth: int, num_heads: int, channels: int = 32) -> int:
    """Parameters of a model with four levels and three actions, without what makes tokens of latents."""
    block = (3 + 1 + 4 + 4 + 6) * width**2 + (3 + 1 + 4 + 1 + 6) * width + 2 * width // num_heads
    time = 256 * width + width + width**2 + width
    head = 2 * width**2 + 2 * width + width * channels + channels
    return time + (4 + 3) * width + depth * block + head


def kernels_by_hand(width: int, bottleneck: int | None, channels: int = 32) -> int:
    inner = bottleneck or width
    second = 0 if bottleneck is None else bottleneck * width + width
    return sum(channels * 4**level * inner + inner + second for level in range(4))


def test_the_counts_are_the_released_ones() -> None:
    assert body_by_hand(**SIZES["B"]) + 32 * 768 + 768 == 129_566_240
    assert body_by_hand(**SIZES["B"]) + kernels_by_hand(768, None) == 131_632_928


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: str) -> None:
    width = SIZES[size]["width"]
    with torch.device("meta"):
        shared = VideoDiT(VideoDiTConfig(**SIZES[size]))  # type: ignore[arg-type]
    assert sum(p.numel() for p in shared.parameters()) == body_by_hand(**SIZES[size]) + 32 * width + width
    for bottleneck in (None, 48):
        with torch.device("meta"):
            own = VideoDiT(VideoDiTConfig(patchify="framepack", bottleneck=bottleneck, **SIZES[size]))  # type: ignore[arg-type]
        assert sum(p.numel() for p in own.parameters()) == body_by_hand(**SIZES[size]) + kernels_by_hand(
            width, bottleneck
        )


@pytest.mark.parametrize("patchify", ["linear", "framepack", "bottleneck"])
@pytest.mark.parametrize("grid", [(1, 3), (4, 2), (2, 2)])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_wide_and_tall_latents_and_any_number_of_levels(patchify: str, grid: tuple[int, int], levels: int) -> None:
    torch.manual_seed(0)
    grids = tuple((grid[0] << up, grid[1] << up) for up in reversed(range(levels)))
    own = {"patchify": "framepack", "bottleneck": 5 if patchify == "bottleneck" else None}
    model = VideoDiT(
        VideoDiTConfig(
            grids=grids, latent_channels=3, width=24, depth=1, num_heads=2, **({} if patchify == "linear" else own)
        )  # type: ignore[arg-type]
    )
    schedule = make_schedule("framepack", num_targets=2, context=(1,) * levels)
    (step,) = schedule.chunk(model.config.tokens_per_level).steps
    tokens = stack_tokens([model.tokens_of(step)])
    x = torch.randn(*tokens.level.shape, 3)
    action = torch.zeros_like(tokens.cell_level)
    torch.nn.init.normal_(model.head.linear.weight)
    loss, _ = diffusion_loss(model, x, tokens, action, draw(x, 0.0, torch.Generator().manual_seed(0)))
    loss.backward()
    patchers = [p.grad for name, p in model.named_parameters() if name.startswith("patchify")]
    assert patchers and all(gradient is not None and gradient.isfinite().all() for gradient in patchers)
