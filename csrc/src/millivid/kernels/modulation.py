"""The memory-bound half of a diffusion transformer's block: adaptive layer norm and gate.

Shift, scale and gate are tables with one row per cell, (batch, cell, d). `row` gives each token's row, counted over the
cells of the whole batch. Only inputs are kept for the backward pass, which computes means and deviations again.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.kernels.library import LIBRARY, define, run_in_fixed_order
from millivid.kernels.reference import gated_residual_reference, modulated_layer_norm_reference


def modulated_layer_norm(
    x: Float[Tensor, "batch token d"],
    shift: Float[Tensor, "batch cell d"],
    scale: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
    eps: float = 1e-6,
) -> Float[Tensor, "batch token d"]:
    """LayerNorm without weights, then x (1 + scale) + shift with the rows of each token's cell; has the dtype of x.

    Raises ValueError for shapes that do not match, IndexError for a row outside the tables.
    """
    return _run("modulated_layer_norm", modulated_layer_norm_reference, x, row, eps, shift=shift, scale=scale)


def gated_residual(
    x: Float[Tensor, "batch token d"],
    y: Float[Tensor, "batch token d"],
    gate: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
) -> Float[Tensor, "batch token d"]:
    """x + gate y with the row of each token's cell; has the dtype of x. Raises as `modulated_layer_norm` does."""
    return _run("gated_residual", gated_residual_reference, x, row, y=y, gate=gate)


def _run(name: str, reference: Callable[..., Tensor], x: Tensor, row: Tensor, *eps: float, **others: Tensor) -> Tensor:
    """Run an operation, or while compiling its reference, which torch fuses with its neighbours: docs/decisions/0006."""
    if torch.compiler.is_compiling():
        _check(x, row, **others)
        return reference(_wide(x), *map(_wide, others.values()), row, *eps).to(x.dtype)
    dense = map(_with_dense_rows, (x, *others.values()))
    try:
        return getattr(torch.ops.millivid, name)(*dense, row.contiguous(), *eps)
    except (RuntimeError, IndexError) as error:
        refused = error
    _explain(x, row, **others)
    raise refused


def _with_dense_rows(x: Tensor) -> Tensor:
    """x itself if the numbers of a row lie side by side, as they do in slices of a model's tables, or a copy."""
    return x if x.stride(-1) == 1 or x.shape[-1] < 2 else x.contiguous()


def _check(x: Tensor, row: Tensor, **others: Tensor) -> None:
    """Raise unless shapes and types fit; the values in `row` are looked at by `_explain` alone."""
    batch, token, d = x.shape if x.ndim == 3 else (-1, -1, -1)
    for name, other in others.items():
        cell = other.shape[1] if other.ndim == 3 else -1
        expected = (batch, token if name == "y" else cell, d)
        if x.ndim != 3 or other.shape != expected or not (x.is_floating_point() and other.is_floating_point()):
            raise ValueError(
                f"x is {tuple(x.shape)} {x.dtype} and {name} {tuple(other.shape)} {other.dtype}; expected floating-point x "
                "and y (batch, token, d), and tables (batch, cell, d)"
            )
    cells = {name: other.shape[1] for name, other in others.items() if name != "y"}
    if any(cell != other for cell in cells.values() for other in cells.values()):
        raise ValueError(f"the tables have different numbers of cells, {cells}; expected one number")
    if len({part.device for part in (x, row, *others.values())}) > 1:
        raise ValueError("x, row and the tables lie on different devices; move them to one")
    if row.dtype != torch.int64 or row.shape != (batch * token,):
        raise ValueError(f"row is {tuple(row.shape)} {row.dtype}; expected int64 ({batch * token}), one per token")


def _explain(x: Tensor, row: Tensor, **others: Tensor) -> None:
    """Raise with the reason why an operation refused these arguments, if it is one that a caller can cause."""
    _check(x, row, **others)
    batch, cell, _ = others.popitem()[1].shape
    if len(row) and not 0 <= int(row.amin()) <= int(row.amax()) < batch * cell:
        raise IndexError(
            f"row goes from {int(row.amin())} to {int(row.amax())}, but the tables have {batch * cell} rows: "
            f"{batch} x {cell} cells"
        )


