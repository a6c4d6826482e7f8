"""The index columns of a batch of sequences, as tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from millivid.rollout import Role, StepTokens

_COLUMNS = ("level", "frame", "row", "column", "cell", "cell_level", "cell_frame", "cell_role")


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Where every token of a batch of sequences sits, and the cells that the tokens share.

    cell indexes the cell columns of its own sequence. Sequences with fewer cells or tokens than the longest are padded:
    key_mask is False at padded tokens, and None when there are none.
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

    def expand(self, batch: int) -> "TokenBatch":
        """The columns of a single sequence as those of `batch` equal ones, without copying."""
        return self._map(lambda column: column.expand(batch, -1))

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The same columns on another device."""
        return self._map(lambda column: column.to(device, non_blocking=True))

    def pin_memory(self) -> "TokenBatch":
        """The same columns where a GPU can fetch them by itself."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "TokenBatch":
        columns = {name: change(getattr(self, name)) for name in _COLUMNS}
        return TokenBatch(**columns, key_mask=None if self.key_mask is None else change(self.key_mask))

    @property
    def place(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Level, frame, row and column of every token."""
        return self.level, self.frame, self.row, self.column

    @property
    def cell_is_target(self) -> Bool[Tensor, "batch cell"]:
        """Which cells the step writes."""
        return self.cell_role == int(Role.TARGET)

    @property
    def is_target(self) -> Bool[Tensor, "batch token"]:
        """Which tokens the step writes."""
        target = self.cell_is_target.gather(1, self.cell)
        return target if self.key_mask is None else target & self.key_mask

    @property
    def cell_row(self) -> Int[Tensor, " index"]:
        """Each token's row in a table of the whole batch's cells."""
        batch, cells = self.cell_level.shape
        return (self.cell + cells * torch.arange(batch, device=self.cell.device).unsqueeze(1)).flatten()


def stack_tokens(steps: Sequence[StepTokens], device: torch.device | str | None = None) -> TokenBatch:
    """Stack the index columns of one step per example, padding shorter sequences and cell tables with zeros."""
    columns = {
        name: pad_sequence([torch.tensor(getattr(step, name)) for step in steps], batch_first=True).to(device)
        for name in _COLUMNS
    }
    lengths = torch.tensor([len(step) for step in steps], device=device)
    mask = torch.arange(columns["level"].shape[1], device=device) < lengths.unsqueeze(1)
    return TokenBatch(**columns, key_mask=None if min(map(len, steps)) == mask.shape[1] else mask)
