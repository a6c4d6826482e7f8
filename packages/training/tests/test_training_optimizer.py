"""Muon against float64 and torch's own, which parameters go where, and the learning rate by hand."""

import pytest
import torch
from torch import Tensor, nn

from millivid.training import MuonAdamW, TrainingConfig, split_parameters
from millivid.training import optimizer as optimizer_module
from millivid.training.optimizer import COEFFICIENTS, learning_rate_factor, orthogonalize

SHAPES = [(8, 8), (6, 20), (20, 6), (1, 5)]


def exact(gradient: Tensor) -> Tensor:
    """Newton-Schulz in float64 as what it is, an odd polynomial of the singular values."""
    a, b, c = COEFFICIENTS
    u, s, vh = torch.linalg.svd(gradient.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ vh


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalisation_in_float32_is_that_of_float64(shape: tuple[int, int]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalize(gradient, torch.float32)
    torch.testing.assert_close(found.double(), exact(gradient), atol=1e-4, rtol=0)


def test_orthogonalisation_makes_singular_values_nearly_one() -> None:
    gradient = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(gradient, torch.float32))
    assert 0.5 < values.min() < values.max() < 1.3


def test_orthogonalisation_of_zero_is_zero() -> None:
    assert not orthogonalize(torch.zeros(3, 4), torch.float32).any()


class Both(nn.Module):
    """A matrix of a shape, and a vector beside it."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.linear = nn.Linear(shape[1], shape[0])
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))


def updates_of_both(
    shape: tuple[int, int], steps: int = 4, precision: str = "auto"
) -> tuple[Both, Both, MuonAdamW, Tensor]:
    """Ours, torch's own optimizers, and float64, on the same gradients."""
    ours, theirs, generator = Both(shape), Both(shape), torch.Generator().manual_seed(1)
    a = MuonAdamW(ours, TrainingConfig(lr=0.1, weight_decay=0.05, warmup=0, precision=precision))
    b = [
        torch.optim.Muon([theirs.linear.weight], lr=0.1, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([theirs.linear.bias], lr=0.1, weight_decay=0.05, fused=True),
    ]
    rate = 0.1 * 0.2 * max(shape) ** 0.5
    momentum, exactly = torch.zeros(shape, dtype=torch.float64), ours.linear.weight.detach().double()
    for step in range(steps):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        gradient = ours.linear.weight.grad.double()
        a.prepare(step)
        a.step()
        a.updates += 1
        for part in b:
            part.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        exactly = exactly * (1 - 0.1 * 0.05) - rate * exact(0.05 * gradient + 0.95 * momentum)
    return ours, theirs, a, exactly


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_every_bit_is_torchs(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer_module, "orthogonalize", lambda update, _: orthogonalize(update, torch.bfloat16))
    ours, theirs, _, _ = updates_of_both(shape)
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_updates_stay_within_bfloat16_of_torchs(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer_module, "bf16_is_fast", lambda device: True)  # fp32 means fp32 there as well
    ours, theirs, _, exactly = updates_of_both(shape, precision="fp32")
    assert (ours.linear.weight - exactly).abs().max() < 1e-5
    rate = 0.1 * 0.2 * max(shape) ** 0.5
    assert (ours.linear.weight - theirs.linear.weight).abs().max() < 4 * rate * 0.05  # four updates of size `rate`
    assert torch.equal(ours.linear.bias, theirs.linear.bias)


def test_parameters_without_gradient_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(2, 2)
    before = model.weight.clone()
    optimizer = MuonAdamW(model, TrainingConfig(weight_decay=0.5, warmup=0))
    optimizer.prepare(0)
    optimizer.step()
    assert torch.equal(model.weight, before)


def test_the_average_follows_the_weights_faster_at_first() -> None:
    model = nn.Linear(2, 2)
    optimizer = MuonAdamW(model, TrainingConfig(ema=0.5, warmup=0))
    average = model.bias.detach().clone()
    for step in range(12):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.prepare(step)
        optimizer.step()
        optimizer.updates += 1
        average = average + (1 - min(0.5, (step + 1) / (step + 10))) * (model.bias.detach() - average)
    torch.testing.assert_close(optimizer.weights(average=True)["bias"], average)
    assert torch.equal(optimizer.weights(average=False)["bias"], model.bias)


def test_the_average_begins_with_the_weights_before_the_first_update() -> None:
    model = nn.Linear(2, 2)
    before = model.bias.detach().clone()
    optimizer = MuonAdamW(model, TrainingConfig(ema=0.9, warmup=0, lr=0.1))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.prepare(0)
    optimizer.step()
    assert not torch.equal(model.bias, before)
    torch.testing.assert_close(optimizer.weights(average=True)["bias"], 0.1 * before + 0.9 * model.bias.detach())


def test_split_takes_exactly_the_weights_of_linear_layers() -> None:
    model = nn.ModuleDict(
        {
            "linear": nn.Linear(3, 4),
            "conv": nn.Conv2d(2, 2, 3),
            "embedding": nn.Embedding(5, 4),
            "norm": nn.LayerNorm(4),
            "frozen": nn.Linear(4, 4).requires_grad_(False),
            "tied": nn.Linear(3, 4, bias=False),
        }
    )
    model["tied"].weight = model["linear"].weight
    matrices, rest = split_parameters(model)
    assert set(matrices) == {"linear.weight"}
    assert set(rest) == {
        "linear.bias", "conv.weight", "conv.bias", "embedding.weight", "norm.weight", "norm.bias",
    }  # fmt: skip


def test_a_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="LayerNorm has no linear layer"):
        MuonAdamW(nn.LayerNorm(3), TrainingConfig())


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        ({"warmup": 4}, {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 4: 1.0, 11: 1.0, 1000: 1.0}),
        ({"warmup": 0}, {0: 1.0, 5: 1.0}),
        ({"warmup": 4, "decay": "cosine"}, {0: 0.25, 3: 1.0, 4: 1.0, 6: 0.8535533906, 8: 0.5, 12: 0.0, 20: 0.0}),
        ({"warmup": 0, "decay": "cosine"}, {0: 1.0, 3: 0.8535533906, 6: 0.5, 9: 0.1464466094}),
    ],
)
def test_learning_rate_factor(settings: dict, table: dict[int, float]) -> None:
    config = TrainingConfig(steps=12, **settings)
    for step, factor in table.items():
        assert learning_rate_factor(step, config) == pytest.approx(factor, abs=1e-9), step


def test_a_step_clips_the_raw_gradient_and_tells_its_norm() -> None:
    model = nn.Linear(2, 2)
    optimizer = MuonAdamW(model, TrainingConfig(warmup=0))
    optimizer.clip = 1.0
    model.weight.grad, model.bias.grad = torch.full((2, 2), 3.0), torch.zeros(2)
    optimizer.prepare(0)
    optimizer.step()
    assert optimizer.norm.item() == pytest.approx(6.0)
    torch.testing.assert_close(
        optimizer.state[model.weight]["momentum_buffer"], torch.full((2, 2), 0.05 * 0.5), atol=1e-6, rtol=1e-4
    )
