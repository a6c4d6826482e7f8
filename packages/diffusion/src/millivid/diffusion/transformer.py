"""The diffusion transformer's body: adaptive layer norm conditioned per cell, not per token.

A cell is one (level, frame) pair. Its tokens share time step, level and action, so shifts, scales and gates are
computed once per cell and each token reads the row of its cell: the numbers of per-token conditioning for a fraction
of the arithmetic.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from millivid.diffusion.attention import attention


def rows_of(table: Float[Tensor, "batch cell d"], row: Int[Tensor, " index"]) -> Float[Tensor, "batch token d"]:
    """Each token's row of a per-cell table; `row` counts over the whole batch's cells."""
    batch, _, d = table.shape
    return table.reshape(-1, d).index_select(0, row).view(batch, -1, d)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive layer norm's affine part, x (1 + scale) + shift (Peebles & Xie 2023)."""
    return x * (1 + scale) + shift


class Attention(nn.Module):
    """Multi-head self-attention with RMS-normalised queries and keys."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.k_norm = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch token width"], key_mask: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        batch, token, width = x.shape
        qkv = self.qkv(x).view(batch, token, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q.float()).to(v.dtype), self.k_norm(k.float()).to(v.dtype)
        return self.proj(attention(q, k, v, key_mask).transpose(1, 2).reshape(batch, token, width))


class MLP(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them."""

    def __init__(self, width: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Float[Tensor, "*b width"]) -> Float[Tensor, "*b width"]:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by its token's cell."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.mlp = MLP(width)
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "batch cell width"],
        row: Int[Tensor, " index"],
        key_mask: Bool[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        tables = self.adaLN_modulation(c).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (rows_of(table, row) for table in tables)
        x = x + gate_a * self.attn(modulate(self.norm(x), shift_a, scale_a), key_mask)
        return x + gate_m * self.mlp(modulate(self.norm(x), shift_m, scale_m))


class Head(nn.Module):
    """Layer norm, shift and scale by cell, and the linear map to latent channels."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.linear = nn.Linear(width, out_channels)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "batch cell width"],
        row: Int[Tensor, " index"],
    ) -> Float[Tensor, "batch token c"]:
        shift, scale = (rows_of(table, row) for table in self.adaLN_modulation(c).chunk(2, dim=-1))
        return self.linear(modulate(self.norm(x), shift, scale))
