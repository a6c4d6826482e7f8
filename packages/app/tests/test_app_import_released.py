"""The authors' checkpoints become our models, or every tensor that does not fit is named."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from millivid.app import import_released
from millivid.app.cli import main
from millivid.app.import_released import video_model_of
from millivid.diffusion import VideoDiT
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig

ROOT = Path(__file__).parents[3]
AUTOENCODER = ROOT / "tests/golden/ae_small_adaptive.safetensors"
VIDEO = ROOT / "tests/golden/video_generate_millivid.safetensors"
FRAMEPACK = ROOT / "tests/golden/framepack_model_small.safetensors"


def tensors(golden: Path, prefix: str) -> dict[str, Tensor]:
    with safe_open(golden, "pt") as file:
        return {k.removeprefix(prefix): file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118


def release(path: Path, state: dict[str, Tensor]) -> Path:
    """A checkpoint laid out as the released ones are."""
    torch.save({"model": state, "optimizer": {}, "scheduler": {}, "train_loader": {}, "step": 7}, path)
    return path


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command for the small golden models; checkpoints of video models carry the decoder besides."""
    video = tensors(VIDEO, "model.") | {"decoder.unpatchify.bias": torch.zeros(1)}
    return [
        *("import", "reference", "image_size=[32,96]", "patch_size=[4,8]", f"out={tmp_path / 'out'}"),
        *("schedule=millivid", "schedule.windows=[1,4,16]", "schedule.history=96"),
        f"autoencoder={release(tmp_path / 'autoencoder.ckpt', tensors(AUTOENCODER, 'model.'))}",
        f"video={release(tmp_path / 'millivid_192k.ckpt', video)}",
    ]


def test_released_checkpoints_become_saved_models(words: list[str], tmp_path: Path) -> None:
    assert main(words) == 0
    tokenizer = HierarchicalTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    pyramid = tokenizer.encode(tensors(AUTOENCODER, "in.")["images"])
    latents = torch.cat([level.flatten(1, 2) for level in pyramid], dim=1)
    assert (latents - tensors(AUTOENCODER, "out.")["latents"]).abs().max() < 5e-6
    video = VideoDiT.from_pretrained(tmp_path / "out" / "video")
    weights = tensors(VIDEO, "model.")
    assert torch.equal(video.patchify.weight, weights["dit.patchify.weight"])
    assert sum(p.numel() for p in video.parameters()) == sum(weight.numel() for weight in weights.values())
    about = json.loads((tmp_path / "out" / "video" / "video_model.json").read_text())
    assert about["schedule"] == {"name": "millivid", "windows": [1, 4, 16], "history": 96, "pads": False}


class Loader:
    """An object of the authors' own, as their training may have saved it."""


