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


def test_a_saved_folder_leaves_no_partial_files(folder: Path) -> None:
    assert not [file for file in folder.iterdir() if file.suffix == ".partial"]


def test_fingerprint_sees_one_changed_value(model: HierarchicalTokenizer) -> None:
    before = fingerprint(model)
    assert len(before) == 16
    with torch.no_grad():
        model.encoder.bottleneck.bias[0] += 1e-6
    assert fingerprint(model) != before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"holds no {name}"):
        HierarchicalTokenizer.from_pretrained(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model at"):
        HierarchicalTokenizer.from_pretrained(tmp_path / "nowhere")


def test_another_class(folder: Path) -> None:
    edit(folder, **{"class": "VideoDiT"})
    with pytest.raises(ValueError, match="holds a VideoDiT, not a HierarchicalTokenizer"):
        HierarchicalTokenizer.from_pretrained(folder)


def test_unknown_setting(folder: Path) -> None:
    edit(folder, colour="blue")
    with pytest.raises(ValueError, match="does not know: colour"):
        HierarchicalTokenizer.from_pretrained(folder)


def test_weights_of_another_size(folder: Path) -> None:
    edit(folder, latent_channels=4)
    with pytest.raises(ValueError, match=r"does not fit its config.json: 3 tensors differ, first decoder.unbottleneck"):
        HierarchicalTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_truncated_weights(folder: Path, keep: float) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="is damaged"):
        HierarchicalTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00\x01"])
def test_damaged_config(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match="is not JSON|model of another kind"):
        HierarchicalTokenizer.from_pretrained(folder)


def test_bad_value_in_config(folder: Path) -> None:
    edit(folder, image_size=[9, 16])
    with pytest.raises(ValueError, match="is not a multiple of patch_size"):
        HierarchicalTokenizer.from_pretrained(folder)
