"""The two bounds of an evaluation, as experiments."""

import json
from pathlib import Path

import pytest
import torch

from millivid.app.cli import main
from millivid.app.evaluate import CONF, EvaluateConfig
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig
from millivid.training import load_config

BOUNDS = {"bound_true_latents": "true latents", "bound_shuffled_frames": "random frames"}


def test_every_experiment_is_listed_here() -> None:
    assert {path.stem for path in (CONF / "experiment").glob("*.yaml")} == BOUNDS.keys()


@pytest.mark.parametrize("experiment", BOUNDS)
def test_the_papers_protocol(experiment: str) -> None:
    words = [f"experiment={experiment}", "reference=clips", "out=report", "tokenizer=tokenizer"]
    config = load_config(EvaluateConfig, words, CONF)
    assert (config.context, config.horizons, len(config.bounds)) == (256, (64, 256, 768), 1)
    with torch.device("meta"):
        tokenizer = HierarchicalTokenizer(TokenizerConfig())
        decoded = tokenizer.decode(tokenizer.encode(torch.empty(1, 3, 256, 256)))
    assert decoded.shape == (1, 3, 256, 256)
    assert sum(parameter.numel() for parameter in tokenizer.parameters()) == 213_798_176


@pytest.mark.parametrize("experiment", BOUNDS)
def test_a_bound_alone(experiment: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"evaluate experiment={experiment} context=84 horizons=[128] reference={walk}/clips out={tmp_path}/report"
    assert main(words.split()) == 2
    assert "name a run, as runs.NAME=FOLDER, or tokenizer= for the bounds" in capsys.readouterr().err
    assert main([*words.split(), f"tokenizer={walk}/tokenizer/model", "metrics=[psnr]"]) == 0
    assert list(json.loads((tmp_path / "report" / "metrics.json").read_text())["runs"]) == [BOUNDS[experiment]]
