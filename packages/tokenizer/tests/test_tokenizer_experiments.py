"""The paper's tokenizers compose and build at full size."""

import pytest
import torch

pytest.importorskip("millivid.training", reason="experiments are settings of the extra [train]")
pytest.importorskip("millivid.data", reason="experiments are settings of the extra [train]")

from millivid.command import load_config
from millivid.tokenizer import HierarchicalTokenizer
from millivid.tokenizer.train import CONF, TrainTokenizerConfig


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
