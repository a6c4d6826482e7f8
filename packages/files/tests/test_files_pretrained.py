"""Saving and loading: the same model comes back, and anything else is named."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from millivid.files.pretrained import PretrainedModel, fingerprint


@dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    sizes: tuple[int, ...] = (3, 4)
    bias: bool = True

    def __post_init__(self) -> None:
        if min(self.sizes) < 1:
            raise ValueError(f"sizes {self.sizes} must be at least 1")


class Scale(PretrainedModel[ScaleConfig]):
    config_class = ScaleConfig

    def __init__(self, config: ScaleConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(nn.Linear(size, size, bias=config.bias) for size in config.sizes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers[0](x)
        return y


CONFIG = ScaleConfig(sizes=(3, 4))


@pytest.fixture
def model() -> Scale:
    torch.manual_seed(0)
    return Scale(CONFIG)


@pytest.fixture
def folder(model: Scale, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_round_trip(model: Scale, folder: Path) -> None:
    loaded = Scale.from_pretrained(folder)
    assert loaded.config == CONFIG
    assert fingerprint(loaded) == fingerprint(model)
    assert not loaded.training
    x = torch.rand(2, 3)
    assert torch.equal(loaded(x), model(x))


def test_a_saved_folder_leaves_no_partial_files(folder: Path) -> None:
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_fingerprint_sees_one_changed_value(model: Scale) -> None:
    before = fingerprint(model)
    assert len(before) == 16
    with torch.no_grad():
        model.layers[0].bias[0] += 1e-6
    assert fingerprint(model) != before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"holds no {name}"):
        Scale.from_pretrained(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model at"):
        Scale.from_pretrained(tmp_path / "nowhere")


def test_another_class(folder: Path) -> None:
    edit(folder, **{"class": "Another"})
    with pytest.raises(ValueError, match="holds a Another, not a Scale"):
        Scale.from_pretrained(folder)


def test_unknown_setting(folder: Path) -> None:
    edit(folder, colour="blue")
    with pytest.raises(ValueError, match="does not know: colour"):
        Scale.from_pretrained(folder)


def test_weights_of_another_size(folder: Path) -> None:
    edit(folder, sizes=[3, 5])
    with pytest.raises(ValueError, match=r"does not fit its config.json: 2 tensors differ, first layers.1.bias"):
        Scale.from_pretrained(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_truncated_weights(folder: Path, keep: float) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="is damaged"):
        Scale.from_pretrained(folder)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00\x01"])
def test_damaged_config(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match="is no valid JSON|expected object"):
        Scale.from_pretrained(folder)


def test_bad_value_in_config(folder: Path) -> None:
    edit(folder, sizes=[0, 4])
    with pytest.raises(ValueError, match=r"config.json: sizes \(0, 4\) must be at least 1; save the model again"):
        Scale.from_pretrained(folder)
