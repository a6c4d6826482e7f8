"""Every registered schedule, played on latents of many shapes; and padding that attention really leaves out."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from millivid.diffusion import TokenBatch, VideoDiT, VideoDiTConfig, stack_tokens
from millivid.kernels import pack_tokens, unpack_tokens_
from millivid.rollout import make_schedule, plan
from millivid.rollout.schedule_registry import BUILT_IN

SCHEDULES: list[dict[str, Any]] = [
    {"name": "millivid", "windows": (1, 4, 8), "history": 128},
    {"name": "millivid", "windows": (2, 2), "history": 0},
    {"name": "millivid", "windows": (1, 2, 6), "history": 19, "pads": True},
    {"name": "full_resolution", "num_frames": 5},
    {"name": "framepack", "num_targets": 2, "context": (1, 0, 5)},
    {"name": "framepack_mirrored", "targets": (1, 2, 4), "context": (1, 2, 3)},
    {"name": "rollout_upscale", "base": 2, "num_levels": 3},
    {"name": "rollout_upscale", "base": 3, "num_levels": 2, "pads": True},
    {"name": "upscale", "base": 1, "num_levels": 3},
]
# Grids of the coarsest of three levels, square and not.
GEOMETRIES = st.tuples(st.integers(1, 2), st.integers(1, 4))


def grids_over(coarsest: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    height, width = coarsest
    return tuple((height << shift, width << shift) for shift in (2, 1, 0))


def tokens_in(grids: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    return tuple(height * width for height, width in grids)


def schedule_for(named: dict[str, Any], grids: tuple[tuple[int, int], ...]) -> Any:
    """The schedule, with a history that is whole frames where it does not pad."""
    history = {} if "history" not in named or "pads" in named else {"history": named["history"] * tokens_in(grids)[0]}
    return make_schedule(**{**named, **history})


def columns_of(tokens: TokenBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tokens.level, tokens.frame, tokens.row, tokens.column


def test_every_schedule_of_ours_is_here() -> None:
    assert {named["name"] for named in SCHEDULES} == set(BUILT_IN)


@pytest.mark.parametrize("named", SCHEDULES, ids=lambda named: named["name"])
@settings(max_examples=15, deadline=None)
@given(GEOMETRIES, st.integers(0, 3), st.integers(1, 20))
def test_a_plan_copies_a_video_from_its_own_context(
    named: dict[str, Any], coarsest: tuple[int, int], extra: int, length: int
) -> None:
    """Where a model would write, write the truth: every context must then be the truth, and at the end every frame."""
    grids = grids_over(coarsest)
    schedule = schedule_for(named, grids)
    start = schedule.chunk(tokens_in(grids)).num_context_frames + extra
    video = plan(schedule, tokens_in(grids), start, end=start + length)
    levels = range(video.chunk.num_levels)
    truth = [torch.randn(1, video.buffer_end, *grids[level], 2) for level in levels]
    stores = [level.clone() for level in truth]
    for store in stores:
        store[:, start:] = torch.nan
    for planned in video:
        tokens = stack_tokens([planned.step.tokens(grids, planned.chunk_start)])
        expected = pack_tokens(truth, *columns_of(tokens))
        read = ~tokens.is_target
        assert torch.equal(pack_tokens(stores, *columns_of(tokens))[read], expected[read])
        unpack_tokens_(stores, expected, *columns_of(tokens), tokens.is_target)
        assert torch.equal(pack_tokens(stores, *columns_of(tokens)), expected)
    for store, level in zip(stores, truth, strict=True):
        assert torch.equal(store[:, : video.video_end], level[:, : video.video_end])


@settings(max_examples=15, deadline=None)
@given(GEOMETRIES, st.integers(0, 60), st.integers(0, 100))
def test_attention_leaves_padding_out(coarsest: tuple[int, int], history: int, seed: int) -> None:
    grids = grids_over(coarsest)
    chunk = make_schedule("millivid", windows=(1, 2, 6), history=history, pads=True).chunk(tokens_in(grids))
    steps = [step.tokens(grids) for step in chunk.steps]
    shortest, longest = min(steps, key=len), max(steps, key=len)
    together = stack_tokens([shortest, longest])
    assert (together.key_mask is not None) == (len(shortest) < len(longest)) and chunk.num_tokens == len(longest)
    torch.manual_seed(seed)
    model = VideoDiT(VideoDiTConfig(grids=grids, latent_channels=2, width=24, depth=2, num_heads=2))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, cells = torch.randn(2, len(longest), 2), together.cell_level.shape[1]
    t, action = torch.rand(2, cells), torch.randint(-1, 3, (2, cells))
    both = model(x, t, together, action)
    for row, step in enumerate((shortest, longest)):
        own = model(
            x[row : row + 1, : len(step)], t[row : row + 1, : step.num_cells], stack_tokens([step]),
            action[row : row + 1, : step.num_cells],
        )  # fmt: skip
        torch.testing.assert_close(both[row, : len(step)], own[0], atol=1e-5, rtol=1e-5)
    x[0, len(shortest) :] += 100  # whatever lies in the padding
    assert torch.equal(model(x, t, together, action)[0, : len(shortest)], both[0, : len(shortest)])
