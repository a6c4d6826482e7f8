"""Continuous actions: a vector per frame does what a category does, and nan says that there is none."""

import numpy as np
import pytest
import torch

from millivid.diffusion import Noise, SamplerConfig, VideoDiT, VideoDiTConfig, rollout, stack_tokens
from millivid.diffusion.actions import VectorEmbedding, is_given, withhold
from millivid.rollout import make_schedule, plan

GRIDS = ((2, 4), (1, 2))
SIZES = {"grids": GRIDS, "latent_channels": 3, "width": 24, "depth": 1, "num_heads": 2}
PLAN = plan(make_schedule("millivid", windows=(1, 4), history=16), (8, 2), 9, 21)


def make_models() -> tuple[VideoDiT, VideoDiT]:
    """A categorical model and a continuous one whose vectors are the categories, one-hot, in another unit."""
    torch.manual_seed(0)
    categorical = VideoDiT(VideoDiTConfig(**SIZES))
    for parameter in categorical.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    continuous = VideoDiT(VideoDiTConfig(**SIZES, action_type="continuous"))
    state = categorical.state_dict()
    state |= {
        "action_embedding.linear.weight": state.pop("action_embedding.weight").T,
        "action_embedding.linear.bias": torch.zeros(24),
        "action_embedding.mean": torch.full((3,), 5.0),
        "action_embedding.std": torch.full((3,), 40.0),
    }
    continuous.load_state_dict(state)
    return categorical, continuous


def one_hot(action: torch.Tensor) -> torch.Tensor:
    vector = 5 + 40 * torch.nn.functional.one_hot(action.clamp(min=0), 3).float()
    return torch.where((action < 0).unsqueeze(-1), torch.nan, vector)


def test_a_vector_does_what_its_category_does() -> None:
    categorical, continuous = make_models()
    generator = torch.Generator().manual_seed(1)
    tokens = stack_tokens([categorical.tokens_of(PLAN.chunk.steps[0])]).expand(2)
    x = torch.randn(2, tokens.frame.shape[1], 3, generator=generator)
    action = torch.randint(-1, 3, (2, tokens.cell_frame.shape[1]), generator=generator)
    t = torch.rand(action.shape, generator=generator)
    expected = categorical(x, t, tokens, action)
    torch.testing.assert_close(continuous(x, t, tokens, one_hot(action)), expected)
    assert not torch.allclose(continuous(x, t, tokens, one_hot(action.roll(1))), expected)
    unknown = torch.full_like(one_hot(action), torch.nan)
    torch.testing.assert_close(continuous(x, t, tokens, unknown), continuous(x, t, tokens, None))


def test_a_rollout_with_guidance_is_the_same() -> None:
    categorical, continuous = make_models()
    actions = torch.randint(0, 3, (2, PLAN.buffer_end), generator=torch.Generator().manual_seed(4))
    made = []
    for model, given in ((categorical, actions), (continuous, one_hot(actions))):
        generator = torch.Generator().manual_seed(2)
        stores = [torch.randn(2, PLAN.buffer_end, *grid, 3, generator=generator) for grid in GRIDS]
        list(rollout(model, stores, PLAN, given, SamplerConfig(steps=2, guidance=1.5), Noise(generator)))
        made.append(stores)
    for first, second in zip(*made, strict=True):
        torch.testing.assert_close(first, second)


def test_which_cells_have_an_action() -> None:
    dropped = torch.tensor([[True], [False]])
    category = torch.tensor([[0, 2], [1, -1]])
    vector = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [torch.nan, 0.0]]])
    for action in (category, vector):
        assert is_given(action).tolist() == [[True, True], [True, False]]
        assert is_given(withhold(action, dropped)).tolist() == [[False, False], [True, False]]
        torch.testing.assert_close(withhold(action, dropped)[1], action[1], equal_nan=True)


def test_vectors_are_standardised_by_what_training_saw() -> None:
    embedding = VectorEmbedding(3, 8)
    seen = torch.from_numpy(np.random.default_rng(0).normal((0, 100, 7), (1e-3, 50, 0), (400, 3)).astype(np.float32))
    embedding.measure(seen)
    standardised = (seen - embedding.mean) / embedding.std
    assert standardised.mean(0).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert standardised.std(0, correction=0).tolist() == pytest.approx([1, 1, 0], abs=1e-4)


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="odometry goes with categorical actions only"):
        VideoDiTConfig(**SIZES, action_type="continuous", odometry=((1.0, 0.0), (0.0, 30.0), (0.0, -30.0)))
    with pytest.raises(ValueError, match="action_type is 'vector'; use categorical or continuous"):
        VideoDiTConfig(**SIZES, action_type="vector")  # type: ignore[arg-type]
