"""What the block's operations mean, in ordinary torch operations: the slow twins that every other version is tested against."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def rows_of(table: Float[Tensor, "batch cell d"], row: Int[Tensor, " index"]) -> Float[Tensor, "batch token d"]:
    """Each token's row of a per-cell table; `row` counts over the cells of the whole batch."""
    batch, _, d = table.shape
    return table.reshape(-1, d).index_select(0, row).view(batch, len(row) // batch, d)


def modulated_layer_norm_reference(
    x: Float[Tensor, "batch token d"],
    shift: Float[Tensor, "batch cell d"],
    scale: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
    eps: float = 1e-6,
) -> Float[Tensor, "batch token d"]:
    """LayerNorm without weights, then x (1 + scale) + shift with the rows of each token's cell."""
    return F.layer_norm(x, x.shape[-1:], eps=eps) * (1 + rows_of(scale, row)) + rows_of(shift, row)


def gated_residual_reference(
    x: Float[Tensor, "batch token d"],
    y: Float[Tensor, "batch token d"],
    gate: Float[Tensor, "batch cell d"],
    row: Int[Tensor, " index"],
) -> Float[Tensor, "batch token d"]:
    """x + gate y with the row of each token's cell."""
    return x + rows_of(gate, row) * y
