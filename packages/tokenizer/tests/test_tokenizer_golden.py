"""The authors' code and ours give the same numbers (tests/golden/ae_small_adaptive.safetensors)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from millivid.tokenizer import SIZES, HierarchicalTokenizer, TokenizerConfig, tokenizer_loss
from millivid.tokenizer.model import Decoder, Encoder

ABSOLUTE, GRADIENT = 5e-6, 1e-5  # gradients relative to each tensor's largest


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(Path(__file__).parent / "golden" / "ae_small_adaptive.safetensors")


@pytest.fixture
def model(golden: dict[str, Tensor]) -> HierarchicalTokenizer:
    config = TokenizerConfig(
        image_size=(32, 96), patch_size=(4, 8), num_levels=3, latent_channels=6, width=64, depth=2, num_heads=4
    )
    model = HierarchicalTokenizer(config)
    model.load_state_dict({k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.")})
    return model


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= ABSOLUTE


def test_patches(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    assert_near(model.patches(golden["in.images"]), golden["out.patches"].flatten(2))


def test_latents(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    assert_near(model.encode_patches(model.patches(golden["in.images"])), golden["out.latents"])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_decoded_patches(model: HierarchicalTokenizer, golden: dict[str, Tensor], level: int) -> None:
    decoded = model.decode_patches(golden["out.latents"], torch.full((2,), level))
    assert_near(decoded, golden[f"out.decoded_patches_from_level{level}"].flatten(2))


def test_loss_and_gradients(model: HierarchicalTokenizer, golden: dict[str, Tensor]) -> None:
    loss, _ = tokenizer_loss(model, golden["in.images"], golden["rng.train_level"].long())
    assert_near(loss, golden["out.train_loss"])
    loss.backward()
    named = dict(model.named_parameters())
    assert {f"grad.{name}" for name in named} == {name for name in golden if name.startswith("grad.")}
    for name, parameter in named.items():
        expected = golden[f"grad.{name}"]
        assert (parameter.grad - expected).abs().max() <= GRADIENT * expected.abs().max(), name


def test_size_b_with_four_levels_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        config = TokenizerConfig(**SIZES["B"], num_levels=4)
        halves = Encoder(config), Decoder(config)
    assert sum(p.numel() for half in halves for p in half.parameters()) == 213_798_176
