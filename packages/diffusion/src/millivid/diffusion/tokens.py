"""The index columns of a batch of sequences, as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from millivid.rollout import Role, StepTokens

_COLUMNS = ("level", "frame", "row", "column", "cell", "cell_level", "cell_frame", "cell_role")


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Where every token of a batch of sequences sits, and the cells that the tokens share.

    cell indexes the cell columns of its own sequence. Sequences with fewer cells or tokens than the longest are padded:
    key_mask is False at padded tokens, and None when there are none. first_frame: from which the model counts frames, None
    for the sequence's own first.
    """

    level: Int[Tensor, "batch token"]
    frame: Int[Tensor, "batch token"]
    row: Int[Tensor, "batch token"]
    column: Int[Tensor, "batch token"]
    cell: Int[Tensor, "batch token"]
    cell_level: Int[Tensor, "batch cell"]
    cell_frame: Int[Tensor, "batch cell"]
    cell_role: Int[Tensor, "batch cell"]
    key_mask: Bool[Tensor, "batch token"] | None = None
    first_frame: Int[Tensor, "batch 1"] | None = None

    def expand(self, batch: int) -> "TokenBatch":
        """The columns of a single sequence as those of `batch` equal ones, without copying."""
        return self.map(lambda column: column.expand(batch, -1))

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The same columns on another device."""
        return self.map(lambda column: column.to(device, non_blocking=True))

    def pin_memory(self) -> "TokenBatch":
        """The same columns where a GPU can fetch them by itself."""
        return self.map(torch.Tensor.pin_memory)

    def map(self, change: Callable[[Tensor], Tensor]) -> "TokenBatch":
        """The batch with every column changed."""
        return replace(self, **{name: change(column) for name, column in vars(self).items() if column is not None})

    def repeat(self, copies: int) -> "TokenBatch":
        """Every sequence so many times, one after the other."""
        return self.map(lambda column: column.repeat_interleave(copies, dim=0))

    @property
    def place(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Level, frame, row and column of every token."""
        return self.level, self.frame, self.row, self.column

    @property
    def relative_frame(self) -> Int[Tensor, "batch token"]:
        """Frames as the model counts them, from 0."""
        first = self.first_frame
        if first is None:
            real = self.frame
            if self.key_mask is not None:
                real = torch.where(self.key_mask, real, real.amax())
            first = real.amin(dim=1, keepdim=True)
        return (self.frame - first).clamp(min=0)

    @property
    def cell_is_target(self) -> Bool[Tensor, "batch cell"]:
        """Which cells the step writes."""
        return self.cell_role == int(Role.TARGET)

    @property
    def is_target(self) -> Bool[Tensor, "batch token"]:
        """Which tokens the step writes."""
        return self._has(Role.TARGET)

    def _has(self, role: Role) -> Bool[Tensor, "batch token"]:
        has = (self.cell_role == int(role)).gather(1, self.cell)
        return has if self.key_mask is None else has & self.key_mask

    def coarser(self, context: "TokenBatch") -> Int[Tensor, "batch token"]:
        """Which context token lies at each token's place one level up, counted among all of `context`; -1 for none."""
        if not context.level.shape[1]:
            return torch.full_like(self.level, -1)
        size = 2 + max(int(part.max()) for batch in (self, context) for part in batch.place)

        def key(level: Tensor, frame: Tensor, row: Tensor, column: Tensor) -> Tensor:
            return ((frame * size + level) * size + row) * size + column

        known = torch.where(context._has(Role.CONTEXT), key(*context.place), -1)
        known, order = known.sort(dim=1)
        wanted = key(self.level + 1, self.frame, self.row // 2, self.column // 2)
        place = torch.searchsorted(known, wanted).clamp(max=known.shape[1] - 1)
        return torch.where(known.gather(1, place) == wanted, order.gather(1, place), -1)

    def split(self) -> "tuple[TokenPart, TokenPart]":
        """The context and the targets, each as sequences of their own.

        Their lengths follow from the columns' values: on a GPU that waits for it, so split before `to`.
        """
        whole = TokenBatch(**vars(self) | {"first_frame": self.frame[:, :1] - self.relative_frame[:, :1]})
        return whole._part(Role.CONTEXT), whole._part(Role.TARGET)

    def _part(self, role: Role) -> "TokenPart":
        token, real = _compact(self._has(role))
        cell, _ = _compact(cells := self.cell_role == int(role))
        new_cell = (cells.cumsum(1) - 1).clamp(min=0)  # of each cell that is kept
        chosen = {name: getattr(self, name).gather(1, token) for name in ("level", "frame", "row", "column")}
        tokens = TokenBatch(
            **chosen,
            cell=new_cell.gather(1, self.cell.gather(1, token)),
            **{name: getattr(self, name).gather(1, cell) for name in ("cell_level", "cell_frame", "cell_role")},
            key_mask=None if real.all() else real,
            first_frame=self.first_frame,
        )
        return TokenPart(tokens=tokens, token=token, cell=cell)


@dataclass(frozen=True, kw_only=True)
class TokenPart:
    """Some tokens of a batch of sequences: their columns, and which of the whole's tokens and cells they are."""

    tokens: TokenBatch
    token: Int[Tensor, "batch part"]
    cell: Int[Tensor, "batch part_cell"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "TokenPart":
        """The part with every column changed."""
        return TokenPart(tokens=self.tokens.map(change), token=change(self.token), cell=change(self.cell))

    def expand(self, batch: int) -> "TokenPart":
        """The part of a single sequence as that of `batch` equal ones, without copying."""
        return self.map(lambda column: column.expand(batch, -1))

    def repeat(self, copies: int) -> "TokenPart":
        """Every sequence so many times, one after the other."""
        return self.map(lambda column: column.repeat_interleave(copies, dim=0))

    def of_tokens(self, values: Shaped[Tensor, "batch token *d"]) -> Shaped[Tensor, "batch part *d"]:
        """The part's rows of values per token."""
        return _rows(values, self.token)

    def of_cells(self, values: Shaped[Tensor, "batch cell *d"]) -> Shaped[Tensor, "batch part_cell *d"]:
        """The part's rows of values per cell."""
        return _rows(values, self.cell)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    index = index.to(values.device, non_blocking=True)
    index = index.view(*index.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return values.gather(1, index)


def _compact(chosen: Bool[Tensor, "batch n"]) -> tuple[Int[Tensor, "batch kept"], Bool[Tensor, "batch kept"]]:
    """The places of what is chosen in each row, in order, and which of them are real: short rows are filled up."""
    count = chosen.sum(dim=1, keepdim=True)
    kept = int(count.amax())
    index = (~chosen).byte().argsort(dim=1, stable=True)[:, :kept]
    return index, torch.arange(kept, device=chosen.device) < count


def stack_tokens(steps: Sequence[StepTokens], device: torch.device | str | None = None) -> TokenBatch:
    """Stack the index columns of one step per example, padding shorter sequences and cell tables with zeros."""
    columns = {
        name: pad_sequence([torch.tensor(getattr(step, name)) for step in steps], batch_first=True) for name in _COLUMNS
    }
    lengths = torch.tensor([len(step) for step in steps])
    mask = torch.arange(columns["level"].shape[1]) < lengths.unsqueeze(1)
    return TokenBatch(**columns, key_mask=None if mask.all() else mask).to(device or "cpu")
