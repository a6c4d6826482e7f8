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
    _check(stores, columns)  # says it in words
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
    _check(stores, columns, tokens, write)
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


def _check(
    stores: Sequence[Tensor], columns: Sequence[Tensor], tokens: Tensor | None = None, write: Tensor | None = None
) -> None:
    """Raise unless everything fits and every index lies within its store; with tokens to write, at a place of its own."""
    _check_stores(stores)
    if tokens is not None and write is not None:
        _check_writing(stores, tokens, write, length=columns[0].shape[-1])
    _check_columns(stores, columns)
    if len({part.device for part in (*columns, write, tokens, stores[0]) if part is not None}) > 1:
        raise ValueError("stores, index columns and tokens lie on different devices; move them to one")
    level, frame, row, column = columns
    limits = torch.tensor([store.shape[1:4] for store in stores], device=level.device)
    known = (level >= 0) & (level < len(stores))
    limit = limits[torch.where(known, level, 0)]
    place = torch.stack(torch.broadcast_tensors(frame, row, column), dim=-1)
    if not bool((known & ((place >= 0) & (place < limit)).all(dim=-1)).all()):
        raise IndexError(
            f"a token's index lies outside the stores, which hold (frame, height, width) {limits.tolist()}"
        )
    if write is None:
        return
    frames, height, width = limits.amax(dim=0)
    places = ((level * frames + frame) * height + row) * width + column
    for numbers, mark in zip(*torch.broadcast_tensors(places, write), strict=True):
        if len(torch.unique(numbers[mark])) != int(mark.sum()):
            raise ValueError("two tokens would be written to one place; mark each place at most once")


def _check_stores(stores: Sequence[Tensor]) -> None:
    if not stores:
        raise ValueError("no stores: give one tensor (batch, frame, height, width, channel) per level")
    first = stores[0]
    for index, store in enumerate(stores):
        if (
            store.ndim != 5
            or (store.shape[0], store.shape[-1]) != (first.shape[0], first.shape[-1])
            or (store.dtype, store.device) != (first.dtype, first.device)
        ):
            raise ValueError(
                f"the store of level {index} is {tuple(store.shape)} {store.dtype} on {store.device}, which does not match "
                f"level 0's {tuple(first.shape)} {first.dtype} on {first.device}: batch, channel, dtype and device must be "
                "equal"
            )
    if not first.is_floating_point():
        raise ValueError(f"the stores are {first.dtype}; expected a floating-point dtype")


def _check_columns(stores: Sequence[Tensor], columns: Sequence[Tensor]) -> None:
    batch, length = len(stores[0]), columns[0].shape[-1]
    if any(part.dtype != torch.int64 or part.ndim != 2 or part.shape[1] != length for part in columns):
        raise ValueError(
            "level, frame, row and column must be int64 tensors of one shape (batch, token); they are "
            + ", ".join(f"{tuple(part.shape)} {part.dtype}" for part in columns)
        )
    for name, part in zip(("level", "frame", "row", "column"), columns, strict=True):
        if len(part) not in (1, batch):
            raise ValueError(f"index column {name} has batch {len(part)}; expected 1 or the stores' batch {batch}")


def _check_writing(stores: Sequence[Tensor], tokens: Tensor, write: Tensor, length: int) -> None:
    batch, channels, dtype = stores[0].shape[0], stores[0].shape[-1], stores[0].dtype
    if write.dtype != torch.bool or write.shape not in ((1, length), (batch, length)):
        raise ValueError(f"write is {tuple(write.shape)} {write.dtype}; expected bool (1 or {batch}, {length})")
    if tokens.shape != (batch, length, channels) or tokens.dtype != dtype:
        raise ValueError(
            f"tokens {tuple(tokens.shape)} {tokens.dtype} do not fit: the stores, of batch {batch} with {channels} channels "
            f"in {dtype}, and {length} tokens ask for {(batch, length, channels)} {dtype}"
        )
    if any(store.stride(i) == 0 and store.shape[i] > 1 for store in stores for i in range(5)):
        raise ValueError("a store was made by expand, so that several places share memory; clone it before writing")
    if len({store.data_ptr() for store in stores if store.numel()}) < sum(bool(store.numel()) for store in stores):
        raise ValueError("two stores are one piece of memory; give every level its own")


def _places(batch: int, chosen: Tensor, *columns: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """Where the chosen tokens of all videos stand in the sequence, and where in their store."""
    video, token = torch.where(chosen.expand(batch, -1))
    return (video, token), (video, *(part.expand(batch, -1)[video, token] for part in columns))


def _packed_shape(stores: list[Tensor], level: Tensor, *_: Tensor) -> Tensor:
    return stores[0].new_empty(stores[0].shape[0], level.shape[1], stores[0].shape[-1])


@define("pack_tokens", shapes=_packed_shape)
def _pack_tokens(stores: list[Tensor], level: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> Tensor:
    _check(stores, (level, frame, row, column))
    out = _packed_shape(stores, level)
    for value, store in enumerate(stores):
        at, there = _places(len(out), level == value, frame, row, column)
        out[at] = store[there]
    return out


@define("unpack_tokens_", shapes=lambda *_: None)
def _unpack_tokens_(
    stores: list[Tensor], tokens: Tensor, level: Tensor, frame: Tensor, row: Tensor, column: Tensor, write: Tensor
) -> None:
    _check(stores, (level, frame, row, column), tokens, write)
    for value, store in enumerate(stores):
        at, there = _places(len(tokens), write & (level == value), frame, row, column)
        store[there] = tokens[at]
