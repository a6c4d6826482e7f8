"""Packing tokens of several levels into one sequence, and writing them back.

A store holds one level of a batch of videos, (batch, frame, height, width, channel). An index names a token by its
level, frame, row and column; index columns are (batch, token), or (1, token) when every video shares them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.autograd.graph import increment_version

from millivid.kernels.library import TORCH, define, run_in_fixed_order
from millivid.kernels.packing_checks import check_packing, wide_dtype

Stores = Sequence[Float[Tensor, "batch _frame _height _width c"]]


def pack_tokens(
    stores: Stores,
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
    noise: Float[Tensor, "batch token c"] | None = None,
    alpha: Float[Tensor, "batch token"] | None = None,
    sigma: Float[Tensor, "batch token"] | None = None,
) -> Float[Tensor, "batch token c"]:
    """Gather tokens into one sequence: out[b, i] = stores[level[i]][b, frame[i], row[i], column[i]].

    With noise, alpha and sigma: alpha out + sigma noise, computed in float32 or more; where alpha is 0 the store is not
    read. Raises ValueError for arguments that do not match, IndexError for an index outside the stores.
    """
    stores = list(stores)
    columns = _shared(stores, level, frame, row, column)
    noise, alpha, sigma = _mix(stores, noise, alpha, sigma)
    try:
        if _wants_gradient(*stores, noise, alpha, sigma):
            return _Pack.apply(*columns, noise, alpha, sigma, *stores)
        return torch.ops.millivid.pack_tokens(stores, *columns, noise, alpha, sigma)
    except RuntimeError as error:
        refused = error
    check_packing(stores, columns, other=noise, alpha=alpha, sigma=sigma)  # says it in words
    raise refused


def unpack_tokens_(
    stores: Stores,
    tokens: Float[Tensor, "batch token c"],
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
    write: Bool[Tensor, "b token"],
    velocity: Float[Tensor, "batch token c"] | None = None,
    alpha: Float[Tensor, "batch token"] | None = None,
    sigma: Float[Tensor, "batch token"] | None = None,
) -> None:
    """Write the tokens that `write` marks back into their stores, in place; the inverse of `pack_tokens` there.

    With velocity, alpha and sigma: alpha tokens - sigma velocity, the data that DDIM sees in noisy tokens; any other step
    of it is such a sum as well. Raises ValueError for arguments that do not match or two marked tokens with one place,
    IndexError outside the stores; then nothing is written.
    """
    stores = list(stores)
    columns, (write,) = _shared(stores, level, frame, row, column), _shared(stores, write)
    velocity, alpha, sigma = _mix(stores, velocity, alpha, sigma)
    if any(store.is_leaf and store.requires_grad for store in stores) and torch.is_grad_enabled():
        raise ValueError("a store is a leaf that requires a gradient, which cannot be written in place; give its clone")
    mix = (velocity, alpha, sigma)
    try:
        if not _wants_gradient(*stores, tokens, *mix):
            torch.ops.millivid.unpack_tokens_(stores, tokens.contiguous(), *columns, write, *mix)
            if not torch.compiler.is_compiling():  # autograd has to know that what it kept of them is no more
                increment_version([store for store in stores if not store.is_inference()])
        elif not torch.compiler.is_compiling() and any(store._is_view() for store in stores):  # _Unpack returns none
            TORCH["unpack_tokens_"](stores, tokens, *columns, write, *mix)
        else:
            if velocity is not None and alpha is not None and sigma is not None:
                tokens = _combine(tokens, velocity, alpha, -sigma)
            _Unpack.apply(tokens, *columns, write, *stores)
        return
    except RuntimeError as error:
        refused = error
    check_packing(stores, columns, write, tokens=tokens, other=velocity, alpha=alpha, sigma=sigma)
    raise refused


def _shared(stores: list[Tensor], *columns: Tensor) -> list[Tensor]:
    """Index columns of one batch size, without the repetition over the batch that `expand` makes of all of them."""
    sizes = {len(part) for part in columns if part.ndim == 2}
    if stores and sizes == {len(stores[0])} and all(part.ndim == 2 and part.stride(0) == 0 for part in columns):
        columns = tuple(part[:1] for part in columns)
    elif len(sizes) == 2 and min(sizes) == 1:
        columns = tuple(part.expand(max(sizes), -1) if part.ndim == 2 and len(part) == 1 else part for part in columns)
    return [part.contiguous() for part in columns]


def _mix(
    stores: list[Tensor], other: Tensor | None, alpha: Tensor | None, sigma: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The second summand and the two factors as the operations take them."""
    if other is None and alpha is None and sigma is None:
        return None, None, None
    if other is None or alpha is None or sigma is None or not stores:
        raise ValueError("noise or velocity, alpha and sigma go together: give all three, or none")
    wide = wide_dtype(stores[0].dtype)
    return other.contiguous(), alpha.to(wide).contiguous(), sigma.to(wide).contiguous()


