"""Every operation against its torch version and its slow twin: shapes, strides, dtypes, gradients, and each element written."""

import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from millivid.kernels import gated_residual, modulated_layer_norm, pack_tokens, unpack_tokens_
from millivid.kernels.library import TORCH
from millivid.kernels.schemas import SCHEMAS

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
GRIDS = ((4, 6), (2, 3), (1, 1))


class Draw:
    """Tensors from a seed."""

    def __init__(self, dtype: torch.dtype, device: str, seed: int = 0) -> None:
        self.dtype, self.device, self.generator = dtype, device, torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(self.device, dtype or self.dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(max(1, high), shape, generator=self.generator).to(self.device)


def block_arguments(name: str, draw: Draw, shape: tuple[int, int, int, int], table: torch.dtype | None = None) -> tuple:
    """Arguments of an operation of a block for (batch, token, cell, d); tables are slices of a wider one, as a model's."""
    batch, token, cell, d = shape
    x, y = draw.normal(batch, token, d), draw.normal(batch, token, d)
    tables = draw.normal(batch, cell, 3 * d, dtype=table)
    shift, scale, gate = tables.chunk(3, dim=-1)
    row = draw.integers(batch * cell, batch * token)
    eps = 1e-2  # for gradients: a single channel has no spread, and what is rounded there is divided by the root of eps
    return {
        "modulated_layer_norm": (x, shift, scale, row, 1e-6),
        "modulated_layer_norm_backward": (y, x, scale, row, eps),
        "gated_residual": (x, y, gate, row),
        "gated_residual_backward": (x, y, gate, row),
    }[name]


def packing_arguments(name: str, draw: Draw, batch: int, frames: int, shared: bool) -> tuple:
    """Arguments of an operation of packing, with every place once, in any order, half of them marked."""
    stores = [draw.normal(batch, frames, *grid, 3) for grid in GRIDS]
    places = torch.tensor(
        [
            (level, frame, row, column)
            for level, (height, width) in enumerate(GRIDS)
            for frame in range(frames)
            for row in range(height)
            for column in range(width)
        ],
        dtype=torch.int64,
    ).reshape(-1, 4)
    orders = [torch.randperm(len(places), generator=draw.generator) for _ in range(1 if shared else batch)]
    index = torch.stack([places[order] for order in orders]) if orders else places.new_zeros(0, len(places), 4)
    columns = tuple(part.contiguous().to(draw.device) for part in index.unbind(-1))
    length = columns[0].shape[1]
    tokens = draw.normal(batch, length, 3)
    write = draw.integers(2, len(columns[0]), length).bool()
    return {"pack_tokens": (stores, *columns), "unpack_tokens_": (stores, tokens, *columns, write)}[name]


def run(function: Callable[..., Any], arguments: tuple) -> list[Tensor]:
    """The results, which for an operation in place are the stores."""
    copies = tuple(
        [part.clone() for part in a] if isinstance(a, list) and a and torch.is_tensor(a[0]) else a for a in arguments
    )
    out = function(*copies)
    out = copies[0] if out is None else out
    return [out] if isinstance(out, Tensor) else list(out)


def exactly(arguments: Any) -> Any:
    """The same arguments in float64."""
    if isinstance(arguments, tuple | list):
        return type(arguments)(exactly(part) for part in arguments)
    return arguments.double() if isinstance(arguments, Tensor) and arguments.is_floating_point() else arguments


def compare(name: str, arguments: tuple) -> None:
    """The operation is as near to the truth in float64 as its torch version, within twice its error and a rounding."""
    op = getattr(torch.ops.millivid, name)
    found, plain, truth = run(op, arguments), run(TORCH[name], arguments), run(TORCH[name], exactly(arguments))
    assert len(found) == len(plain)
    for a, b, exact in zip(found, plain, truth, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.numel():
            scale = float(exact.abs().amax().clamp(min=1))
            allowed = 2 * float((b.double() - exact).abs().amax()) + 4 * torch.finfo(a.dtype).eps * scale
            assert float((a.double() - exact).abs().amax()) <= allowed


SHAPES = [(2, 5, 3, 4), (1, 1, 1, 1), (3, 7, 2, 65), (2, 70, 3, 192), (2, 0, 3, 8), (0, 4, 2, 8)]
BLOCK = [name for name in SCHEMAS if "pack" not in name]
PACKING = [name for name in SCHEMAS if "pack" in name]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", BLOCK)
def test_block_operations_against_torch(name: str, dtype: torch.dtype, shape: tuple, device: str) -> None:
    compare(name, block_arguments(name, Draw(dtype, device), shape))


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)], ids=str)
@pytest.mark.parametrize("name", BLOCK)
def test_block_operations_with_tables_in_another_dtype(name: str, dtypes: tuple, device: str) -> None:
    compare(name, block_arguments(name, Draw(dtypes[0], device), (2, 9, 3, 48), dtypes[1]))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("batch", "frames"), [(2, 3), (1, 1), (0, 2), (2, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PACKING)
def test_packing_against_torch(
    name: str, dtype: torch.dtype, batch: int, frames: int, shared: bool, device: str
) -> None:
    compare(name, packing_arguments(name, Draw(dtype, device), batch, frames, shared))


@pytest.mark.parametrize("layout", ["channels first", "every second frame", "channels apart", "expanded over videos"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_packing_from_stores_of_any_strides(layout: str, dtype: torch.dtype, device: str) -> None:
    stores, *columns = packing_arguments("pack_tokens", Draw(dtype, device), 2, 3, False)
    change = {
        "channels first": lambda s: s.permute(0, 4, 1, 2, 3).contiguous().permute(0, 2, 3, 4, 1),
        "every second frame": lambda s: s.repeat_interleave(2, dim=1)[:, ::2],
        "channels apart": lambda s: s.repeat_interleave(2, dim=-1)[..., ::2],
        "expanded over videos": lambda s: s[:1].expand(2, -1, -1, -1, -1),
    }[layout]
    dense = [change(store).contiguous() for store in stores]
    changed = [change(store) for store in stores]
    assert torch.equal(
        torch.ops.millivid.pack_tokens(changed, *columns), torch.ops.millivid.pack_tokens(dense, *columns)
    )


@pytest.mark.parametrize("layout", ["channels first", "every second frame"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_unpacking_into_stores_of_any_strides(layout: str, dtype: torch.dtype, device: str) -> None:
    stores, *rest = packing_arguments("unpack_tokens_", Draw(dtype, device), 2, 3, False)
    if layout == "channels first":
        whole = [store.permute(0, 4, 1, 2, 3).contiguous() for store in stores]
        changed = [w.permute(0, 2, 3, 4, 1) for w in whole]
    else:
        whole = [store.repeat_interleave(2, dim=1) for store in stores]
        changed = [w[:, ::2] for w in whole]
    between = [w[:, 1::2].clone() for w in whole]
    torch.ops.millivid.unpack_tokens_(stores, *rest)
    torch.ops.millivid.unpack_tokens_(changed, *rest)
    assert all(torch.equal(a, b) for a, b in zip(stores, changed, strict=True))
    if layout == "every second frame":
        assert all(torch.equal(w[:, 1::2], b) for w, b in zip(whole, between, strict=True))


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """New tensors hold NaN, or the largest number of their type."""
    before, fill = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        assert math.isnan(torch.empty(1).item())
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = fill


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_element_is_written(name: str, dtype: torch.dtype, device: str) -> None:
    draw = Draw(dtype, device)
    arguments = (
        block_arguments(name, draw, (2, 70, 3, 100)) if name in BLOCK else packing_arguments(name, draw, 2, 3, False)
    )
    with poisoned_memory():
        assert all(bool(part.isfinite().all()) for part in run(getattr(torch.ops.millivid, name), arguments))


@pytest.mark.parametrize("name", SCHEMAS)
def test_opcheck(name: str, device: str) -> None:
    draw = Draw(torch.float32, device)
    arguments = (
        block_arguments(name, draw, (2, 5, 3, 8)) if name in BLOCK else packing_arguments(name, draw, 2, 2, False)
    )
    if name in BLOCK and not name.endswith("_backward"):  # packing has no gradients
        grad = lambda a: a.detach().clone().requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a  # noqa: E731
        arguments = tuple([grad(part) for part in a] if isinstance(a, list) else grad(a) for a in arguments)
    torch.library.opcheck(getattr(torch.ops.millivid, name).default, arguments)


def test_writing_in_place_is_known_to_autograd(device: str) -> None:
    stores, tokens, *rest = packing_arguments("unpack_tokens_", Draw(torch.float64, device), 1, 1, True)
    weight = torch.ones_like(stores[0], requires_grad=True)
    total = (stores[0] * weight).sum()
    unpack_tokens_(stores, tokens, *rest)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
    with torch.inference_mode():
        unpack_tokens_([store.clone() for store in stores], tokens, *rest)


def test_packing_what_requires_a_gradient_is_refused(device: str) -> None:
    stores, tokens, *rest = packing_arguments("unpack_tokens_", Draw(torch.float64, device), 1, 1, True)
    before = [store.clone() for store in stores]
    stores[2].requires_grad_()
    with pytest.raises(ValueError, match="packing has no gradient"):
        pack_tokens(stores, *rest[:4])
    for tensors in ((stores, tokens), (before, tokens.clone().requires_grad_())):
        with pytest.raises(ValueError, match="packing has no gradient"):
            unpack_tokens_(*tensors, *rest)
    assert all(torch.equal(a, b) for a, b in zip(stores, before, strict=True))
    with torch.no_grad():
        assert torch.equal(pack_tokens(stores, *rest[:4]), pack_tokens(before, *rest[:4]))


@pytest.mark.parametrize("name", ["modulated_layer_norm", "gated_residual"])
def test_second_derivatives_are_refused_rather_than_wrong(name: str, device: str) -> None:
    arguments = block_arguments(name, Draw(torch.float64, device), (1, 3, 2, 4))
    x = arguments[0].clone().requires_grad_()
    tables = [a.requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments[1:]]
    function = {"modulated_layer_norm": modulated_layer_norm, "gated_residual": gated_residual}[name]
    wanted = tables[0]
    (first,) = torch.autograd.grad(function(x, *tables).square().sum(), wanted, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(first.sum(), x)


def test_rows_that_share_memory(device: str) -> None:
    x = torch.arange(6.0, device=device).unfold(0, 4, 1)[None]
    table, row = torch.ones(1, 1, 4, device=device), torch.zeros(3, dtype=torch.int64, device=device)
    assert torch.equal(
        modulated_layer_norm(x, table, table, row), modulated_layer_norm(x.contiguous(), table, table, row)
    )


def test_a_gradient_that_is_expanded(device: str) -> None:
    """What `out.sum().backward()` hands down has no strides of its own."""
    x, *others = block_arguments("modulated_layer_norm", Draw(torch.float64, device), (2, 5, 3, 8))
    x = x.clone().requires_grad_()
    out = modulated_layer_norm(x, *others)
    (expanded,) = torch.autograd.grad(out.sum(), x, retain_graph=True)
    (dense,) = torch.autograd.grad(out, x, torch.ones_like(out))
    assert torch.equal(expanded, dense)


def test_inputs_of_any_strides(device: str) -> None:
    draw = Draw(torch.float64, device)
    x, shift, scale, row, eps = block_arguments("modulated_layer_norm", draw, (2, 5, 3, 8))
    turned = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert torch.equal(
        modulated_layer_norm(turned, shift, scale, row, eps), modulated_layer_norm(x, shift, scale, row, eps)
    )
    tables = shift.expand(2, 3, 8).permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert torch.equal(gated_residual(turned, turned, tables, row), gated_residual(x, x, shift, row))


def test_the_same_numbers_whatever_the_threads() -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(
                [
                    part
                    for name in BLOCK
                    for part in run(
                        getattr(torch.ops.millivid, name),
                        block_arguments(name, Draw(torch.float32, "cpu"), (2, 300, 5, 130)),
                    )
                ]
            )
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_places_beyond_four_gigabytes(device: str) -> None:
    """Offsets of 64 bits: memory that nobody touches costs nothing on the CPU."""
    frames = 2**30 + 7
    store = torch.empty(1, frames, 1, 1, 2, dtype=torch.float16, device=device)
    columns = [torch.tensor([[value, value]], device=device) for value in (0, frames - 1, 0, 0)]
    columns[1][0, 0] = 2**30
    mark = torch.ones(1, 2, dtype=torch.bool, device=device)
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]], dtype=torch.float16, device=device)
    torch.ops.millivid.unpack_tokens_([store], tokens, *columns, mark)
    assert torch.equal(pack_tokens([store], *columns), tokens)
    assert store[0, -1, 0, 0].tolist() == [3.0, 4.0]


def one_of_each(stores: list[Tensor], columns: list[Tensor], x: Tensor, tables: Tensor, row: Tensor) -> list[Tensor]:
    """A function that calls every operation itself, past the choice that the public functions make when compiling."""
    stores, ops = [store.clone() for store in stores], torch.ops.millivid
    shift, scale, gate = tables.chunk(3, dim=-1)
    packed = pack_tokens(stores, *columns)
    normed = ops.modulated_layer_norm(x, shift, scale, row, 1e-6)
    gated = ops.gated_residual(normed, x, gate, row)
    unpack_tokens_(stores, 2 * packed, *columns, columns[0] == 0)
    return [packed, gated, *stores]


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_one_graph_under_torch_compile(backend: str, device: str) -> None:
    draw = Draw(torch.float32, device)
    stores, *columns = packing_arguments("pack_tokens", draw, 2, 2, True)
    x, tables = draw.normal(2, 5, 8), draw.normal(2, 3, 24)
    leaves = [part.requires_grad_() for part in (x, tables)]
    inputs = (stores, columns, x, tables, draw.integers(6, 10))
    torch._dynamo.reset()
    results = [f(*inputs) for f in (torch.compile(one_of_each, fullgraph=True, backend=backend), one_of_each)]
    gradients = [torch.autograd.grad(result[1].square().sum(), leaves) for result in results]
    for found, expected in zip((*results[0], *gradients[0]), (*results[1], *gradients[1]), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_under_autocast(device: str) -> None:
    """The linear layers' bfloat16 meets a residual and tables in float32; the result has the type of the residual."""
    draw = Draw(torch.float32, device)
    x, shift, scale, row, eps = block_arguments("modulated_layer_norm", draw, (2, 9, 3, 16))
    with torch.autocast(device, torch.bfloat16):
        y = torch.nn.functional.linear(modulated_layer_norm(x, shift, scale, row, eps), torch.eye(16, device=device))
        out = gated_residual(x, y, scale.bfloat16(), row)
    assert y.dtype == torch.bfloat16 and out.dtype == torch.float32
    exact = TORCH["modulated_layer_norm"](*exactly((x, shift, scale, row)), eps)
    torch.testing.assert_close(
        out.double(), TORCH["gated_residual"](x.double(), exact, scale.double(), row), atol=0.05, rtol=0.02
    )


@pytest.mark.gpu
def test_deterministic_algorithms_fix_the_sums_on_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    draw = Draw(torch.float32, "cuda")
    x, shift, scale, row, eps = block_arguments("modulated_layer_norm", draw, (2, 3000, 2, 64))
    leaf = scale.detach().clone().requires_grad_()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        runs = [
            torch.autograd.grad(modulated_layer_norm(x, shift, leaf, row, eps).square().sum(), leaf)[0]
            for _ in range(3)
        ]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(runs[0], other) for other in runs[1:])


@pytest.mark.gpu
def test_in_a_cuda_graph() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    draw = Draw(torch.float32, "cuda")
    stores, *columns = packing_arguments("pack_tokens", draw, 2, 2, True)
    x, tables, row = draw.normal(2, 5, 8), draw.normal(2, 3, 24), draw.integers(6, 10)
    inputs = (stores, columns, x, tables, row)
    expected = one_of_each(*inputs)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        one_of_each(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = one_of_each(*inputs)
    graph.replay()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_under_compute_sanitizer(tool: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    if shutil.which("compute-sanitizer") is None:
        pytest.skip("compute-sanitizer is not installed; it comes with the CUDA toolkit")
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", DRIVER]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert ran.returncode == 0 and "SUMMARY: 0 " in ran.stdout, ran.stdout[-3000:]


DRIVER = """
import torch
from test_kernels_ops import BLOCK, SCHEMAS, Draw, block_arguments, packing_arguments, run
draw = Draw(torch.float32, "cuda")
for name in SCHEMAS:
    in_block = name in BLOCK
    arguments = block_arguments(name, draw, (2, 70, 3, 100)) if in_block else packing_arguments(name, draw, 2, 3, False)
    run(getattr(torch.ops.millivid, name), arguments)
torch.cuda.synchronize()
"""
