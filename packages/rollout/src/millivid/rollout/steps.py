"""One rollout step: the role of every (level, frame) cell, and the token columns that a model eats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .checks import ScheduleError, check_integer

Grids = Sequence[tuple[int, int]]
Span = tuple[int, int]
Spans = Sequence[Iterable[Span]]


class Role(IntEnum):
    """What a rollout step does with a cell."""

    UNSEEN = 0
    CONTEXT = 1  # read
    TARGET = 2  # written


@dataclass(frozen=True)
class StepTokens:
    """The tokens of one step as columns, and the table of cells that they belong to.

    A *cell* is one (level, frame) pair: its tokens share time step, action and role. Tokens are ordered by level
    (finest first), then frame, row, column; cells likewise. All arrays are int64 and read-only.

    Token columns, shape [token]: `level`, `frame`, `row`, `column` (in that level's own grid), `role` (a Role value)
    and `cell`, the row of the cell table. Cell table, shape [cell]: `cell_level`, `cell_frame`, `cell_role`.
    """

    level: NDArray[np.int64]
    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    role: NDArray[np.int64]
    cell: NDArray[np.int64]
    cell_level: NDArray[np.int64]
    cell_frame: NDArray[np.int64]
    cell_role: NDArray[np.int64]

    def __post_init__(self) -> None:
        for column in vars(self).values():
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.level)

    @property
    def num_cells(self) -> int:
        """How many (level, frame) cells the step sees."""
        return len(self.cell_level)


@dataclass(frozen=True, eq=False)
class Step:
    """The cells that one rollout step reads and writes.

    roles: uint8 [level, frame], finest level first, frames relative to the chunk, values of Role; kept as a read-only
        copy.
    group: sampling group. In training every group is drawn equally often, and the steps in a group share its weight.

    Raises ScheduleError for another shape, other values, or a step that writes nothing. Steps compare and hash by value.
    """

    roles: NDArray[np.uint8]
    group: int = 0

    def __post_init__(self) -> None:
        given = np.asarray(self.roles)
        if given.ndim != 2 or 0 in given.shape:
            raise ScheduleError(f"roles have shape {given.shape}; expected [level, frame], both at least 1")
        if not np.isin(given, (0, 1, 2)).all():
            raise ScheduleError(
                f"roles hold {sorted(set(given.ravel().tolist()) - {0, 1, 2})}; expected 0 (unseen), 1 (context), 2 (target)"
            )
        if not (given == Role.TARGET).any():
            raise ScheduleError("the step writes nothing; give it at least one target (level, frame) cell")
        roles = given.astype(np.uint8, copy=True, order="C")
        roles.setflags(write=False)
        object.__setattr__(self, "roles", roles)
        object.__setattr__(self, "group", check_integer(self.group, "sampling group", 0))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Step):
            return NotImplemented
        return self.group == other.group and np.array_equal(self.roles, other.roles)

    def __hash__(self) -> int:
        return hash((self.group, self.roles.shape, self.roles.tobytes()))

    @property
    def num_levels(self) -> int:
        """Rows of `roles`."""
        return int(self.roles.shape[0])

    @property
    def num_frames(self) -> int:
        """Columns of `roles`."""
        return int(self.roles.shape[1])

    @property
    def target_levels(self) -> tuple[int, ...]:
        """The levels that this step writes, finest first."""
        return tuple(np.flatnonzero((self.roles == Role.TARGET).any(axis=1)).tolist())

    def num_tokens(self, tokens_per_level: Sequence[int]) -> int:
        """Tokens that the step sees, read and written; `tokens_per_level` is finest first and may have more levels."""
        seen = (self.roles != Role.UNSEEN).sum(axis=1)
        return int(seen @ np.asarray(tokens_per_level[: len(seen)]))

    def tokens(self, grids: Grids, start: int = 0) -> StepTokens:
        """The step as token columns.

        grids: (height, width) of every level, finest first; levels beyond the step's own are ignored.
        start: added to every frame; a chunk's start gives frames of the video.

        Raises ScheduleError when a grid is missing or not two positive integers.
        """
        shapes = _check_grids(grids, self.num_levels)
        cell_level, cell_frame = (index.astype(np.int64) for index in np.nonzero(self.roles))
        cell_role = self.roles[cell_level, cell_frame].astype(np.int64)
        cell_frame = cell_frame + start

        counts = shapes.prod(axis=1)[cell_level]
        first_token = np.cumsum(counts) - counts
        cell = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        level = cell_level[cell]
        position = np.arange(len(cell), dtype=np.int64) - first_token[cell]
        row, column = np.divmod(position, shapes[level, 1])
        return StepTokens(
            level=level,
            frame=cell_frame[cell],
            row=row,
            column=column,
            role=cell_role[cell],
            cell=cell,
            cell_level=cell_level,
            cell_frame=cell_frame,
            cell_role=cell_role,
        )


def make_step(num_frames: int, context: Spans, targets: Spans, group: int) -> Step:
    """Build a step from [start, end) frame spans per level (finest first) instead of an array.

    Raises ScheduleError when a span leaves the chunk, or when a cell would be read and written at once.
    """
    roles = np.zeros((max(len(context), len(targets)), num_frames), dtype=np.uint8)
    for role, levels in ((Role.CONTEXT, context), (Role.TARGET, targets)):
        for level, spans in enumerate(levels):
            for start, end in spans:
                if not 0 <= start <= end <= num_frames:
                    raise ScheduleError(
                        f"{role.name.lower()} frames [{start}, {end}) at level {level} leave the chunk; "
                        f"expected 0 <= start <= end <= {num_frames}"
                    )
                if role == Role.TARGET and (roles[level, start:end] == Role.CONTEXT).any():
                    raise ScheduleError(f"frames [{start}, {end}) at level {level} are read and written in one step")
                roles[level, start:end] = role
    return Step(roles, group)


def _check_grids(grids: Grids, num_levels: int) -> NDArray[np.int64]:
    if len(grids) < num_levels:
        raise ScheduleError(f"grids {tuple(grids)} have {len(grids)} levels; expected {num_levels} or more")
    shapes = []
    for level, grid in enumerate(grids[:num_levels]):
        if not isinstance(grid, Sequence) or len(grid) != 2:
            raise ScheduleError(f"the grid of level {level} is {grid!r}; expected (height, width)")
        shapes.append([check_integer(side, f"a side of the grid of level {level}", 1) for side in grid])
    return np.array(shapes, dtype=np.int64)
