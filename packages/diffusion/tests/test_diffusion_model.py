"""Conditioning per cell, padding, odometry, noise identities and the objective."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import profile

from millivid.diffusion import TokenBatch, VideoDiT, VideoDiTConfig, alpha_sigma, diffusion_loss, draw, stack_tokens
from millivid.diffusion.noise import add_noise, data_and_noise, logsnr, velocity
from millivid.diffusion.odometry import dead_reckon
from millivid.diffusion.transformer import Attention
from millivid.rollout import StepTokens, make_schedule, plan

from .per_token import forward_per_token

GRIDS = ((2, 4), (1, 2))
TABLE = ((1.0, 0.0), (1.0, 90.0), (0.0, -90.0))


def lively(**settings: object) -> VideoDiT:
    """A model whose every weight is random, so that nothing is zero by initialisation."""
    torch.manual_seed(0)
    model = VideoDiT(
        VideoDiTConfig(**{"grids": GRIDS, "latent_channels": 3, "width": 32, "depth": 2, "num_heads": 2} | settings)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def steps(history: int = 16, windows: tuple[int, int] = (1, 4), start: int = 20) -> list[StepTokens]:
    schedule = make_schedule("millivid", windows=windows, history=history)
    return [step.tokens(GRIDS) for step in plan(schedule, (8, 2), start, start + 8)]


def inputs(tokens: TokenBatch, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Random x, time per cell and action per cell, -1 among them."""
    generator = torch.Generator().manual_seed(seed)
    cells = tuple(tokens.cell_level.shape)
    return (
        torch.randn(*tokens.level.shape, 3, generator=generator),
        torch.rand(cells, generator=generator),
        torch.randint(-1, 3, cells, generator=generator),
    )


