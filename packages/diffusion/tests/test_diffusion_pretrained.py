"""Saving and loading: the same model comes back, and anything else is named."""

import json
from pathlib import Path

import pytest
import torch

from millivid.diffusion import VideoDiT, VideoDiTConfig, fingerprint

CONFIG = VideoDiTConfig(
    grids=((4, 4), (2, 2)),
    latent_channels=3,
    width=16,
    depth=1,
    num_heads=2,
    odometry=((0.0, 0.0), (0.5, 0.0), (0.0, 15.0)),
    normalize_latents=True,
)


@pytest.fixture
def model() -> VideoDiT:
    torch.manual_seed(0)
    model = VideoDiT(CONFIG)
    model.latent_mean.normal_()
    return model


@pytest.fixture
def folder(model: VideoDiT, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_round_trip(model: VideoDiT, folder: Path) -> None:
    loaded = VideoDiT.from_pretrained(folder)
    assert loaded.config == CONFIG
    assert fingerprint(loaded) == fingerprint(model)
    assert not loaded.training
    assert torch.equal(loaded.latent_mean, model.latent_mean)


def test_weights_of_another_size(folder: Path) -> None:
    edit(folder, latent_channels=4)
    with pytest.raises(ValueError, match=r"does not fit its config.json: 5 tensors differ, first head.linear.bias"):
        VideoDiT.from_pretrained(folder)


def test_bad_value_in_config(folder: Path) -> None:
    edit(folder, grids=[[4, 4], [3, 2]])
    with pytest.raises(ValueError, match="is not half of grid"):
        VideoDiT.from_pretrained(folder)
