"""Saving and loading: the same model comes back, and anything else is named."""

import json
from pathlib import Path

import pytest
import torch

from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, fingerprint

CONFIG = TokenizerConfig(
    image_size=(8, 16), patch_size=(2, 4), num_levels=2, latent_channels=3, width=16, depth=1, num_heads=2
)


@pytest.fixture
def model() -> HierarchicalTokenizer:
    torch.manual_seed(0)
    return HierarchicalTokenizer(CONFIG)


@pytest.fixture
def folder(model: HierarchicalTokenizer, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_round_trip(model: HierarchicalTokenizer, folder: Path) -> None:
    loaded = HierarchicalTokenizer.from_pretrained(folder)
    assert loaded.config == CONFIG
    assert fingerprint(loaded) == fingerprint(model)
    assert not loaded.training
    frames = torch.rand(2, 3, 8, 16)
    assert all(torch.equal(a, b) for a, b in zip(loaded.encode(frames), model.encode(frames), strict=True))


def test_weights_of_another_size(folder: Path) -> None:
    edit(folder, latent_channels=4)
    with pytest.raises(ValueError, match=r"does not fit its config.json: 3 tensors differ, first decoder.unbottleneck"):
        HierarchicalTokenizer.from_pretrained(folder)


def test_bad_value_in_config(folder: Path) -> None:
    edit(folder, image_size=[9, 16])
    with pytest.raises(ValueError, match="is not a multiple of patch_size"):
        HierarchicalTokenizer.from_pretrained(folder)
