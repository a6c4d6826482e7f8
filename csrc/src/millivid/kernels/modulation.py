"""The memory-bound half of a diffusion transformer's block: the torch versions, which keep little for the backward pass.

Shift, scale and gate are tables with one row per cell, (batch, cell, d). `row` gives each token's row, counted over the
cells of the whole batch. A backward pass recomputes what is cheap: of the large intermediate arrays, only inputs are kept.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from millivid.kernels.reference import rows_of


def modulated_layer_norm(
    x: Float[Tensor, "batch token d"],
    shift: Float[Tensor, "batch cell d"],
    scale: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
    eps: float = 1e-6,
) -> Float[Tensor, "batch token d"]:
    """LayerNorm without weights, then x (1 + scale) + shift with the rows of each token's cell; has the dtype of x."""
    return _ModulatedLayerNorm.apply(x, shift, scale, row, eps)


def gated_residual(
    x: Float[Tensor, "batch token d"],
    y: Float[Tensor, "batch token d"],
    gate: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
) -> Float[Tensor, "batch token d"]:
    """x + gate y with the row of each token's cell; has the dtype of x."""
    return _GatedResidual.apply(x, y, gate, row)


def rms_norm(x: Float[Tensor, "*b d"], weight: Float[Tensor, " d"], eps: float = 1e-6) -> Float[Tensor, "*b d"]:
    """x / sqrt(mean(x^2) + eps) times weight, computed in float32 or more; has the dtype of x."""
    return _RMSNorm.apply(x, weight, eps)


def _sum_by_row(values: Tensor, row: Tensor, like: Tensor) -> Tensor:
    """The gradient of `rows_of`: each token's values added to its cell's row, in a table like `like`."""
    batch, cell, d = like.shape
    values = _wide(values)
    total = values.new_zeros(batch * cell, d).index_add_(0, row, values.reshape(-1, d))
    return total.view(batch, cell, d).to(like.dtype)


def _wide(values: Tensor) -> Tensor:
    """Values in float32 or more, to compute with."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _ModulatedLayerNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor, scale: Tensor, row: Tensor, eps: float) -> Tensor:
        normed, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
        ctx.save_for_backward(x, mean, rstd, scale, row)
        modulated = normed.mul_(rows_of(scale, row).to(x.dtype).add_(1)).add_(rows_of(shift, row))
        return modulated.to(x.dtype)  # CUDA's autocast normalises in float32

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, rstd, scale, row = ctx.saved_tensors
        normed = (x - mean).mul_(rstd)
        g_shift = _sum_by_row(g, row, scale)
        g_scale = _sum_by_row(normed.mul_(g), row, scale)
        g_normed = rows_of(scale, row).to(x.dtype).add_(1).mul_(g)
        g_x, _, _ = torch.ops.aten.native_layer_norm_backward(
            g_normed, x, x.shape[-1:], mean, rstd, None, None, (True, False, False)
        )
        return g_x, g_shift, g_scale, None, None


class _GatedResidual(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, gate: Tensor, row: Tensor) -> Tensor:
        ctx.save_for_backward(y, gate, row)
        return (x + rows_of(gate, row) * y).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        y, gate, row = ctx.saved_tensors
        return g, (g * rows_of(gate, row)).to(y.dtype), _sum_by_row(g * y, row, gate), None


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = _wide(x)
        rstd = wide.square().mean(dim=-1, keepdim=True).add_(eps).rsqrt_()
        ctx.save_for_backward(x, rstd, weight)
        return (wide * rstd).mul_(weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, rstd, weight = ctx.saved_tensors
        normed, g = x * rstd, _wide(g)
        product = g * normed
        g_weight = product.reshape(-1, x.shape[-1]).sum(dim=0)
        g_x = (g * weight).sub_(normed.mul_(product.mul_(weight).mean(dim=-1, keepdim=True))).mul_(rstd)
        return g_x.to(x.dtype), g_weight.to(weight.dtype), None
