"""Small models with random weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from millivid.app import VideoPipeline
from millivid.diffusion import VideoDiT, VideoDiTConfig, VideoModelInfo
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig, fingerprint


@pytest.fixture(scope="session")
def small() -> Callable[..., VideoPipeline]:
    """Makes a pipeline from its schedule and the settings of its model and tokenizer."""

    def make(
        schedule: dict[str, Any], levels: int = 3, tokenizer: dict[str, Any] | None = None, **model: Any
    ) -> VideoPipeline:
        torch.manual_seed(0)
        sizes = {
            "width": 32,
            "depth": 1,
            "num_heads": 2,
            "latent_channels": 8,
            "patch_size": (4, 4),
            "num_levels": levels,
        }
        size = 4 * 2 ** (levels - 1)
        made = HierarchicalTokenizer(TokenizerConfig(**sizes | {"image_size": (size, size)} | (tokenizer or {})))
        sizes = {"width": 48, "depth": 2, "num_heads": 2, "latent_channels": 8, "grids": made.config.grids}
        video_model = VideoDiT(VideoDiTConfig(**sizes | model))
        for parameter in (*made.parameters(), *video_model.parameters()):
            torch.nn.init.normal_(parameter, std=0.1)
        info = VideoModelInfo(schedule=schedule, tokenizer=fingerprint(made), sampling_steps=3)
        return VideoPipeline(made, video_model, info, precision="fp32")

    return make
