"""Trainings that go on from saved weights, with what fits of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from millivid.app.cli import main
from millivid.diffusion.model_info import VideoModelInfo

STILL = "training.steps=1 training.batch_size=2 training.lr=1e-12 training.ema=0"


def test_a_video_model_goes_on(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train diffusion experiment=tiny_millivid data={walk}/latents out={tmp_path}/run model.depth=5 {STILL}"
    assert main([*words.split(), f"init={walk}/video/model"]) == 0
    told = capsys.readouterr().out
    assert f"init={walk}/video/model: " in told and "; new: blocks.4." in told and "left out" not in told
    before, after = (
        load_file(folder / "model.safetensors") for folder in (walk / "video/model", tmp_path / "run/model")
    )
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, msg=name)
    seen = [VideoModelInfo.read(folder).examples for folder in (walk / "video/model", tmp_path / "run/model")]
    assert seen[1] == seen[0] + 2


def test_a_tokenizer_goes_on(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train tokenizer experiment=tiny data={walk}/clips out={tmp_path}/run frames_in_memory=8 {STILL}"
    assert main([*words.split(), f"init={walk}/tokenizer/model"]) == 0
    assert "tensors taken over\n" in capsys.readouterr().out
    before, after = (
        load_file(folder / "model.safetensors") for folder in (walk / "tokenizer/model", tmp_path / "run/model")
    )
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, msg=name)
