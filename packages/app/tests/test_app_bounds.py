"""The two bounds of an evaluation, as experiments."""

import json
import re
from pathlib import Path

import pytest
import torch

from millivid.app.cli import main
from millivid.app.evaluate import CONF, EvaluateConfig
from millivid.command import load_config
from millivid.data import ClipDataset
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig

BOUNDS = {  # experiment: (setting, name in the report)
    "bound_true_latents": ("true_latents", "true latents"),
    "bound_shuffled_frames": ("shuffled_frames", "shuffled frames"),
}


def test_every_experiment_is_listed_here() -> None:
    assert {path.stem for path in (CONF / "experiment").glob("*.yaml")} == BOUNDS.keys()


@pytest.mark.parametrize("experiment", BOUNDS)
def test_the_papers_protocol(experiment: str) -> None:
    words = [f"experiment={experiment}", "reference=clips", "out=report", "tokenizer=tokenizer"]
    config = load_config(EvaluateConfig, words, CONF)
    assert (config.context, config.horizons, config.split) == (256, (64, 256, 768), "test")
    assert config.bounds == (BOUNDS[experiment][0],)


def test_the_papers_tokenizer_decodes_its_frames() -> None:
    with torch.device("meta"):
        tokenizer = HierarchicalTokenizer(TokenizerConfig())
        decoded = tokenizer.decode(tokenizer.encode(torch.empty(1, 3, 256, 256)))
    assert decoded.shape == (1, 3, 256, 256)
    assert sum(parameter.numel() for parameter in tokenizer.parameters()) == 213_798_176


@pytest.mark.parametrize("experiment", BOUNDS)
def test_a_bound_alone(experiment: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"evaluate experiment={experiment} context=84 horizons=[128] reference={walk}/clips out={tmp_path}/report"
    assert main([*words.split(), f"tokenizer={walk}/tokenizer/model", "metrics=[psnr]"]) == 0
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())
    name = BOUNDS[experiment][1]
    assert list(figures["runs"]) == [name] and figures["protocol"]["videos"] == len(
        ClipDataset(walk / "clips").ids("test")
    )
    made_of = figures["protocol"]["runs"][name]
    decoded = made_of if name == "true latents" else made_of["of"]
    assert decoded["kind"] == "true latents decoded" and re.fullmatch("[0-9a-f]{16}", decoded["identity"])
    if name == "true latents":
        assert main(words.split()) == 2
        assert "true_latents needs a tokenizer to decode with; give tokenizer=DIR" in capsys.readouterr().err
