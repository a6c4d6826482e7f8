"""A block's norms and gates: truth tables by hand, gradients, low precision, and how little is kept for the backward pass."""

from collections.abc import Callable

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch import Tensor

from millivid.kernels import gated_residual, modulated_layer_norm
from millivid.kernels.reference import gated_residual_reference, modulated_layer_norm_reference

Function = Callable[..., Tensor]


RAW = {
    "modulated_layer_norm": (modulated_layer_norm, modulated_layer_norm_reference),
    "gated_residual": (gated_residual, gated_residual_reference),
}
PAIRS = {name: [jaxtyped(function, typechecker=beartype) for function in pair] for name, pair in RAW.items()}


def arguments(name: str, batch: int = 2, token: int = 5, cell: int = 3, d: int = 4, seed: int = 0) -> list[Tensor]:
    """Inputs in float64; the tables are slices of a wider one, as a model's are, and no cell's tokens lie together."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    row = torch.randint(0, batch * cell, (batch * token,), generator=generator)
    x, table = normal(batch, token, d), normal(batch, cell, 3 * d)
    if name == "gated_residual":
        return [x, normal(batch, token, d), table[..., d : 2 * d], row]
    return [x, table[..., :d], table[..., 2 * d :], row]


def run(function: Function, arguments: list[Tensor], dtypes: list[torch.dtype]) -> list[Tensor]:
    """The result and the gradients of a weighted sum of it, in float64."""
    inputs = [
        a.to(dtype).requires_grad_() if a.is_floating_point() else a for a, dtype in zip(arguments, dtypes, strict=True)
    ]
    out = function(*inputs)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    gradients = torch.autograd.grad(out, [a for a in inputs if a.requires_grad], weight.to(out.dtype))
    return [out.double(), *(gradient.double() for gradient in gradients)]


def test_modulated_layer_norm_by_hand() -> None:
    x = torch.tensor([[[1.0, 3.0], [5.0, 5.0], [-2.0, 2.0]]])  # normalised: -1 1, 0 0, -1 1
    shift = torch.tensor([[[10.0, 20.0], [0.0, 1.0]]])
    scale = torch.tensor([[[0.0, 1.0], [2.0, -1.0]]])
    out = modulated_layer_norm(x, shift, scale, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(out, torch.tensor([[[9.0, 22.0], [10.0, 20.0], [-3.0, 1.0]]]), atol=1e-5, rtol=0)


def test_gated_residual_by_hand() -> None:
    x, y = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), torch.tensor([[[10.0, 20.0]], [[30.0, 40.0]]])
    gate = torch.tensor([[[0.0, 1.0]], [[-1.0, 0.5]]])
    assert gated_residual(x, y, gate, torch.tensor([0, 1])).tolist() == [[[1.0, 22.0]], [[-27.0, 24.0]]]


@pytest.mark.parametrize("name", PAIRS)
def test_gradients(name: str) -> None:
    inputs = [a.requires_grad_() if a.is_floating_point() else a for a in arguments(name)]
    assert torch.autograd.gradcheck(PAIRS[name][0], inputs)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("token", [0, 1, 7])
def test_the_plain_version_in_float64(name: str, token: int) -> None:
    inputs = arguments(name, token=token)
    dtypes = [torch.float64] * len(inputs)
    for lean, plain in zip(run(PAIRS[name][0], inputs, dtypes), run(PAIRS[name][1], inputs, dtypes), strict=True):
        torch.testing.assert_close(lean, plain, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtypes", ["float32", "bfloat16", "float16", "mixed"])
def test_low_precision_is_no_worse_than_plain(name: str, dtypes: str) -> None:
    """Mixed: what autocast gives, activations of a linear layer in bfloat16 and the residual in float32."""
    inputs = arguments(name, token=64, d=48)
    kinds = [getattr(torch, dtypes, torch.float32)] * len(inputs)
    if dtypes == "mixed":
        kinds[1] = kinds[2] = torch.bfloat16
    rounded = [a.to(kind).double() if a.is_floating_point() else a for a, kind in zip(inputs, kinds, strict=True)]
    exact = run(PAIRS[name][1], rounded, [torch.float64] * len(inputs))
    for lean, plain, truth in zip(*(run(f, inputs, kinds) for f in PAIRS[name]), exact, strict=True):
        assert (lean - truth).abs().max() <= 2 * (plain - truth).abs().max() + 1e-7


@pytest.mark.parametrize("name", PAIRS)
def test_the_result_has_the_dtype_of_x(name: str) -> None:
    inputs = arguments(name)
    for dtype in (torch.float32, torch.bfloat16):
        assert (
            PAIRS[name][0](inputs[0].to(dtype), *(a.float() if a.is_floating_point() else a for a in inputs[1:])).dtype
            == dtype
        )


@pytest.mark.parametrize("name", PAIRS)
def test_only_inputs_are_kept_for_the_backward_pass(name: str) -> None:
    inputs = [a.requires_grad_() if a.is_floating_point() else a for a in arguments(name, token=64, d=48)]
    known = {a.untyped_storage().data_ptr() for a in inputs}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        PAIRS[name][0](*inputs)
    assert kept and {a.untyped_storage().data_ptr() for a in kept} <= known


@pytest.mark.parametrize("name", PAIRS)
def test_under_torch_compile(name: str) -> None:
    inputs = arguments(name)
    dtypes = [torch.float32] * len(inputs)
    compiled = torch.compile(RAW[name][0], backend="aot_eager", fullgraph=True)
    for a, b in zip(run(compiled, inputs, dtypes), run(PAIRS[name][0], inputs, dtypes), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_rows_outside_the_tables_are_refused(name: str) -> None:
    *rest, row = arguments(name)
    for bad in (6, -1):
        with pytest.raises(IndexError, match=r"the tables have 6 rows: 2 x 3 cells"):
            RAW[name][0](*rest, torch.full_like(row, bad))


@pytest.mark.parametrize("name", PAIRS)
def test_shapes_and_types_that_do_not_fit_are_refused(name: str) -> None:
    x, second, table, row = arguments(name)
    function = RAW[name][0]
    for changed, message in (
        ((x, second, table[..., :3], row), r"\(2, 3, 3\)"),
        ((x, second, table[:1], row), r"\(1, 3, 4\)"),
        ((x, second[:, :1], table, row) if name == "gated_residual" else (x[0], second, table, row), "expected"),
        ((x, second, table.long(), row), "int64; expected floating-point"),
        ((x, second, table, row[:-1]), r"row is \(9,\)"),
        ((x, second, table, row.int()), r"row is \(10,\) torch.int32"),
    ):
        with pytest.raises(ValueError, match=message):
            function(*changed)


def test_tables_of_different_numbers_of_cells_are_refused() -> None:
    x, shift, scale, row = arguments("modulated_layer_norm")
    with pytest.raises(ValueError, match="different numbers of cells, {'shift': 3, 'scale': 2}"):
        modulated_layer_norm(x, shift, scale[:, :2], row)


def test_compiled_graphs_compute_in_float32_too() -> None:
    x, shift, scale, row = arguments("modulated_layer_norm")
    inputs = x.float(), shift.bfloat16(), scale.bfloat16(), row
    compiled = torch.compile(modulated_layer_norm, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), modulated_layer_norm(*inputs), atol=1e-6, rtol=1e-6)
