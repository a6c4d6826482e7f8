"""FramePack's own network: context frames patchified from the finest latents by a kernel per level (arXiv 2504.12626).

A cell of level l is made of its frame's finest latents: a linear layer turns each 2^l x 2^l block into one token. So a
step's columns name finest tokens, all with level 0, while `cell_level` says which kernel reads a cell.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from millivid.diffusion.config import Grid
from millivid.diffusion.tokens import TokenBatch
from millivid.rollout import Role, StepTokens


def finest_tokens(step: StepTokens, grid: Grid) -> StepTokens:
    """The finest tokens of a step's cells, oldest cell first; targets are written at level 0 alone."""
    kept = (step.cell_level == 0) | (step.cell_role != Role.TARGET)
    order = np.lexsort((-step.cell_level[kept], step.cell_frame[kept]))
    level, frame, role = (column[kept][order] for column in (step.cell_level, step.cell_frame, step.cell_role))
    cell, place = np.divmod(np.arange(len(level) * grid[0] * grid[1]), grid[0] * grid[1])
    row, column = np.divmod(place, grid[1])
    return StepTokens(
        level=np.zeros_like(cell), frame=frame[cell], row=row, column=column, role=role[cell], cell=cell,
        cell_level=level, cell_frame=frame, cell_role=role,
    )  # fmt: skip


class FramePackPatchify(nn.Module):
    """Tokens of a sequence from the finest latents of its cells, by one kernel per level."""

    def __init__(self, grid: Grid, num_levels: int, channels: int, width: int, bottleneck: int | None) -> None:
        super().__init__()
        self.grid = grid
        self.kernels = nn.ModuleList(
            nn.Linear(channels * 4**level, width)
            if bottleneck is None
            else nn.Sequential(nn.Linear(channels * 4**level, bottleneck), nn.Linear(bottleneck, width))
            for level in range(num_levels)
        )

    def forward(
        self, x: Float[Tensor, "batch finest c"], tokens: TokenBatch
    ) -> tuple[Float[Tensor, "batch token width"], TokenBatch]:
        """The sequence and its columns, cell after cell, each row-major in the grid of its level.

        Raises ValueError when the sequences of a batch have different cells.
        """
        cell_level = tokens.cell_level[0]
        if (tokens.cell_level != cell_level).any() or tokens.key_mask is not None:
            raise ValueError("FramePack's network takes one layout of cells per batch, but this batch mixes several")
        cells = x.unflatten(1, (len(cell_level), *self.grid))
        parts, cell, row, column = [], [], [], []
        for level in cell_level.unique().tolist():
            side, chosen = 2**level, (cell_level == level).nonzero().squeeze(1)
            height, width = self.grid[0] // side, self.grid[1] // side
            blocks = cells[:, chosen].unflatten(3, (width, side)).unflatten(2, (height, side))
            parts.append(self.kernels[level](blocks.permute(0, 1, 2, 4, 6, 3, 5).flatten(4)).flatten(1, 3))
            place = torch.arange(height * width, device=x.device)
            cell.append(chosen.repeat_interleave(len(place)))
            row.append((place // width).repeat(len(chosen)))
            column.append((place % width).repeat(len(chosen)))
        cells_in_turn = torch.cat(cell)
        order = cells_in_turn.argsort(stable=True)
        columns = {
            name: values[order].expand(len(x), -1)
            for name, values in {"cell": cells_in_turn, "row": torch.cat(row), "column": torch.cat(column)}.items()
        }
        sequence = TokenBatch(
            level=tokens.cell_level.gather(1, columns["cell"]),
            frame=tokens.cell_frame.gather(1, columns["cell"]),
            **columns,
            cell_level=tokens.cell_level,
            cell_frame=tokens.cell_frame,
            cell_role=tokens.cell_role,
        )
        return torch.cat(parts, dim=1)[:, order], sequence

    def spread(
        self, v: Float[Tensor, "batch token c"], sequence: TokenBatch, finest: int
    ) -> Float[Tensor, "batch finest c"]:
        """Values of a sequence's level-0 tokens at their places among the finest tokens, zero elsewhere."""
        chosen = sequence.level[0] == 0
        place = (sequence.cell[0] * self.grid[0] + sequence.row[0]) * self.grid[1] + sequence.column[0]
        return v.new_zeros(len(v), finest, v.shape[-1]).index_copy(1, place[chosen], v[:, chosen])
