"""The diffusion transformer's body: adaptive layer norm with a row of shifts, scales and gates per distinct condition.

Tokens that share time step, level and action share their row, so these are computed once per condition and each token
reads its row: the numbers of per-token conditioning for a fraction of the arithmetic.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from millivid.kernels import gated_residual, modulated_layer_norm


def _computed_again(function: Callable[..., Any], *arguments: Tensor) -> Any:
    """What a function gives of its arguments, with what it keeps for the backward pass made anew there."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


class KeysValues(NamedTuple):
    """What queries attend to, normalised keys and values."""

    k: Float[Tensor, "batch head token d"]
    v: Float[Tensor, "batch head token d"]

    def repeat(self, copies: int) -> "KeysValues":
        """Every example so many times, one after the other."""
        return KeysValues(*(part.repeat_interleave(copies, dim=0) for part in self)) if copies > 1 else self


class Attention(nn.Module):
    """Multi-head attention with RMS-normalised queries and keys."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.k_norm = nn.RMSNorm(width // num_heads, eps=1e-6)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        mask: Bool[Tensor, "batch 1 #query key"] | None = None,
        context: KeysValues | None = None,
    ) -> tuple[Float[Tensor, "batch token width"], KeysValues]:
        """What x finds in itself, after the context if there is one, and its own keys and values.

        mask: which keys (the context's, then those of x) a query sees, None for all.
        """
        batch, token, width = x.shape
        q, own = self.project(x)
        k, v = own if context is None else (torch.cat(pair, dim=2) for pair in zip(context, own, strict=True))
        if q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu":
            # Its backward pass takes up to three times as long there as in float32.
            with torch.autocast("cpu", enabled=False):
                out = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)
        else:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(batch, token, width)), own

    def project(self, x: Float[Tensor, "batch token width"]) -> tuple[Float[Tensor, "batch head token d"], KeysValues]:
        """Queries, and keys with values."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        # What the norms keep is as large as q and k, and cheap to compute.
        q, k = _computed_again(self._normalize, q, k)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        return q, KeysValues(k, v)

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
        # GELU's output is the largest array of a block and cheap to compute. fc2 would keep it for its backward pass, and is
        # itself not run again.
        return _computed_again(self._activate_and_reduce, self.fc1(x))

    def _activate_and_reduce(self, hidden: Tensor) -> Tensor:
        return self.fc2(F.gelu(hidden, approximate="tanh"))


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by its token's condition."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.mlp = MLP(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "condition width"],
        row: Int[Tensor, " index"],
        mask: Bool[Tensor, "batch 1 #query key"] | None = None,
        context: KeysValues | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """mask, context: see `Attention`."""
        rows = self.adaLN_modulation(c).chunk(6, dim=-1)
        attended = self.attn(modulate(x, rows[0], rows[1], row), mask, context)[0]
        return self._finish(x, attended, rows, row)

    def read(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "condition width"],
        row: Int[Tensor, " index"],
        mask: Bool[Tensor, "batch 1 #query key"] | None = None,
    ) -> tuple[Float[Tensor, "batch token width"], KeysValues]:
        """What `forward` gives, and the keys and values of the tokens."""
        rows = self.adaLN_modulation(c).chunk(6, dim=-1)
        attended, own = self.attn(modulate(x, rows[0], rows[1], row), mask)
        return self._finish(x, attended, rows, row), own

    def _finish(self, x: Tensor, attended: Tensor, rows: Sequence[Tensor], row: Tensor) -> Tensor:
        _, _, gate_a, shift_m, scale_m, gate_m = rows
        x = gated(x, attended, gate_a, row)
        return gated(x, self.mlp(modulate(x, shift_m, scale_m, row)), gate_m, row)

    def keys_values(
        self, x: Float[Tensor, "batch token width"], c: Float[Tensor, "condition width"], row: Int[Tensor, " index"]
    ) -> KeysValues:
        """The keys and values of its tokens alone."""
        shift, scale = self.adaLN_modulation(c).chunk(6, dim=-1)[:2]
        return self.attn.project(modulate(x, shift, scale, row))[1]


class Head(nn.Module):
    """Layer norm, shift and scale by condition, and the linear map to latent channels."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.linear = nn.Linear(width, out_channels)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        c: Float[Tensor, "condition width"],
        row: Int[Tensor, " index"],
    ) -> Float[Tensor, "batch token c"]:
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=-1)
        return self.linear(modulate(x, shift, scale, row))


# The kernels have a table per example. Here one table serves the whole batch, so the batch becomes a single example.


def modulate(x: Tensor, shift: Tensor, scale: Tensor, row: Tensor) -> Tensor:
    """Layer norm, then x (1 + scale) + shift with each token's row of the tables (condition, width)."""
    return modulated_layer_norm(x.flatten(0, 1)[None], shift[None], scale[None], row).view_as(x)


def gated(x: Tensor, y: Tensor, gate: Tensor, row: Tensor) -> Tensor:
    """x + gate y with each token's row of the table (condition, width)."""
    return gated_residual(x.flatten(0, 1)[None], y.flatten(0, 1)[None], gate[None], row).view_as(x)
