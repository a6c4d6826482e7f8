"""The network in ordinary torch operations, with a condition per token: `VideoDiT` is tested and measured against it."""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from millivid.diffusion.embedding import sincos_3d
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.tokens import TokenBatch
from millivid.diffusion.transformer import MLP, Attention, Block


def forward_per_token(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    t: Float[Tensor, "batch token"],
    tokens: TokenBatch,
    action: Int[Tensor, "batch token"],
) -> Float[Tensor, "batch token c"]:
    """Velocity of every token, by ordinary torch operations.

    As in the authors' code every token has a time, a level and an action of its own, and every block makes six numbers
    per token and channel of them. Raises ValueError for a padded batch, FramePack's patchify and odometry.
    """
    if tokens.key_mask is not None or model.config.patchify != "linear" or model.config.odometry is not None:
        raise ValueError("the plain network takes no padding, no FramePack patchify and no odometry; use VideoDiT")
    c = model.conditioning(t, tokens.level, action)
    frame = tokens.frame - tokens.frame.amin(dim=1, keepdim=True)
    h = model.patchify(x) + sincos_3d(frame, tokens.row, tokens.column, model.config.width)
    for block in model.blocks:
        assert isinstance(block, Block)
        h = _block(block, h, c)
    shift, scale = model.head.adaLN_modulation(c).chunk(2, dim=-1)
    return model.head.linear(_modulate(h, shift, scale))


def _block(block: Block, h: Tensor, c: Tensor) -> Tensor:
    shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = block.adaLN_modulation(c).chunk(6, dim=-1)
    h = h + gate_a * _attend(block.attn, _modulate(h, shift_a, scale_a))
    return h + gate_m * _mlp(block.mlp, _modulate(h, shift_m, scale_m))


def _modulate(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _attend(attn: Attention, h: Tensor) -> Tensor:
    q, k, v = attn.qkv(h).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    q, k = (_norm(norm, part.float()).to(v.dtype) for norm, part in ((attn.q_norm, q), (attn.k_norm, k)))
    return attn.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def _norm(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], norm.weight, 1e-6)


def _mlp(mlp: MLP, h: Tensor) -> Tensor:
    return mlp.fc2(F.gelu(mlp.fc1(h), approximate="tanh"))