def _places(batch: int, chosen: Tensor, *columns: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """Where the chosen tokens of all videos stand in the sequence, and where in their store."""
    video, token = torch.where(chosen.expand(batch, -1))
    return (video, token), (video, *(part.expand(batch, -1)[video, token] for part in columns))


def _combine(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a x + b y with factors per token, rounded once; x may be anything where a is 0."""
    a, b = a.unsqueeze(-1), b.unsqueeze(-1)
    read = torch.where((a == 0) & ~x.isfinite(), 0.0, x.to(a.dtype))
    return (a * read + b * y.to(b.dtype)).to(x.dtype)


def _packed_shape(stores: list[Tensor], level: Tensor, *_: Any) -> Tensor:
    return stores[0].new_empty(stores[0].shape[0], level.shape[1], stores[0].shape[-1])


@define("pack_tokens", shapes=_packed_shape)
def _pack_tokens(
    stores: list[Tensor],
    level: Tensor,
    frame: Tensor,
    row: Tensor,
    column: Tensor,
    noise: Tensor | None,
    alpha: Tensor | None,
    sigma: Tensor | None,
) -> Tensor:
    check_packing(stores, (level, frame, row, column), other=noise, alpha=alpha, sigma=sigma)
    out = _packed_shape(stores, level)
    for value, store in enumerate(stores):
        at, there = _places(len(out), level == value, frame, row, column)
        out[at] = store[there]
    return out if noise is None or alpha is None or sigma is None else _combine(out, noise, alpha, sigma)


def _store_shapes(
    g: Tensor, level: Tensor, frame: Tensor, row: Tensor, column: Tensor, sizes: list[int]
) -> list[Tensor]:
    return [g.new_empty(len(g), *sizes[i : i + 3], g.shape[-1]) for i in range(0, len(sizes), 3)]


@define("pack_tokens_backward", shapes=_store_shapes)
def _pack_tokens_backward(
    g: Tensor, level: Tensor, frame: Tensor, row: Tensor, column: Tensor, sizes: list[int]
) -> list[Tensor]:
    wide = g.to(wide_dtype(g.dtype))
    stores = [store.zero_() for store in _store_shapes(wide, level, frame, row, column, sizes)]
    for value, store in enumerate(stores):
        at, there = _places(len(g), level == value, frame, row, column)
        store.index_put_(there, wide[at], accumulate=True)
    return [store.to(g.dtype) for store in stores]


@define("unpack_tokens_", shapes=lambda *_: None)
def _unpack_tokens_(
    stores: list[Tensor],
    tokens: Tensor,
    level: Tensor,
    frame: Tensor,
    row: Tensor,
    column: Tensor,
    write: Tensor,
    velocity: Tensor | None,
    alpha: Tensor | None,
    sigma: Tensor | None,
) -> None:
    check_packing(stores, (level, frame, row, column), write, tokens=tokens, other=velocity, alpha=alpha, sigma=sigma)
    if velocity is not None and alpha is not None and sigma is not None:
        tokens = _combine(tokens, velocity, alpha, -sigma)
    for value, store in enumerate(stores):
        at, there = _places(len(tokens), write & (level == value), frame, row, column)
        store[there] = tokens[at]


# Autograd, in classes rather than registered with the operations, which costs ten microseconds a call even where nothing
# asks for a gradient, and cannot be done for an operation in place.


def _wants_gradient(*parts: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts)


class _Pack(Function):
    """Packing from stores, or with noise, that carry gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        level: Tensor,
        frame: Tensor,
        row: Tensor,
        column: Tensor,
        noise: Tensor | None,
        alpha: Tensor | None,
        sigma: Tensor | None,
        *stores: Tensor,
    ) -> Tensor:
        columns = (level, frame, row, column)
        clean = None
        if ctx.needs_input_grad[5]:
            clean = torch.ops.millivid.pack_tokens(list(stores), *columns, None, None, None)
        ctx.sizes = [size for store in stores for size in store.shape[1:4]]
        ctx.save_for_backward(*columns, noise, alpha, sigma, clean)
        return torch.ops.millivid.pack_tokens(list(stores), *columns, noise, alpha, sigma)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        *columns, noise, alpha, sigma, clean = ctx.saved_tensors
        g_noise = g_alpha = g_sigma = None
        if noise is not None:
            wide = g.to(alpha.dtype)
            g_noise = (wide * sigma.unsqueeze(-1)).to(noise.dtype) if ctx.needs_input_grad[4] else None
            g_alpha = (wide * clean.to(wide.dtype)).sum(dim=-1) if clean is not None else None
            g_sigma = (wide * noise.to(wide.dtype)).sum(dim=-1) if ctx.needs_input_grad[6] else None
            g = (wide * alpha.unsqueeze(-1)).to(g.dtype)
        g_stores = run_in_fixed_order("pack_tokens_backward", g.contiguous(), *columns, ctx.sizes)
        return None, None, None, None, g_noise, g_alpha, g_sigma, *g_stores


class _Unpack(Function):
    """Writing in place, for stores or tokens that carry gradients."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, *columns_and_stores: Tensor) -> tuple[Tensor, ...]:
        columns, stores = columns_and_stores[:5], columns_and_stores[5:]
        torch.ops.millivid.unpack_tokens_(list(stores), tokens.contiguous(), *columns, None, None, None)
        ctx.mark_dirty(*stores)
        ctx.save_for_backward(*columns)
        return stores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *g_stores: Tensor) -> tuple[Tensor | None, ...]:
        *columns, write = ctx.saved_tensors
        g_tokens = torch.ops.millivid.pack_tokens(list(g_stores), *columns, None, None, None)
        g_tokens = torch.where(write.unsqueeze(-1), g_tokens, 0.0)
        g_before = [g.clone() for g in g_stores]
        torch.ops.millivid.unpack_tokens_(g_before, torch.zeros_like(g_tokens), *columns, write, None, None, None)
        return g_tokens, *(None for _ in range(5)), *g_before
