"""One function for attention, whatever computes it."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def attention(
    q: Float[Tensor, "batch head token d"],
    k: Float[Tensor, "batch head token d"],
    v: Float[Tensor, "batch head token d"],
    key_mask: Bool[Tensor, "batch token"] | None = None,
) -> Float[Tensor, "batch head token d"]:
    """Scaled dot-product attention; where `key_mask` is False a key is padding and nobody attends to it."""
    mask = None if key_mask is None else key_mask[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