@pytest.mark.parametrize("index", [0, 1, 4])
def test_conditioning_per_cell_equals_conditioning_per_token(index: int) -> None:
    model, tokens = lively(), stack_tokens([steps()[index], steps(start=40)[index]])
    x, t, action = inputs(tokens)
    cell = tokens.cell
    assert tokens.cell_level.shape[1] < cell.shape[1]

    def run(out: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return out, torch.autograd.grad(out.square().mean(), list(model.parameters()))

    by_cell, cell_gradients = run(model(x, t, tokens, action))
    by_token, token_gradients = run(forward_per_token(model, x, t.gather(1, cell), tokens, action.gather(1, cell)))
    assert by_token.abs().max() > 0.3
    assert sum(gradient.abs().max() > 1e-3 for gradient in token_gradients) > 0.8 * len(token_gradients)
    torch.testing.assert_close(by_cell, by_token, atol=1e-6, rtol=0)
    for a, b in zip(cell_gradients, token_gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_training_keeps_under_half_of_what_conditioning_per_token_keeps() -> None:
    grids = ((8, 8), (4, 4))
    (step, *_) = make_schedule("millivid", windows=(1, 4), history=64).chunk((64, 16)).steps
    model, tokens = lively(grids=grids, width=96, depth=4), stack_tokens([step.tokens(grids)])
    x, t, action = inputs(tokens)
    cell = tokens.cell

    def kept(forward: Callable[[], Tensor]) -> int:
        with profile(profile_memory=True) as profiler:
            out = forward()
        assert out.requires_grad  # and so alive, with all that its backward pass needs
        return sum(event.self_cpu_memory_usage for event in profiler.key_averages())

    by_token = kept(lambda: forward_per_token(model, x, t.gather(1, cell), tokens, action.gather(1, cell)))
    by_cell = kept(lambda: model(x, t, tokens, action))
    assert 0 < by_cell < by_token / 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_queries_and_keys_are_normed_in_float32_or_more(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16: under autocast, which gives queries in bfloat16 to norms whose weights are float32."""
    torch.manual_seed(0)
    attention, attend = Attention(16, 2).to(torch.promote_types(dtype, torch.float32)), F.scaled_dot_product_attention
    torch.nn.init.normal_(attention.q_norm.weight)
    torch.nn.init.normal_(attention.k_norm.weight)
    seen: dict[str, Tensor] = {}

    def look(q: Tensor, k: Tensor, v: Tensor, **settings: object) -> Tensor:
        seen.update(q=q, k=k)
        return attend(q, k, v, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", look)
    attention.qkv.register_forward_hook(lambda module, inputs, out: seen.update(qkv=out))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        attention(torch.randn(1, 5, 16, dtype=attention.qkv.weight.dtype))
    rounding = 0.51 if dtype == torch.bfloat16 else 4  # half a step is the last rounding alone
    qkv = seen["qkv"].double().view(1, 5, 3, 2, 8).transpose(1, 3)
    for x, norm, found in ((qkv[:, :, 0], attention.q_norm, seen["q"]), (qkv[:, :, 1], attention.k_norm, seen["k"])):
        expected = x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * norm.weight.double()
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, atol=0, rtol=rounding * torch.finfo(dtype).eps)


def test_attention_that_is_trained_on_a_cpu_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, attend, seen = Attention(16, 2), F.scaled_dot_product_attention, []
    x, mask = torch.randn(2, 5, 16), torch.tensor([True, True, True, False, True]).expand(2, 1, 1, 5)

    def look(*inputs: Tensor, **settings: object) -> Tensor:
        seen.append(attend(*inputs, **settings))  # of which autocast decides the type
        return seen[-1]

    monkeypatch.setattr(F, "scaled_dot_product_attention", look)
    with torch.autocast("cpu", torch.bfloat16):
        trained = attention(x, mask)[0]
        with torch.no_grad():
            attention(x, mask)
    assert [out.dtype for out in seen] == [torch.float32, torch.bfloat16]
    torch.testing.assert_close(trained.float(), attention(x, mask)[0], atol=0.02, rtol=0.02)
    trained.sum().backward()
    assert attention.qkv.weight.grad is not None and attention.qkv.weight.grad.isfinite().all()


@pytest.mark.parametrize("start", [16, 20, 40])
def test_padding_changes_nothing_for_real_tokens(start: int) -> None:
    model = lively()
    short, long = steps(history=8, start=start)[0], steps(history=16, start=start)[0]
    assert len(short) < len(long)
    together, alone = stack_tokens([short, long]), stack_tokens([short])
    assert together.key_mask is not None
    assert together.key_mask.sum(dim=1).tolist() == [len(short), len(long)]
    assert alone.key_mask is None
    x, t, action = inputs(together)
    cells = short.num_cells
    expected = model(x[:1, : len(short)], t[:1, :cells], alone, action[:1, :cells])
    found = model(x, t, together, action)[:1, : len(short)]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_padding_is_no_target() -> None:
    short, long = steps(history=8)[0], steps(history=16)[0]
    targets = stack_tokens([short, long]).is_target.sum(dim=1).tolist()
    assert targets == [int((short.role == 2).sum()), int((long.role == 2).sum())]


def test_the_place_in_the_video_does_not_matter() -> None:
    model, here, later = lively(), stack_tokens(steps(start=20)), stack_tokens(steps(start=120))
    x, t, action = inputs(here)
    torch.testing.assert_close(model(x, t, here, action), model(x, t, later, action), atol=0, rtol=0)


def test_an_untrained_model_predicts_zero() -> None:
    model, tokens = VideoDiT(lively().config), stack_tokens(steps()[:1])
    x, t, action = inputs(tokens)
    assert not model(x, t, tokens, action).any()


def test_dead_reckoning_round_a_square() -> None:
    pose = dead_reckon(torch.tensor([[1, 1, 1, 1]]), TABLE)[0]  # each: turn left by 90 degrees, then one unit forward
    expected = [[0, 1, math.pi / 2], [-1, 1, math.pi], [-1, 0, 3 * math.pi / 2], [0, 0, 2 * math.pi]]
    torch.testing.assert_close(pose, torch.tensor(expected), atol=1e-6, rtol=0)


def test_dead_reckoning_straight_then_right_and_standing_still() -> None:
    pose = dead_reckon(torch.tensor([[0, 0, -1, 2, -1, 0]]), TABLE)[0]
    expected = [[1, 0, 0], [2, 0, 0], [2, 0, 0], [2, 0, -math.pi / 2], [2, 0, -math.pi / 2], [2, -1, -math.pi / 2]]
    torch.testing.assert_close(pose, torch.tensor(expected), atol=1e-6, rtol=0)


def test_odometry_does_not_depend_on_where_the_world_begins() -> None:
    model, tokens = lively(odometry=TABLE), stack_tokens(steps()[:2])
    x, t, action = inputs(tokens)
    pose = torch.randn(*tokens.cell_level.shape, 3, generator=torch.Generator().manual_seed(2))
    angle, cos, sin = 0.7, math.cos(0.7), math.sin(0.7)
    px, py, heading = pose.unbind(-1)
    moved = torch.stack([cos * px - sin * py + 5, sin * px + cos * py - 3, heading + angle], dim=-1)
    with torch.no_grad():
        expected = model(x, t, tokens, action, pose)
        torch.testing.assert_close(model(x, t, tokens, action, moved), expected, atol=2e-5, rtol=0)
        assert (model(x, t, tokens, action, 2 * pose) - expected).abs().max() > 1e-3


def test_noise_identities() -> None:
    t = torch.linspace(0, 1, 11)
    alpha, sigma = alpha_sigma(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(11))
    torch.testing.assert_close(
        logsnr(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([15.0, 0.0, -15.0]), atol=1e-4, rtol=0
    )
    x, eps = torch.randn(2, 11, dtype=torch.float64)
    noisy, v = add_noise(x, eps, alpha, sigma), velocity(x, eps, alpha, sigma)
    x_hat, eps_hat = data_and_noise(v, noisy, alpha, sigma)
    torch.testing.assert_close(x_hat, x, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(eps_hat, eps, atol=1e-6, rtol=1e-6)


def test_normalisation_is_inverted() -> None:
    model = lively(normalize_latents=True)
    model.latent_mean.normal_()
    model.latent_std.uniform_(0.5, 2)
    x, level = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(model.denormalize(model.normalize(x, level), level), x)
    assert torch.equal(model.normalize(model.latent_mean[1], 1), torch.zeros(3))


def test_loss_of_an_untrained_model_is_the_mean_square_of_the_velocity() -> None:
    model, tokens = VideoDiT(lively().config), stack_tokens(steps()[:2])
    x = torch.randn(2, tokens.level.shape[1], 3)
    draws = draw(x, 0.5, torch.Generator().manual_seed(0))
    loss, per_example = diffusion_loss(model, x, tokens, None, draws)
    alpha, sigma = (part[:, None, None] for part in alpha_sigma(draws.t))
    v = (alpha * draws.eps - sigma * x).square().mean(dim=-1)
    expected = torch.stack([v[i][tokens.is_target[i]].mean() for i in range(2)])
    torch.testing.assert_close(per_example, expected)
    torch.testing.assert_close(loss, v[tokens.is_target].mean())


def test_dropped_context_hides_context_and_actions() -> None:
    model, tokens = lively(), stack_tokens(steps()[:1])
    x, _, action = inputs(tokens)
    draws = draw(x, 1.0, torch.Generator().manual_seed(0))
    other = torch.where(tokens.is_target.unsqueeze(-1), x, x + 1)
    with torch.no_grad():
        loss = diffusion_loss(model, x, tokens, action, draws)[0]
        torch.testing.assert_close(diffusion_loss(model, x, tokens, None, draws)[0], loss, atol=0, rtol=0)
        torch.testing.assert_close(diffusion_loss(model, other, tokens, action, draws)[0], loss, atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grids": ((4, 4), (2, 3))}, r"grid \(2, 3\) of level 1 is not half of grid \(4, 4\) of level 0; \(2, 2\) is"),
        ({"grids": ()}, "at least one level"),
        ({"width": 100, "num_heads": 12}, "multiple of num_heads 12; 96 is"),
        ({"odometry": ((1.0, 0.0),)}, "odometry has 1 entries for 3 actions"),
        ({"depth": 0}, "must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoDiTConfig(**settings)
