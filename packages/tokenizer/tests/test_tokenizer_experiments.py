"""The paper's tokenizers compose and build at full size, and runs of earlier settings go on."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("millivid.training", reason="experiments are settings of the extra [train]")
pytest.importorskip("millivid.data", reason="experiments are settings of the extra [train]")

from millivid.command import load_config, to_plain
from millivid.tokenizer import HierarchicalTokenizer
from millivid.tokenizer.train import ADDED, CONF, TrainTokenizerConfig
from millivid.training import open_run


@pytest.mark.parametrize(
    ("name", "variant"), [("main_tokenizer", "adaptive"), ("ablation_tokenizer_cascaded", "cascaded")]
)
def test_a_tokenizer_at_full_size(name: str, variant: str) -> None:
    config = load_config(TrainTokenizerConfig, [f"experiment={name}", "data=clips", "out=run"], CONF)
    with torch.device("meta"):
        model = HierarchicalTokenizer(config.model)
    assert config.model.variant == variant
    assert config.model.tokens_per_level == (256, 64, 16, 4)
    assert sum(p.numel() for p in model.parameters()) == 213_798_176
    assert config.perceptual_settings == {"net": "vgg"}


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    settings = to_plain(load_config(TrainTokenizerConfig, ["data=clips", "out=run"], CONF))
    earlier = {name: value for name, value in settings.items() if name != "latent_noise"}
    earlier["model"] = {name: value for name, value in settings["model"].items() if name != "smoothing"}
    open_run(tmp_path, "a tokenizer's training", earlier)
    open_run(tmp_path, "a tokenizer's training", settings, added=ADDED)
    with pytest.raises(ValueError, match="latent_noise was 0.0 and is now 0.5"):
        open_run(tmp_path, "a tokenizer's training", settings | {"latent_noise": 0.5}, added=ADDED)
