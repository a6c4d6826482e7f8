"""Saving and loading: the same model comes back, and anything else is named."""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from millivid.files.pretrained import PretrainedModel, fingerprint, save_weights, take_weights


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


def test_weights_are_taken_where_name_and_shape_are_the_same(model: Scale, folder: Path) -> None:
    wider = Scale(ScaleConfig(sizes=(3, 5, 2)))
    own = {name: tensor.clone() for name, tensor in wider.state_dict().items()}
    found = take_weights(wider, folder)
    assert found.taken == ("layers.0.weight", "layers.0.bias")
    assert found.new == ("layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias")
    assert found.left_out == ("layers.1.weight", "layers.1.bias")
    assert str(found).startswith("2 of 6 tensors taken over; new: layers.1.weight, layers.1.bias, layers.2.weight")
    for name, tensor in wider.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name] if name in found.taken else own[name])
    with pytest.raises(ValueError, match="shares no weight of name and shape"):
        take_weights(Scale(ScaleConfig(sizes=(2, 7))), folder)


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
    with pytest.raises(ValueError, match="holds a 'Another', not a Scale"):
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


def unhashed(folder: Path) -> Path:
    """The weights of a folder that an earlier version saved, or anyone else: its config has no hash."""
    file = folder / "config.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "weights_sha256"}))
    return folder / "model.safetensors"


def test_a_folder_without_a_hash_loads_as_ever(model: Scale, folder: Path) -> None:
    weights = unhashed(folder)
    assert fingerprint(Scale.from_pretrained(weights.parent)) == fingerprint(model)


def test_one_flipped_bit_in_the_weights_is_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    assert json.loads((folder / "config.json").read_text())["weights_sha256"] == hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match="model.safetensors is damaged or of another model: its SHA-256"):
        Scale.from_pretrained(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_neither_saved_nor_loaded(model: Scale, folder: Path, value: float) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with torch.no_grad():
        model.layers[0].bias[0] = value
    with pytest.raises(ValueError, match=r"is not written, for the model has NaN or infinity in layers.0.bias"):
        model.save_pretrained(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    save_file(model.state_dict(), unhashed(folder))
    with pytest.raises(ValueError, match=r"model.safetensors has NaN or infinity in layers.0.bias"):
        Scale.from_pretrained(folder)


def test_weights_of_another_kind_of_number(folder: Path) -> None:
    weights = unhashed(folder)
    state = load_file(weights)
    save_file({**state, "layers.0.bias": state["layers.0.bias"].long()}, weights)
    with pytest.raises(ValueError, match=r"layers.0.bias is torch.int64, but torch.float32 was expected"):
        Scale.from_pretrained(folder)
    save_file({**state, "layers.0.bias": state["layers.0.bias"].double() + 1e300}, weights)
    with pytest.raises(ValueError, match="NaN or infinity in layers.0.bias"):
        Scale.from_pretrained(folder)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [10**12, 10**12], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**15]},
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
        [],
    ],
)
def test_a_header_that_promises_what_is_not_there(folder: Path, entry: object) -> None:
    header = json.dumps({"layers.0.bias": entry}).encode()
    unhashed(folder).write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ValueError, match="is damaged"):
        Scale.from_pretrained(folder)


@pytest.mark.parametrize("sizes", [[10**6, 4], [10**12, 4], [10**18], [1] * 30_000])
def test_sizes_without_end_are_refused_before_a_model_is_made(folder: Path, sizes: list[int]) -> None:
    edit(folder, sizes=sizes)
    with pytest.raises(ValueError, match="describes no Scale|does not fit"):
        Scale.from_pretrained(folder)


def test_a_full_disk_is_one_sentence_and_leaves_the_old_model(
    model: Scale, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr("millivid.files.pretrained.save_file", full)
    with pytest.raises(OSError, match="could not be written .*No space left on device.*make room"):
        save_weights(folder, {"class": "Scale"}, model.state_dict())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
