"""Settings of the block world."""

from dataclasses import dataclass
from typing import ClassVar

from ..world import WorldConfig


@dataclass(frozen=True, kw_only=True)
class VoxelConfig(WorldConfig):
    """Settings of the block world, besides those of every world; lengths in blocks, angles in degrees.

    Attributes:
        step: blocks that a forward frame moves. Small, so that views come back: see the README for the measurement.
        field_of_view: horizontal angle of view.
        eye_height: height of the camera over the ground.
        world_size: blocks along a side of the world. The agent starts near the middle and cannot leave.
        view_distance: where fog hides everything.
        hill_height: greatest difference in height of the ground; 0 for a plain.
        landmark_spacing: mean distance between neighbouring landmarks.
        tree_spacing: mean distance between neighbouring trees.
        path_clearance: free space kept on both sides of the agent's way, where the way is known in advance.
        antialias: whether edges are smoothed (four samples per pixel).

    Raises:
        ValueError: a value is out of range.
    """

    world: ClassVar[str] = "voxel"
    version: ClassVar[int] = 3

    step: float = 0.15
    field_of_view: float = 85.0
    eye_height: float = 1.6
    world_size: int = 96
    view_distance: float = 22.0
    hill_height: float = 2.4
    landmark_spacing: float = 6.0
    tree_spacing: float = 9.0
    path_clearance: float = 1.5
    antialias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            step=(0.01, 1.0),
            field_of_view=(30.0, 120.0),
            eye_height=(0.5, 3.0),
            world_size=(48, 512),
            view_distance=(8.0, 256.0),
            hill_height=(0.0, 6.0),
            landmark_spacing=(3.5, 64.0),
            tree_spacing=(3.0, 64.0),
            path_clearance=(0.5, 8.0),
        )
