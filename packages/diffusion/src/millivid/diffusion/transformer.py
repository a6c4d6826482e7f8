"""The diffusion transformer's body: adaptive layer norm conditioned per cell, not per token.

A cell is one (level, frame) pair. Its tokens share time step, level and action, so shifts, scales and gates are
computed once per cell and each token reads the row of its cell: the numbers of per-token conditioning for a fraction
of the arithmetic.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from millivid.kernels import gated_residual, modulated_layer_norm


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
        q, k, v = qkv.unbind(2)
        # What the norms keep is as large as q and k, and cheap to compute: the checkpoint makes it again for the backward pass.
        q, k = checkpoint(self._normalize, q, k, use_reentrant=False, preserve_rng_state=False)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mask = None if key_mask is None else key_mask[:, None, None, :]  # where False, a key is padding
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(batch, token, width))

    def _normalize(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        wide = self.q_norm.weight.dtype  # under autocast float32, in which the norms then compute
        return self.q_norm(q.to(wide)).to(q.dtype), self.k_norm(k.to(wide)).to(k.dtype)


class MLP(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them."""

    def __init__(self, width: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Float[Tensor, "*b width"]) -> Float[Tensor, "*b width"]:
        # GELU's output is the largest array of a block and cheap to compute. fc2 would keep it for its backward pass; the
        # checkpoint makes it again there, and stops before fc2 itself.
        return checkpoint(self._activate_and_reduce, self.fc1(x), use_reentrant=False, preserve_rng_state=False)

    def _activate_and_reduce(self, hidden: Tensor) -> Tensor:
        return self.fc2(F.gelu(hidden, approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by its token's cell."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.mlp = MLP(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "batch cell width"],
        row: Int[Tensor, " index"],
        key_mask: Bool[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(c).chunk(6, dim=-1)
        x = gated_residual(x, self.attn(modulated_layer_norm(x, shift_a, scale_a, row), key_mask), gate_a, row)
        return gated_residual(x, self.mlp(modulated_layer_norm(x, shift_m, scale_m, row)), gate_m, row)


class Head(nn.Module):
    """Layer norm, shift and scale by cell, and the linear map to latent channels."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.linear = nn.Linear(width, out_channels)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "batch cell width"],
        row: Int[Tensor, " index"],
    ) -> Float[Tensor, "batch token c"]:
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=-1)
        return self.linear(modulated_layer_norm(x, shift, scale, row))
