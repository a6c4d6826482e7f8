"""Record a dataset of clips in a world of choice."""

import dataclasses
from pathlib import Path
from typing import Any

from millivid.command import REQUIRED, build, parse_share
from millivid.data_gen import RecordConfig, record, world_class, world_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataGenerateConfig:
    """world: name and settings of the world, as below; out: the folder of clips.

    processes: 0 for one per core. share: as 3/64, to record only a part, from number 0 on, with 64 such commands on one or
    many machines; the one that ends last finishes the dataset. The rest is as in `millivid.data_gen.RecordConfig`.
    """

    out: Path = REQUIRED
    world: dict[str, Any] = dataclasses.field(default_factory=lambda: {"name": "voxel"})
    train_videos: int = 400
    test_videos: int = 16
    test_candidates: int = 10
    frames: int = 212
    context: int = 84
    seed: int = 0
    fps: int = 20
    clear_path: bool = True
    lossless: bool = False
    processes: int = 0
    share: str = "0/1"

    @staticmethod
    def more_help() -> list[str]:
        """The settings of every world, for `--help`."""
        lines = []
        for name in world_names():
            lines += ["", f"world={name}"]
            config = world_class(name).Config
            lines += [f"world.{field.name}={getattr(config(), field.name)}" for field in dataclasses.fields(config)]
        return lines

    def __post_init__(self) -> None:
        if self.processes < 0:
            raise ValueError(f"processes is {self.processes}; it must be at least 1, or 0 for one per core")
        parse_share(self.share)


def generate_data(config: DataGenerateConfig) -> Path | None:
    """Record what is missing; returns the folder once the dataset is finished."""
    world = dict(config.world)
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    for key in ("out", "processes", "share", "world"):
        settings.pop(key)
    world_config = build(world_class(world.pop("name", "voxel")).Config, world, "world.")
    recording = RecordConfig(world=world_config, **settings)
    share = parse_share(config.share)
    missing = record(recording, config.out, processes=config.processes or None, shard=share)
    if missing:
        print(
            f"share {config.share} is done; {missing} videos of other shares are missing, and the last one to end finishes"
        )
        return None
    return config.out
