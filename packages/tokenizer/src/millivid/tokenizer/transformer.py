"""The tokenizer's transformer: pre-norm blocks, with adaptive layer norm where a condition is given."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


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

    def forward(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        batch, token, width = x.shape
        qkv = self.qkv(x).view(batch, token, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q.float()).to(v.dtype), self.k_norm(k.float()).to(v.dtype)
        if q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu":
            # Its backward pass takes up to ten times as long there as in float32.
            with torch.autocast("cpu", enabled=False):
                out = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, token, width))


class MLP(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them."""

    def __init__(self, width: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Float[Tensor, "*b width"]) -> Float[Tensor, "*b width"]:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """A transformer block; with `conditional` every image's condition shifts, scales and gates both halves."""

    def __init__(self, width: int, num_heads: int, conditional: bool) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.mlp = MLP(width)
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width)) if conditional else None

    def forward(
        self, x: Float[Tensor, "batch token width"], c: Float[Tensor, "batch width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        if self.adaLN_modulation is None:
            x = x + self.attn(self.norm(x))
            return x + self.mlp(self.norm(x))
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(c).unsqueeze(1).chunk(6, dim=-1)
        x = x + gate_a * self.attn(modulate(self.norm(x), shift_a, scale_a))
        return x + gate_m * self.mlp(modulate(self.norm(x), shift_m, scale_m))


class Transformer(nn.Module):
    """A stack of blocks without a final norm; linear layers start Xavier-uniform, adaLN layers at zero."""

    def __init__(self, width: int, depth: int, num_heads: int, conditional: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, num_heads, conditional) for _ in range(depth))
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
                if "adaLN_modulation" in name:
                    nn.init.zeros_(module.weight)

    def forward(
        self, x: Float[Tensor, "batch token width"], c: Float[Tensor, "batch width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        for block in self.blocks:
            x = block(x, c)
        return x
