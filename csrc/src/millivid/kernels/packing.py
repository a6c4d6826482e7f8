"""Packing tokens of several levels into one sequence, and writing them back.

A store holds one level of a batch of videos, (batch, frame, height, width, channel). An index names a token by its
level, frame, row and column; index columns are (batch, token), or (1, token) when every video shares them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.graph import increment_version

from millivid.kernels.library import define
from millivid.kernels.packing_checks import check_packing

Stores = Sequence[Float[Tensor, "batch _frame _height _width c"]]


def pack_tokens(
    stores: Stores,
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
) -> Float[Tensor, "batch token c"]:
    """Gather tokens into one sequence: out[b, i] = stores[level[i]][b, frame[i], row[i], column[i]].

    Raises ValueError for arguments that do not match or require a gradient, which packing does not have, and IndexError
    for an index outside the stores.
    """
    stores = list(stores)
    _refuse_gradients(*stores)
    columns = _of_one_batch(stores, level, frame, row, column)
    try:
        return torch.ops.millivid.pack_tokens(stores, *columns)
    except RuntimeError as error:
        refused = error
    check_packing(stores, columns)  # says it in words
    raise refused


def unpack_tokens_(
    stores: Stores,
    tokens: Float[Tensor, "batch token c"],
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
    write: Bool[Tensor, "b token"],
) -> None:
    """Write the tokens that `write` marks back into their stores, in place; the inverse of `pack_tokens` there.

    Raises ValueError for arguments that do not match or require a gradient and for two marked tokens with one place,
    IndexError for an index outside the stores; then nothing is written.
    """
    stores = list(stores)
    _refuse_gradients(*stores, tokens)
    *columns, write = _of_one_batch(stores, level, frame, row, column, write)
    try:
        torch.ops.millivid.unpack_tokens_(stores, tokens.contiguous(), *columns, write)
        if not torch.compiler.is_compiling():  # autograd has to know that what it kept of them is no more
            increment_version([store for store in stores if not store.is_inference()])
        return
    except RuntimeError as error:
        refused = error
    check_packing(stores, columns, tokens, write)
    raise refused


def _refuse_gradients(*parts: Tensor) -> None:
    if torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        raise ValueError("packing has no gradient, but its stores or tokens require one; detach them, or use no_grad")


def _of_one_batch(stores: list[Tensor], *columns: Tensor) -> list[Tensor]:
    """Index columns and marks of one batch size, without a repetition over the batch that `expand` makes of all."""
    sizes = {len(part) for part in columns if part.ndim == 2}
    if stores and sizes == {len(stores[0])} and all(part.ndim == 2 and part.stride(0) == 0 for part in columns):
        columns = tuple(part[:1] for part in columns)
    elif len(sizes) == 2 and min(sizes) == 1:
        columns = tuple(part.expand(max(sizes), -1) if part.ndim == 2 and len(part) == 1 else part for part in columns)
    return [part.contiguous() for part in columns]


def _places(batch: int, chosen: Tensor, *columns: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """Where the chosen tokens of all videos stand in the sequence, and where in their store."""
    video, token = torch.where(chosen.expand(batch, -1))
    return (video, token), (video, *(part.expand(batch, -1)[video, token] for part in columns))


def _packed_shape(stores: list[Tensor], level: Tensor, *_: Tensor) -> Tensor:
    return stores[0].new_empty(stores[0].shape[0], level.shape[1], stores[0].shape[-1])


@define("pack_tokens", shapes=_packed_shape)
def _pack_tokens(stores: list[Tensor], level: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> Tensor:
    check_packing(stores, (level, frame, row, column))
    out = _packed_shape(stores, level)
    for value, store in enumerate(stores):
        at, there = _places(len(out), level == value, frame, row, column)
        out[at] = store[there]
    return out


@define("unpack_tokens_", shapes=lambda *_: None)
def _unpack_tokens_(
    stores: list[Tensor], tokens: Tensor, level: Tensor, frame: Tensor, row: Tensor, column: Tensor, write: Tensor
) -> None:
    check_packing(stores, (level, frame, row, column), tokens, write)
    for value, store in enumerate(stores):
        at, there = _places(len(tokens), write & (level == value), frame, row, column)
        store[there] = tokens[at]
