"""The distinct conditions of a batch: cells that share time, level and action share their row of shifts, scales and gates."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.diffusion.actions import Actions


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """A table of conditions, and which row of it each cell has.

    t: time per row. level: level per row. action: category or vector per row, None for no actions. row: per cell.
    """

    t: Float[Tensor, " row"]
    level: Int[Tensor, " row"]
    action: Int[Tensor, " row"] | Float[Tensor, "row action"] | None
    row: Int[Tensor, "batch cell"]

    @classmethod
    def of(
        cls, t: Float[Tensor, "batch cell"], level: Int[Tensor, "batch cell"], action: Actions | None
    ) -> "Conditions":
        """The conditions of cells, each once; vectors, and all while compiling, keep a row for every cell."""
        every = cls(
            t=t.flatten(),
            level=level.flatten(),
            action=None if action is None else action.flatten(0, 1),
            row=torch.arange(t.numel(), device=t.device).view(t.shape),
        )
        if torch.compiler.is_compiling() or (action is not None and action.is_floating_point()):
            return every
        # What a level and an action may be is bounded by the tables that embed them.
        key = every.t.unique(return_inverse=True)[1] * 2**16 + every.level
        key = key if every.action is None else key * 2**17 + every.action + 1
        distinct, row = key.unique(return_inverse=True)
        some = torch.empty_like(distinct).scatter_(0, row, every.row.flatten())
        return cls(
            t=every.t[some],
            level=every.level[some],
            action=None if every.action is None else every.action[some],
            row=row.view(t.shape),
        )

    def to(self, device: torch.device | str) -> "Conditions":
        """The same on another device."""
        parts = {name: part.to(device, non_blocking=True) for name, part in vars(self).items() if part is not None}
        return replace(self, **parts)
