"""Settings of the maze world."""

from dataclasses import dataclass
from typing import ClassVar

from ..world import WorldConfig, within
from .screen import choose_screen


@dataclass(frozen=True, kw_only=True)
class VizdoomConfig(WorldConfig):
    """Settings of the maze world, besides those of every world; lengths in blocks, angles in degrees.

    Attributes:
        cells: cells along a side of the maze.
        cell_size: distance between the centres of neighbouring cells; walls between them are half a block thick.
        moves_per_cell: forward decisions from one cell's centre to the next one's, so that whole decisions end there.
        loops: share of the walls left by the maze that are taken away: 0 is a tree, in which every way back is the
            way there.
        rooms: number of places where all walls among 2 x 2 to 3 x 3 cells are taken away; they may overlap.
        landmarks: share of the wall faces with a picture, and of the cells with a thing in a corner.
        field_of_view: horizontal angle of view.
        eye_height: height of the camera over the floor.
        samples: rendered pixels along each side of a pixel of the frame; more smooths edges and costs time.

    Raises:
        ValueError: a value is out of range, or the engine has no screen for size, samples and field of view.
    """

    world: ClassVar[str] = "vizdoom"

    cells: int = within(3, 32, default=8)
    cell_size: float = within(2.5, 8.0, default=3.0)
    moves_per_cell: int = within(1, 32, default=5)
    loops: float = within(0.0, 1.0, default=0.15)
    rooms: int = within(0, 64, default=3)
    landmarks: float = within(0.0, 1.0, default=0.3)
    field_of_view: float = within(30.0, 120.0, default=85.0)
    eye_height: float = within(0.5, 2.0, default=1.6)
    samples: int = within(1, 4, default=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose_screen(self.size, self.samples, self.field_of_view)

    @property
    def step(self) -> float:
        """Blocks that a forward frame moves."""
        return self.cell_size / (self.moves_per_cell * self.frames_per_action)
