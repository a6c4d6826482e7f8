"""Settings of the Minetest world."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..world import NOT_RECORDED, WorldConfig, within

MAPGENS = ("v7", "valleys", "carpathian", "fractal", "flat", "v5")


def default_maps() -> str:
    """The folder of saved maps: ``millivid/minetest`` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(cache) / "millivid" / "minetest")


@dataclass(frozen=True, kw_only=True)
class MinetestConfig(WorldConfig):
    """Settings of the Minetest world, besides those of every world; lengths in blocks, angles in degrees.

    step: blocks that a forward frame moves. field_of_view: horizontal angle of view. view_range: where fog hides
    everything. time_of_day: in hours; the sun stands still there. mapgen: the game's own map generator, one of `MAPGENS`.
    world_size: blocks along a side of the square that the agent may walk in; it starts near the middle. supersampling: the
    game draws this many times larger, and the frame is the mean. maps: folder where the map of each seed is kept once it is
    generated; it does not change what is seen.
    """

    world: ClassVar[str] = "minetest"

    step: float = within(0.01, 0.5, default=0.2)
    field_of_view: float = within(30.0, 110.0, default=80.0)
    view_range: int = within(32, 160, default=64)
    time_of_day: float = within(5.0, 19.0, default=9.0)
    mapgen: str = "v7"
    world_size: int = within(64, 512, default=128)
    supersampling: int = within(1, 4, default=2)
    maps: str = field(default_factory=default_maps, metadata=NOT_RECORDED)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "maps", str(self.maps))
        if not all(64 <= side <= 512 for side in self.size):
            raise ValueError(f"size must be (height, width) of 64 to 512 pixels each; got {self.size}")
        if self.mapgen not in MAPGENS:
            raise ValueError(f"mapgen must be one of {', '.join(MAPGENS)}; got {self.mapgen!r}")
