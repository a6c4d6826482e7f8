"""What packing asks of its arguments, said in words."""

from collections.abc import Sequence

import torch
from torch import Tensor


def check_packing(
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
