"""Packing tokens of several levels into one sequence, and writing them back: the torch reference.

A store holds one level of a batch of videos, (batch, frame, height, width, channel). An index names a token by its
level, frame, row and column; index columns are (batch, token), or (1, token) when every video shares them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def _check(stores: Sequence[Tensor], level: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> None:
    """Raise unless stores and columns fit each other and every index lies within its store."""
    if not stores:
        raise ValueError("no stores: give one tensor (batch, frame, height, width, channel) per level")
    batch, channels, dtype = stores[0].shape[0], stores[0].shape[-1], stores[0].dtype
    for index, store in enumerate(stores):
        if store.ndim != 5 or store.shape[0] != batch or store.shape[-1] != channels or store.dtype != dtype:
            raise ValueError(
                f"the store of level {index} is {tuple(store.shape)} {store.dtype}, which does not match level 0's "
                f"{tuple(stores[0].shape)} {dtype}: batch, channel and dtype must be equal"
            )
    columns = (level, frame, row, column)
    if any(part.dtype != torch.int64 or part.ndim != 2 or part.shape != level.shape for part in columns):
        raise ValueError("level, frame, row and column must be int64 tensors of one shape (batch, token)")
    if level.shape[0] not in (1, batch):
        raise ValueError(f"index columns have batch {level.shape[0]}; expected 1 or the stores' batch {batch}")
    limits = torch.tensor([store.shape[1:4] for store in stores], device=level.device)
    known = (level >= 0) & (level < len(stores))
    limit = limits[torch.where(known, level, 0)]
    place = torch.stack([frame, row, column], dim=-1)
    if not bool((known & ((place >= 0) & (place < limit)).all(dim=-1)).all()):
        raise IndexError(
            f"a token's index lies outside the stores, which hold (frame, height, width) {limits.tolist()}"
        )


def _places(
    batch: int, chosen: Tensor, frame: Tensor, row: Tensor, column: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Where the chosen tokens of all videos stand in the sequence, and where in their store."""
    video, token = torch.where(chosen.expand(batch, -1))
    shared = torch.zeros_like(video) if chosen.shape[0] == 1 else video
    return (video, token), (video, frame[shared, token], row[shared, token], column[shared, token])


def pack_tokens(
    stores: Sequence[Float[Tensor, "batch _frame _height _width c"]],
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
) -> Float[Tensor, "batch token c"]:
    """Gather tokens into one sequence: out[b, i] = stores[level[i]][b, frame[i], row[i], column[i]].

    Raises ValueError for stores or columns that do not match, IndexError for an index outside the stores.
    """
    _check(stores, level, frame, row, column)
    batch, channels = stores[0].shape[0], stores[0].shape[-1]
    out = stores[0].new_empty(batch, level.shape[1], channels)
    for value, store in enumerate(stores):
        at, there = _places(batch, level == value, frame, row, column)
        out[at] = store[there]
    return out


def unpack_tokens_(
    stores: Sequence[Float[Tensor, "batch _frame _height _width c"]],
    tokens: Float[Tensor, "batch token c"],
    level: Int[Tensor, "b token"],
    frame: Int[Tensor, "b token"],
    row: Int[Tensor, "b token"],
    column: Int[Tensor, "b token"],
    write: Bool[Tensor, "b token"],
) -> None:
    """Write the tokens that `write` marks back into their stores, in place; the inverse of `pack_tokens` there.

    Raises ValueError for shapes that do not match or two marked tokens with one place, IndexError outside the stores.
    """
    _check(stores, level, frame, row, column)
    batch, channels = stores[0].shape[0], stores[0].shape[-1]
    if tokens.shape != (batch, level.shape[1], channels) or write.shape != level.shape:
        raise ValueError(
            f"tokens {tuple(tokens.shape)} and write {tuple(write.shape)} do not fit index columns "
            f"{tuple(level.shape)} and stores of batch {batch} with {channels} channels"
        )
    frames, height, width = (max(store.shape[axis] for store in stores) for axis in (1, 2, 3))
    places = ((level * frames + frame) * height + row) * width + column
    for place, mark in zip(places, write, strict=True):
        if len(torch.unique(place[mark])) != int(mark.sum()):
            raise ValueError("two tokens would be written to one place; mark each place at most once")
    for value, store in enumerate(stores):
        at, there = _places(batch, write & (level == value), frame, row, column)
        store[there] = tokens[at].to(store.dtype)
