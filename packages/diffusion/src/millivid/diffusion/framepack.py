"""FramePack's own network: context frames patchified from the finest latents by a kernel per level (arXiv 2504.12626).

A cell of level l is made of its frame's finest latents: a linear layer turns each 2^l x 2^l block into one token. So a
step's columns name finest tokens, all with level 0, while `cell_level` says which kernel reads a cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
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


@dataclass(frozen=True, kw_only=True)
class FramePackLayout:
    """How a step's sequence is made of the finest tokens of its cells.

    cells: which cells each level's kernel reads. order: of all kernels' tokens in the sequence. finest: the sequence's tokens
    of level 0; finest_place: where these are among the finest tokens.
    """

    sequence: TokenBatch
    cells: Mapping[int, Int[Tensor, " cell"]]
    order: Int[Tensor, " token"]
    finest: Int[Tensor, " written"]
    finest_place: Int[Tensor, " written"]

    def to(self, device: torch.device | str) -> "FramePackLayout":
        """The same on another device."""
        return FramePackLayout(
            sequence=self.sequence.to(device),
            cells={level: chosen.to(device, non_blocking=True) for level, chosen in self.cells.items()},
            order=self.order.to(device, non_blocking=True),
            finest=self.finest.to(device, non_blocking=True),
            finest_place=self.finest_place.to(device, non_blocking=True),
        )

    def spread(self, v: Float[Tensor, "batch token c"], length: int) -> Float[Tensor, "batch finest c"]:
        """Values of the sequence's level-0 tokens at their places among so many finest tokens, zero elsewhere."""
        return v.new_zeros(len(v), length, v.shape[-1]).index_copy(1, self.finest_place, v[:, self.finest])


class FramePackPatchify(nn.Module):
    """Tokens of a sequence from the finest latents of its cells, by one kernel per level."""

    def __init__(self, grid: Grid, num_levels: int, channels: int, width: int, bottleneck: int | None) -> None:
        super().__init__()
        self.grid, self.width = grid, width
        self.kernels = nn.ModuleList(
            nn.Linear(channels * 4**level, width)
            if bottleneck is None
            else nn.Sequential(nn.Linear(channels * 4**level, bottleneck), nn.Linear(bottleneck, width))
            for level in range(num_levels)
        )

    def layout(self, tokens: TokenBatch) -> FramePackLayout:
        """How a step's sequence is made of the finest tokens of its cells; looks at the columns' values.

        Raises ValueError when the sequences of a batch have different cells.
        """
        cell_level = tokens.cell_level[0]
        if (tokens.cell_level != cell_level).any() or tokens.key_mask is not None:
            raise ValueError("FramePack's network takes one layout of cells per batch, but this batch mixes several")
        cells = {level: (cell_level == level).nonzero().squeeze(1) for level in cell_level.unique().tolist()}
        cell, row, column = [], [], []
        for level, chosen in cells.items():
            height, width = self.grid[0] >> level, self.grid[1] >> level
            place = torch.arange(height * width, device=cell_level.device)
            cell.append(chosen.repeat_interleave(len(place)))
            row.append((place // width).repeat(len(chosen)))
            column.append((place % width).repeat(len(chosen)))
        in_turn = torch.cat(cell) if cell else cell_level
        order = in_turn.argsort(stable=True)
        columns = {
            name: torch.cat(values)[order].expand(len(tokens.cell), -1) if values else tokens.cell
            for name, values in {"cell": cell, "row": row, "column": column}.items()
        }
        sequence = TokenBatch(
            level=tokens.cell_level.gather(1, columns["cell"]),
            frame=tokens.cell_frame.gather(1, columns["cell"]),
            **columns,
            **{name: getattr(tokens, name) for name in ("cell_level", "cell_frame", "cell_role", "first_frame")},
        )
        finest = (sequence.level[0] == 0).nonzero().squeeze(1)
        place = (sequence.cell[0] * self.grid[0] + sequence.row[0]) * self.grid[1] + sequence.column[0]
        return FramePackLayout(sequence=sequence, cells=cells, order=order, finest=finest, finest_place=place[finest])

    def embed(self, x: Float[Tensor, "batch finest c"], layout: FramePackLayout) -> Float[Tensor, "batch token width"]:
        """The sequence, cell after cell, each row-major in the grid of its level."""
        cells = x.unflatten(1, (layout.sequence.cell_level.shape[1], *self.grid))
        parts = [x.new_zeros(len(x), 0, self.width)]
        for level, chosen in layout.cells.items():
            side = 2**level
            blocks = cells[:, chosen].unflatten(3, (-1, side)).unflatten(2, (-1, side))
            parts.append(self.kernels[level](blocks.permute(0, 1, 2, 4, 6, 3, 5).flatten(4)).flatten(1, 3))
        return torch.cat(parts, dim=1)[:, layout.order]

    def forward(
        self, x: Float[Tensor, "batch finest c"], tokens: TokenBatch
    ) -> tuple[Float[Tensor, "batch token width"], TokenBatch]:
        """The sequence and its columns. Raises ValueError when the sequences of a batch have different cells."""
        layout = self.layout(tokens)
        return self.embed(x, layout), layout.sequence
