"""Settings of the block world."""

from dataclasses import dataclass
from typing import ClassVar

from ..world import WorldConfig, within


@dataclass(frozen=True, kw_only=True)
class VoxelConfig(WorldConfig):
    """Settings of the block world, besides those of every world; lengths in blocks, angles in degrees.

    step: blocks that a forward frame moves. Small, so that views come back: see the README for the measurement.
    field_of_view: horizontal angle of view. eye_height: height of the camera over the ground. world_size: blocks along a
    side of the world. The agent starts near the middle and cannot leave. view_distance: where fog hides everything.

    hill_height: greatest difference in height of the ground; 0 for a plain. landmark_spacing: mean distance between
    neighbouring landmarks. tree_spacing: mean distance between neighbouring trees. path_clearance: free space kept on both
    sides of the agent's way, where the way is known in advance. antialias: whether edges are smoothed (four samples per
    pixel).
    """

    world: ClassVar[str] = "voxel"
    version: ClassVar[int] = 3

    step: float = within(0.01, 1.0, default=0.15)
    field_of_view: float = within(30.0, 120.0, default=85.0)
    eye_height: float = within(0.5, 3.0, default=1.6)
    world_size: int = within(48, 512, default=96)
    view_distance: float = within(8.0, 256.0, default=22.0)
    hill_height: float = within(0.0, 6.0, default=2.4)
    landmark_spacing: float = within(3.5, 64.0, default=6.0)
    tree_spacing: float = within(3.0, 64.0, default=9.0)
    path_clearance: float = within(0.5, 8.0, default=1.5)
    antialias: bool = True
