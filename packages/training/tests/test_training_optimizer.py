"""Muon against float64 and torch's own, which parameters go where, and the learning rate by hand."""

import pytest
import torch
from torch import Tensor, nn

from millivid.training import Muon, Optimizer, TrainingConfig, learning_rate_factor, split_parameters
from millivid.training import muon as muon_module
from millivid.training.muon import orthogonalize

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
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
    found = orthogonalize(gradient, COEFFICIENTS, 5, 1e-7, torch.float32)
    torch.testing.assert_close(found.double(), exact(gradient), atol=1e-4, rtol=0)


def test_orthogonalisation_makes_singular_values_nearly_one() -> None:
    gradient = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(gradient, COEFFICIENTS, 5, 1e-7, torch.float32))
    assert 0.5 < values.min() < values.max() < 1.3


def test_orthogonalisation_of_zero_is_zero() -> None:
    assert not orthogonalize(torch.zeros(3, 4), COEFFICIENTS, 5, 1e-7, torch.float32).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_muon_in_float32_stays_within_bfloat16_of_torchs(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon_module, "bf16_is_fast", lambda device: False)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    a = Muon([ours], lr=0.1, weight_decay=0.05)
    b = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    rate = 0.1 * 0.2 * max(shape) ** 0.5
    momentum, exactly = torch.zeros(shape, dtype=torch.float64), start.double()
    for _ in range(4):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        gradient = ours.grad.double()
        a.step()
        b.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        exactly = exactly * (1 - 0.1 * 0.05) - rate * exact(0.05 * gradient + 0.95 * momentum)
    assert (ours - exactly).abs().max() < 1e-5
    assert (ours - theirs).abs().max() < 4 * rate * 0.05  # four updates of size `rate`, bfloat16 iterations
    torch.testing.assert_close(a.state[ours]["momentum_buffer"], b.state[theirs]["momentum_buffer"])


def test_muon_leaves_parameters_without_gradient_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon_module, "bf16_is_fast", lambda device: False)
    parameter = nn.Parameter(torch.ones(2, 2))
    Muon([parameter], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(parameter, torch.ones(2, 2))


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
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in matrices] == ["linear.weight"]
    assert {names[id(p)] for p in rest} == {
        "linear.bias", "conv.weight", "conv.bias", "embedding.weight", "norm.weight", "norm.bias",
    }  # fmt: skip


def test_a_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="LayerNorm has no linear layer"):
        Optimizer(nn.LayerNorm(3), TrainingConfig())


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


def test_update_clips_reports_the_norm_before_and_drops_gradients() -> None:
    model = nn.Linear(2, 2)
    optimizer = Optimizer(model, TrainingConfig(warmup=0, clip=1.0))
    model.weight.grad, model.bias.grad = torch.full((2, 2), 3.0), torch.zeros(2)
    assert optimizer.update(0).item() == pytest.approx(6.0)
    assert model.weight.grad is None
    buffer = optimizer.parts["muon"].state[model.weight]["momentum_buffer"]
    torch.testing.assert_close(buffer, torch.full((2, 2), 0.05 * 0.5), atol=1e-6, rtol=1e-4)