def _wide(values: Tensor) -> Tensor:
    """Values in float32 or more, to compute with."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _rows(table: Tensor, row: Tensor, x: Tensor) -> Tensor:
    """Each token's row of a table, in the shape of x, also when there is none."""
    return table.reshape(-1, x.shape[-1]).index_select(0, row).view(x.shape)


def _sum_by_row(values: Tensor, row: Tensor, like: Tensor) -> Tensor:
    """The gradient of `rows_of`: each token's values added to its cell's row, in a table of the shape of `like`."""
    batch, cell, d = like.shape
    values = _wide(values)
    return values.new_zeros(batch * cell, d).index_add_(0, row, values.reshape(-1, d)).view(batch, cell, d)


# Adaptive layer norm


def _normed(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x less its mean over its standard deviation, and one over the latter."""
    wide = _wide(x)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    rstd = centred.square().mean(dim=-1, keepdim=True).add_(eps).rsqrt_()
    return centred.mul_(rstd), rstd


@define("modulated_layer_norm")
def _modulated_layer_norm(x: Tensor, shift: Tensor, scale: Tensor, row: Tensor, eps: float) -> Tensor:
    _check(x, row, shift=shift, scale=scale)
    normed, _ = _normed(x, eps)
    return normed.mul_(_wide(_rows(scale, row, x)).add(1)).add_(_rows(shift, row, x)).to(x.dtype)


@define("modulated_layer_norm_backward")
def _modulated_layer_norm_backward(
    g: Tensor, x: Tensor, scale: Tensor, row: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    (normed, rstd), wide = _normed(x, eps), _wide(g)
    g_normed = _wide(_rows(scale, row, x)).add(1).mul_(wide)
    slope = (g_normed * normed).mean(dim=-1, keepdim=True)
    g_x = (g_normed - g_normed.mean(dim=-1, keepdim=True)).sub_(normed * slope).mul_(rstd)
    return g_x.to(x.dtype), _sum_by_row(wide, row, scale), _sum_by_row(normed.mul_(wide), row, scale)


def _layer_norm_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, scale, row = ctx.saved_tensors
    gradients = run_in_fixed_order("modulated_layer_norm_backward", _with_dense_rows(g), x, scale, row, ctx.eps)
    return *gradients, None, None


# Gate


@define("gated_residual")
def _gated_residual(x: Tensor, y: Tensor, gate: Tensor, row: Tensor) -> Tensor:
    _check(x, row, y=y, gate=gate)
    return (_wide(x) + _wide(_rows(gate, row, x)) * _wide(y)).to(x.dtype)


@define("gated_residual_backward")
def _gated_residual_backward(g: Tensor, y: Tensor, gate: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    wide = _wide(g)
    return (wide * _wide(_rows(gate, row, g))).to(y.dtype), _sum_by_row(wide * _wide(y), row, gate)


def _gate_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return g, *run_in_fixed_order("gated_residual_backward", _with_dense_rows(g), *ctx.saved_tensors), None


def _differentiate(name: str, gradient: Callable[..., Any], kept: tuple[int, ...]) -> None:
    """Give an operation its gradient, which itself has none, and keep the inputs with these numbers for it."""

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*(inputs[index] for index in kept))
        ctx.eps = inputs[-1] if isinstance(inputs[-1], float) else None

    def refuse(ctx: Any, *_: Tensor) -> None:
        raise RuntimeError(
            "the operations of millivid.kernels have no second derivative; use millivid.kernels.reference"
        )

    torch.library.register_autograd(f"millivid::{name}", gradient, setup_context=keep, lib=LIBRARY)
    torch.library.register_autograd(f"millivid::{name}_backward", refuse, lib=LIBRARY)


_differentiate("modulated_layer_norm", _layer_norm_gradient, kept=(0, 2, 3))
_differentiate("gated_residual", _gate_gradient, kept=(1, 2, 3))