def test_what_lies_beside_the_model_may_be_anything(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "millivid_192k.ckpt"
    content = torch.load(path, weights_only=True)
    beside = {
        "train_loader": {"rng": np.random.default_rng(0), "at": np.int64(3)},
        "scheduler": [Loader(), re.compile("a")],
    }
    torch.save(content | beside, path)
    assert main(words) == 0
    assert VideoDiT.from_pretrained(tmp_path / "out" / "video").config.depth == 2


def test_into_the_folder_one_is_in(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main([word if not word.startswith("out=") else "out=." for word in words]) == 0
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"tokenizer", "video"}
    assert not list(tmp_path.glob(".writing-*"))


def test_framepack_has_its_own_network() -> None:
    tokenizer = HierarchicalTokenizer(
        TokenizerConfig(
            image_size=(32, 64), patch_size=(4, 4), num_levels=3, latent_channels=5, width=32, depth=1, num_heads=2
        )
    )
    model = video_model_of(tensors(FRAMEPACK, "model."), tokenizer, "framepack_192k.ckpt")
    assert (model.config.patchify, model.config.bottleneck, model.config.num_heads) == ("framepack", None, 4)


@pytest.mark.parametrize("which", ["autoencoder", "millivid_192k"])
def test_gaps_leftovers_and_shapes_are_listed(
    which: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{which}.ckpt"
    content = torch.load(path, weights_only=True)
    bias = next(name for name in content["model"] if name.endswith("blocks.1.mlp.fc1.bias"))
    norm = next(name for name in content["model"] if name.endswith("blocks.1.attn.q_norm.weight"))
    del content["model"][bias]
    content["model"] |= {norm: torch.zeros(3), "dit.surprise": torch.zeros(1)}
    torch.save(content, path)
    assert main(words) == 2
    told = capsys.readouterr().err
    for part in (
        r"lacks \S*blocks\.1\.mlp\.fc1\.bias",
        "has dit.surprise besides",
        r"q_norm\.weight as \(3,\) instead of",
    ):
        assert re.search(part, told)
    assert not (tmp_path / "out").exists()


def changed(**tensors: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.update({name.replace("__", "."): tensor for name, tensor in tensors.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(encoder__patchify__weight=torch.tensor(1.0)), r"lacks 'encoder.patchify.weight of a shape .*\(\)"),
        (changed(encoder__bottleneck__weight=torch.zeros(0, 4)), "lacks 'encoder.bottleneck.weight of a shape"),
        (changed(encoder__patchify__weight=torch.zeros(3, 3, device="meta")), "is a tensor of .* on meta"),
        (changed(encoder__patchify__weight=torch.zeros(3, 3).to_sparse()), "is a tensor of .*sparse_coo"),
        (changed(encoder__patchify__weight=torch.zeros(3, 3, dtype=torch.complex64)), "is a tensor of torch.complex64"),
        (changed(encoder__bottleneck__weight=torch.zeros(1).expand(10**9, 16)), "for which its bytes are too few"),
        (changed(encoder__bottleneck__bias=torch.tensor([torch.nan])), "'encoder.bottleneck.bias' has NaN or infinity"),
        (changed(encoder__transformer__blocks__99999999999__x=torch.zeros(1)), "it has a block 99999999999"),
        (changed(encoder__level_embedding__weight=torch.zeros(10**6, 1)), "does not fit image_size"),
        (lambda state: state.update({5: torch.zeros(1)}), "holds no state dict"),
        (lambda state: state.update({"encoder.x": [1.0]}), "'encoder.x' is no tensor"),
        (lambda state: state.clear(), "holds no state dict"),
    ],
)
def test_tensors_that_no_model_has_are_refused(
    change: Callable[[dict[str, Tensor]], object],
    message: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = tensors(AUTOENCODER, "model.")
    change(state)
    release(tmp_path / "autoencoder.ckpt", state)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert re.search(message, told) and "autoencoder.ckpt" in told
    assert not (tmp_path / "out").exists()


def test_a_flipped_bit_in_a_checkpoint_is_named(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "autoencoder.ckpt"
    content = bytearray(path.read_bytes())
    content[content.index(tensors(AUTOENCODER, "model.")["encoder.patchify.weight"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert main(words) == 2
    assert re.search(
        r"autoencoder.ckpt cannot be read .*the content of \S+ is not what was written", capsys.readouterr().err
    )


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


class Sneaky:
    """As harmful, by a function of a module that torch does not block by itself."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return shutil.copytree, (".", "executed")  # type: ignore[return-value]


@pytest.mark.parametrize(
    "content", [{"model": Harmful()}, {"model": Sneaky()}, {"weights": {}}, b"nothing of the kind", None]
)
def test_other_files_are_refused_and_not_executed(
    content: object,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "millivid_192k.ckpt"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert main(words) == 2
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out").exists()


def test_another_number_of_channels_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(tmp_path / "millivid_192k.ckpt", tensors(FRAMEPACK, "model."))
    assert main(words) == 2
    assert "latents of 5 channels, but the autoencoder's have 6" in capsys.readouterr().err


def test_checkpoints_are_fetched_from_the_hub(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(tmp_path / ("autoencoder.ckpt" if name.startswith("autoencoder") else "millivid_192k.ckpt"))

    monkeypatch.setattr(import_released, "hf_hub_download", download)
    words = [word for word in words if not word.startswith(("autoencoder=", "video="))]
    assert main([*words, "hub=charatan/millivid", "video=millivid"]) == 0
    assert asked == [
        ("charatan/millivid", "autoencoder_3zg3ovzdhnun_128000.ckpt"),
        ("charatan/millivid", "millivid_192k.ckpt"),
    ]
    assert VideoDiT.from_pretrained(tmp_path / "out" / "video").config.depth == 2


def test_no_network_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert main(f"import reference hub=charatan/millivid video=millivid out={tmp_path}/out".split()) == 2
    assert "charatan/millivid did not give autoencoder_3zg3ovzdhnun_128000.ckpt" in capsys.readouterr().err
    assert main(f"import reference hub=charatan/millivid video=milivid out={tmp_path}/out".split()) == 2
    assert not (tmp_path / "out").exists()
