"""What packing asks of its arguments, said in words."""

from collections.abc import Sequence

import torch
from torch import Tensor


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def check_packing(
    stores: Sequence[Tensor],
    columns: Sequence[Tensor],
    write: Tensor | None = None,
    *,
    tokens: Tensor | None = None,
    other: Tensor | None = None,
    alpha: Tensor | None = None,
    sigma: Tensor | None = None,
) -> None:
    """Raise unless everything fits and every index lies within its store; with `write`, at a place of its own."""
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
    level, frame, row, column = columns
    if any(part.dtype != torch.int64 or part.ndim != 2 or part.shape[1] != level.shape[-1] for part in columns):
        raise ValueError(
            "level, frame, row and column must be int64 tensors of one shape (batch, token); they are "
            + ", ".join(f"{tuple(part.shape)} {part.dtype}" for part in columns)
        )
    batch, channels, length = first.shape[0], first.shape[-1], level.shape[1]
    named = {"level": level, "frame": frame, "row": row, "column": column, "write": write}
    for name, part in named.items():
        if part is not None and part.shape[0] not in (1, batch):
            raise ValueError(f"index column {name} has batch {part.shape[0]}; expected 1 or the stores' batch {batch}")
    if write is not None and (write.dtype != torch.bool or write.shape[1:] != (length,)):
        raise ValueError(f"write is {tuple(write.shape)} {write.dtype}; expected bool (batch, {length})")
    for name, part, shape, dtype in (
        ("tokens", tokens, (batch, length, channels), first.dtype),
        ("noise or velocity", other, (batch, length, channels), first.dtype),
        ("alpha", alpha, (batch, length), wide_dtype(first.dtype)),
        ("sigma", sigma, (batch, length), wide_dtype(first.dtype)),
    ):
        if part is not None and (part.shape != shape or part.dtype != dtype):
            raise ValueError(
                f"{name} {tuple(part.shape)} {part.dtype} do not fit: the stores, of batch {batch} with {channels} channels "
                f"in {first.dtype}, and {length} tokens ask for {shape} {dtype}"
            )
    if len({part.device for part in (*columns, write, tokens, other, alpha, sigma, first) if part is not None}) > 1:
        raise ValueError("stores, index columns and tokens lie on different devices; move them to one")
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
    if any(0 in store.stride() and store.stride()[i] == 0 and store.shape[i] > 1 for store in stores for i in range(5)):
        raise ValueError("a store was made by expand, so that several places share memory; clone it before writing")
    if len({store.data_ptr() for store in stores if store.numel()}) < sum(bool(store.numel()) for store in stores):
        raise ValueError("two stores are one piece of memory; give every level its own")
    frames, height, width = (max(store.shape[axis] for store in stores) for axis in (1, 2, 3))
    places = ((level * frames + frame) * height + row) * width + column
    for numbers, mark in zip(*torch.broadcast_tensors(places, write), strict=True):
        if len(torch.unique(numbers[mark])) != int(mark.sum()):
            raise ValueError("two tokens would be written to one place; mark each place at most once")
