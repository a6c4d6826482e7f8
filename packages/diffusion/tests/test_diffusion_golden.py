"""The authors' code and ours give the same numbers (tests/golden/*.safetensors)."""

import json
from functools import cache
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
    alpha_sigma,
    denoise,
    diffusion_loss,
    logsnr,
    rollout,
    stack_tokens,
)
from millivid.diffusion.embedding import TimeEmbedding, sincos_3d
from millivid.diffusion.official import from_official_names
from millivid.rollout import make_schedule, plan

VIDEO, EMBEDDING, GRADIENT = 3e-5, 5e-6, 1e-4  # gradients relative to each tensor's largest
GRIDS = ((4, 8), (2, 4), (1, 2))
FRAMES = 55
PLAN = plan(make_schedule("millivid", windows=(1, 4, 16), history=32), (32, 8, 2), 23, FRAMES)


@cache
def load(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(Path(__file__).parent / "golden" / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["meta"])  # noqa: SIM118


def load_model(golden: dict[str, Tensor], width: int, depth: int) -> VideoDiT:
    model = VideoDiT(VideoDiTConfig(grids=GRIDS, latent_channels=6, width=width, depth=depth, num_heads=4))
    state = {k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.")}
    model.load_state_dict(from_official_names(state))
    return model


def stores_of(tokens: Tensor) -> list[Tensor]:
    """The authors' flat token buffer as one (batch, frame, height, width, channel) store per level."""
    levels = tokens.split([FRAMES * height * width for height, width in GRIDS], dim=1)
    return [x.reshape(len(x), FRAMES, *grid, -1).clone() for x, grid in zip(levels, GRIDS, strict=True)]


def flat(stores: list[Tensor]) -> Tensor:
    return torch.cat([store.flatten(1, 3) for store in stores], dim=1)


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance


@pytest.mark.parametrize("shift", [0.25, 0.5, 1.0, 2.0])
def test_noise_schedule(shift: float) -> None:
    golden, _ = load("noise_schedule")
    alpha, sigma = alpha_sigma(golden["in.t"], shift)
    assert_near(alpha, golden[f"out.alpha_shift{shift}"], EMBEDDING)
    assert_near(sigma, golden[f"out.sigma_shift{shift}"], EMBEDDING)
    assert_near(logsnr(golden["in.t"], shift), golden[f"out.logsnr_shift{shift}"], EMBEDDING)


@pytest.mark.parametrize("dim", [48, 64, 384, 768, 1024])
def test_position_embedding(dim: int) -> None:
    golden, _ = load("embeddings")
    frame, _, row, column = golden["in.indices"].long().unbind(-1)
    assert_near(sincos_3d(frame, row, column, dim), golden[f"out.posemb_flhw_dim{dim}"], EMBEDDING)


def test_time_embedding() -> None:
    golden, _ = load("embeddings")
    embedding = TimeEmbedding(64)
    embedding.load_state_dict({k.removeprefix("model."): v for k, v in golden.items() if k.startswith("model.")})
    assert_near(embedding(golden["in.t"]), golden["out.time_embedding"], EMBEDDING)


@pytest.mark.parametrize(("name", "mask"), [("ff", (False, False)), ("tf", (True, False)), ("tt", (True, True))])
def test_forward(name: str, mask: tuple[bool, bool]) -> None:
    golden, _ = load("video_forward_small64")
    model = load_model(golden, width=64, depth=3)
    frame, level, row, column = golden["in.indices"].long().unbind(-1)
    batch, length = frame.shape
    tokens = TokenBatch(
        level=level, frame=frame, row=row, column=column, cell=torch.arange(length).expand(batch, -1),
        cell_level=level, cell_frame=frame, cell_role=torch.ones_like(frame),
    )  # fmt: skip
    action = torch.where(torch.tensor(mask).unsqueeze(1), golden["in.actions"][..., 0].long(), -1)
    assert_near(model(golden["in.x"], golden["in.t"], tokens, action), golden[f"out.v_mask_{name}"], VIDEO)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load("video_generate_millivid")[0]


@pytest.fixture
def model(golden: dict[str, Tensor]) -> VideoDiT:
    return load_model(golden, width=48, depth=2)


@pytest.fixture
def actions(golden: dict[str, Tensor]) -> Tensor:
    return stores_of(golden["in.actions"])[0][:, :, 0, 0, 0].long()


def test_a_steps_tokens(golden: dict[str, Tensor]) -> None:
    tokens = stack_tokens([list(PLAN)[41].tokens(GRIDS)])
    columns = torch.stack([tokens.frame, tokens.level, tokens.row, tokens.column], dim=-1)
    assert torch.equal(columns[0], golden["out.select41.indices"][0].long())


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("t", [0.0, 0.6, 1.0])
def test_denoise(golden: dict[str, Tensor], model: VideoDiT, actions: Tensor, t: float, guidance: float) -> None:
    tokens = stack_tokens([list(PLAN)[41].tokens(GRIDS)]).expand(2)
    action = actions[:, tokens.cell_frame[0]]
    x, eps = golden["out.select41.values"], golden["in.denoise_eps"]
    x, eps = denoise(model, x, eps, t, tokens, action, guidance=guidance)
    assert_near(x, golden[f"out.denoise_t{t}_gs{guidance}.x"], VIDEO)
    assert_near(eps, golden[f"out.denoise_t{t}_gs{guidance}.eps"], VIDEO)


@pytest.mark.parametrize("guidance", [1.0, 1.8])
def test_generated_video(golden: dict[str, Tensor], model: VideoDiT, actions: Tensor, guidance: float) -> None:
    stores, config = stores_of(golden["in.tokens"]), SamplerConfig(steps=4, guidance=guidance)
    steps = rollout(model, stores, PLAN, actions, config, noise=lambda i, _: golden["rng.generate_eps"][i])
    assert len(list(steps)) == len(PLAN) == 42
    assert_near(flat(stores), golden[f"out.generate_gs{guidance}"], VIDEO)


def test_loss_and_gradients(golden: dict[str, Tensor], model: VideoDiT, actions: Tensor) -> None:
    probability = load("video_generate_millivid")[1]["guidance_dropout_probability"]
    tokens = stack_tokens([next(iter(PLAN)).tokens(GRIDS)] * 2)
    draws = Draws(
        t=golden["rng.train_t"][:, 0], dropped=golden["rng.train_u"] < probability, eps=golden["rng.train_eps"]
    )
    action = actions.gather(1, tokens.cell_frame)
    loss, _ = diffusion_loss(model, golden["out.select0.values"], tokens, action, draws)
    assert_near(loss, golden["out.train_loss"], VIDEO)
    loss.backward()
    expected = from_official_names({k.removeprefix("grad."): v for k, v in golden.items() if k.startswith("grad.")})
    assert expected.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() <= GRADIENT * expected[name].abs().max(), name


def test_size_b_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        model = VideoDiT(VideoDiTConfig())
    assert sum(p.numel() for p in model.parameters()) == 129_566_240
