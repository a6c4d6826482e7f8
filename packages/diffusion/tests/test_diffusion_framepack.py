"""FramePack's own network gives the numbers of the authors' code (tests/golden/framepack_model_small.safetensors)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from millivid.diffusion import (
    Draws,
    SamplerConfig,
    TokenBatch,
    VideoDiT,
    VideoDiTConfig,
    denoise,
    diffusion_loss,
    rollout,
    stack_tokens,
)
from millivid.diffusion.framepack import FramePackPatchify
from millivid.diffusion.official import from_official_names
from millivid.kernels import pack_tokens
from millivid.rollout import make_schedule, plan

VIDEO, GRADIENT = 3e-5, 1e-4
GRIDS = ((8, 16), (4, 8), (2, 4))
SCHEDULE = make_schedule("framepack", num_targets=1, context=(1, 2, 4))
TOKENS_PER_LEVEL = (128, 32, 8)


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(Path(__file__).parent / "golden" / "framepack_model_small.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["meta"])  # noqa: SIM118


@pytest.fixture(scope="module")
def model(golden: tuple[dict[str, Tensor], dict[str, Any]]) -> VideoDiT:
    config = VideoDiTConfig(grids=GRIDS, latent_channels=5, width=48, depth=2, num_heads=4, patchify="framepack")
    model = VideoDiT(config)
    state = {name.removeprefix("model."): value for name, value in golden[0].items() if name.startswith("model.")}
    model.load_state_dict(from_official_names(state))
    return model


@pytest.fixture(scope="module")
def tokens(model: VideoDiT) -> TokenBatch:
    (step,) = SCHEDULE.chunk(TOKENS_PER_LEVEL).steps
    return stack_tokens([model.tokens_of(step)]).expand(2)


def channels_last(frames: Tensor) -> Tensor:
    return frames.permute(0, 1, 3, 4, 2).contiguous()


def window(golden: dict[str, Tensor], frames: Tensor, tokens: TokenBatch) -> Tensor:
    return pack_tokens([channels_last(frames)], tokens.level, tokens.frame, tokens.row, tokens.column)


def targets(values: Tensor, tokens: TokenBatch) -> Tensor:
    """The targets' values as (batch, frame, channel, height, width)."""
    return values[:, tokens.is_target[0]].unflatten(1, (-1, *GRIDS[0])).permute(0, 1, 4, 2, 3)


def test_the_sequence(golden, model: VideoDiT, tokens: TokenBatch) -> None:
    x = window(golden[0], golden[0]["in.latents"][:, 2:10], tokens)
    assert isinstance(model.patchify, FramePackPatchify)
    h, sequence = model.patchify(x, tokens)
    columns = torch.stack([sequence.frame, sequence.level, sequence.row, sequence.column], dim=-1)
    assert torch.equal(columns, golden[0]["out.tokens.indices"].long())
    assert (h - golden[0]["out.tokens.x"]).abs().max() < VIDEO


def actions_of(golden: dict[str, Tensor], tokens: TokenBatch) -> Tensor:
    return golden["in.actions"][:, 2:10, 0].long()[:, tokens.cell_frame[0]]


def test_forward(golden, model: VideoDiT, tokens: TokenBatch) -> None:
    x = window(golden[0], golden[0]["in.latents"][:, 2:10], tokens)
    t = golden[0]["in.forward_t"][:, tokens.cell_frame[0]]
    v = model(x, t, tokens, actions_of(golden[0], tokens))
    assert (targets(v, tokens) - golden[0]["out.forward_v"]).abs().max() < VIDEO
    assert not v[:, ~tokens.is_target[0]][:, : 4 * 128].any()  # coarse context cells have no output


@pytest.mark.parametrize("t", [0.0, 0.6, 1.0])
def test_denoise(golden, model: VideoDiT, tokens: TokenBatch, t: float) -> None:
    x, eps = (
        window(golden[0], part, tokens) for part in (golden[0]["in.latents"][:, 2:10], golden[0]["in.denoise_eps"])
    )
    x, eps = denoise(model, x, eps, t, tokens, actions_of(golden[0], tokens))
    assert (targets(x, tokens) - golden[0][f"out.denoise_t{t}.x"]).abs().max() < VIDEO
    assert (targets(eps, tokens) - golden[0][f"out.denoise_t{t}.eps"]).abs().max() < VIDEO


def test_generated_video(golden, model: VideoDiT) -> None:
    tensors, meta = golden
    start, end = meta["first_denoised_frame"], meta["test_num_frames"]
    store = channels_last(tensors["in.latents"]).clone()
    store[:, start:] = 0
    noise = channels_last(tensors["rng.generate_eps"]).clone()
    planned = plan(SCHEDULE, TOKENS_PER_LEVEL, start, end)
    actions = tensors["in.actions"][:, :, 0].long()
    config = SamplerConfig(steps=meta["sampling_steps"])
    assert len(list(rollout(model, [store], planned, actions, config, kept_noise=[noise]))) == end - start
    assert (store - channels_last(tensors["out.generate"])).abs().max() < VIDEO


def test_loss_and_gradients(golden, model: VideoDiT, tokens: TokenBatch) -> None:
    tensors, meta = golden
    draws = Draws(
        t=tensors["rng.train_t"],
        dropped=tensors["rng.train_dropout_u"][:, 0] < meta["guidance_dropout_probability"],
        eps=window(tensors, tensors["rng.train_eps"], tokens),
    )
    x = window(tensors, tensors["in.latents"][:, 2:10], tokens)
    loss, _ = diffusion_loss(model, x, tokens, actions_of(tensors, tokens), draws, drop_actions=False)
    assert (loss - tensors["out.train_loss"]).abs() < VIDEO
    loss.backward()
    expected = from_official_names({k.removeprefix("grad."): v for k, v in tensors.items() if k.startswith("grad.")})
    assert expected.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() <= GRADIENT * expected[name].abs().max(), name


@pytest.mark.parametrize("bottleneck", [None, 16])
def test_size_b(bottleneck: int | None) -> None:
    with torch.device("meta"):
        model = VideoDiT(VideoDiTConfig(patchify="framepack", bottleneck=bottleneck))
    kernels = [p for name, p in model.named_parameters() if name.startswith("patchify.")]
    if bottleneck is None:
        assert sum(p.numel() for p in model.parameters()) == 131_632_928
        assert [tuple(p.shape) for p in kernels[::2]] == [(768, 32), (768, 128), (768, 512), (768, 2048)]
    else:
        assert [tuple(p.shape) for p in kernels[::4]] == [(16, 32), (16, 128), (16, 512), (16, 2048)]
