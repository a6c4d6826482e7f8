"""Every experiment of the paper composes and builds at full size, with the parameters and sequence lengths it should."""

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("millivid.training", reason="experiments are settings of the extra [train]")
pytest.importorskip("millivid.data", reason="experiments are settings of the extra [train]")

from millivid.command import load_config
from millivid.diffusion import VideoDiT, VideoDiTConfig, stack_tokens
from millivid.diffusion.framepack import FramePackPatchify
from millivid.diffusion.train import CONF, TrainDiffusionConfig
from millivid.rollout import make_schedule

PAPER = SimpleNamespace(  # the paper's latents
    folder="latents",
    index=SimpleNamespace(
        grids=VideoDiTConfig.grids, channels=32, action_type="categorical", action_names=("forward", "left", "right")
    ),
)
OWN, SHARED = 131_632_928, 129_566_240
EXPERIMENTS = {  # name: (parameters, tokens per step, frames of context)
    "main_millivid": (SHARED, 3_840, 255),
    "main_framepack": (OWN, 3_840, 255),
    "main_full_resolution": (SHARED, 3_584, 7),
    "ablation_millivid": (SHARED, 1_280, 85),
    "ablation_millivid_cascaded": (SHARED, 1_280, 85),
    "ablation_framepack": (OWN, 1_280, 85),
    "ablation_framepack_hierarchical": (SHARED, 1_364, 85),
    "ablation_framepack_cascaded": (SHARED, 1_364, 85),
    "ablation_framepack_mirrored": (SHARED, 1_364, 43),
    "ablation_full_resolution": (SHARED, 1_024, 2),
}


def test_every_experiment_is_listed_here() -> None:
    found = {path.stem for path in (CONF / "experiment").glob("*.yaml")}
    assert {name for name in found if not name.startswith("tiny")} == EXPERIMENTS.keys()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_at_full_size(name: str) -> None:
    parameters, length, context = EXPERIMENTS[name]
    config = load_config(TrainDiffusionConfig, [f"experiment={name}", "data=latents", "out=run"], CONF)
    model_config = config.model.resolve(PAPER)  # type: ignore[arg-type]
    with torch.device("meta"):
        model = VideoDiT(model_config)
    assert sum(p.numel() for p in model.parameters()) == parameters
    chunk = make_schedule(**config.schedule).chunk(model_config.tokens_per_level)  # type: ignore[arg-type]
    assert chunk.num_context_frames == context
    for step in chunk.steps:
        tokens = stack_tokens([model.tokens_of(step)])
        if model_config.patchify == "framepack":
            assert isinstance(model.patchify, FramePackPatchify)
            small = FramePackPatchify(model_config.grids[0], model_config.num_levels, 1, 1, None)
            _, tokens = small(torch.zeros(1, tokens.level.shape[1], 1), tokens)
        assert tokens.level.shape[1] == length
