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
        hill_height: greatest difference in height of the ground.
        biome_size: mean extent of a region with a climate of its own; 0 for one climate per world.
        landmark_spacing: mean distance between neighbouring landmarks.
        building_spacing: mean distance between neighbouring houses; 0 for none.
        tree_spacing: mean distance between neighbouring trees; with biomes, over all of them.
        ponds: ponds per 1,000 square blocks.
        path_clearance: free space kept on both sides of the agent's way, where the way is known in advance.
        time_of_day: hour, 0 to 24, at which time stands still; None for one that depends on the world. The sun rises in the
            east (-x) at 5, stands in the south (-z) at 12 and sets in the west (+x) at 19; then there is a moon.
        fixed_sun: the sun stands in the same place in all worlds, under one of three skies, whatever the hour.
        shadows: whether things throw shadows on the ground.
        antialias: whether edges are smoothed (four samples per pixel).

    Worlds as of version 1: ``biome_size=0, building_spacing=0, fixed_sun=True``.

    Raises:
        ValueError: a value is out of range.
    """

    world: ClassVar[str] = "voxel"
    version: ClassVar[int] = 2

    step: float = 0.15
    field_of_view: float = 85.0
    eye_height: float = 1.6
    world_size: int = 96
    view_distance: float = 22.0
    hill_height: float = 2.4
    biome_size: float = 20.0
    landmark_spacing: float = 6.0
    building_spacing: float = 16.0
    tree_spacing: float = 9.0
    ponds: float = 2.0
    path_clearance: float = 1.5
    time_of_day: float | None = None
    fixed_sun: bool = False
    shadows: bool = True
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
            ponds=(0.0, 10.0),
            path_clearance=(0.5, 8.0),
        )
        if self.biome_size != 0:
            self._require(biome_size=(8.0, 512.0))
        if self.building_spacing != 0:
            self._require(building_spacing=(9.0, 512.0))
        if self.time_of_day is not None:
            self._require(time_of_day=(0.0, 24.0))
            if self.fixed_sun:
                raise ValueError(f"a fixed sun has no time_of_day; got {self.time_of_day}: leave one of the two out")
