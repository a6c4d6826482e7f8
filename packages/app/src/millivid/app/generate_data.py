"""Record a dataset of clips in a world of choice."""

import dataclasses
from pathlib import Path
from typing import Any

from millivid.command import REQUIRED, ConfigError, alone_in_out, build, parse_share
from millivid.data_gen import RecordConfig, record, world_class, world_names
from millivid.data_gen.world import WorldConfig
from millivid.diffusion import VideoModelInfo
from millivid.files.values import check_number

CONF = Path(__file__).parent / "conf" / "data"
PAPERS_SHARE = 4
"""The paper gives 256 frames of 1,024."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataGenerateConfig:
    """Record videos of an agent that walks through worlds.

    out: the folder of clips. world: name and settings, as below. model: a saved video model whose world, frame rate, context
    and horizons are taken instead of what is not given. train_videos, test_videos: how many; no world is in both. frames:
    of each video. context: frames of a test video after which the agent stays near the places it has been to; by default a
    quarter of all. test_candidates: so many are recorded for each test video that is kept; those are kept in which the agent
    covers the greatest distance. seed: of worlds and ways. fps: frames per second, written into the files. clear_path:
    obstacles keep off the agent's way. lossless: store frames without loss. processes: 0 for one per core. share: as 3/64, to
    record only a part, from number 0 on, with 64 such commands on one or many machines; the one that ends last finishes the
    dataset.
    """

    out: Path = REQUIRED
    world: dict[str, Any] = dataclasses.field(default_factory=dict)
    model: Path | None = None
    train_videos: int = 0
    test_videos: int = 0
    frames: int | None = None
    context: int | None = None
    test_candidates: int = 10
    seed: int = 0
    fps: int | None = None
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
        check_number(self.processes, "processes", 0, 1024, whole=True, hint=", where 0 is one per core")
        parse_share(self.share)


@alone_in_out
def generate_data(config: DataGenerateConfig) -> Path | None:
    """Record what is missing; returns the folder once the dataset is finished."""
    share = parse_share(config.share)
    missing = record(recording(config), config.out, processes=config.processes or None, share=share)
    if missing:
        print(
            f"share {config.share} is done; {missing} videos of other shares are missing, and the last one to end finishes"
        )
        return None
    return config.out


def recording(config: DataGenerateConfig) -> RecordConfig:
    """What is to be recorded; raises ValueError with one sentence for what is missing or cannot be."""
    info = VideoModelInfo.read(config.model) if config.model is not None else None
    world, fps = _world(config, info)
    frames, context = config.frames, config.context
    if info is not None and context is None:
        context = info.context
    if frames is None and info is not None and context is not None and info.horizons:
        frames = context + info.horizons[-1]
    if frames is None:
        raise ConfigError("frames is not set; add frames=..., the length of each video")
    same = ("train_videos", "test_videos", "test_candidates", "seed", "clear_path", "lossless")
    return RecordConfig(
        world=world,
        frames=frames,
        context=max(1, frames // PAPERS_SHARE) if context is None else context,
        fps=fps if config.fps is None else config.fps,
        **{name: getattr(config, name) for name in same},
    )


def _world(config: DataGenerateConfig, info: VideoModelInfo | None) -> tuple[WorldConfig, int]:
    """The world's settings and the frame rate."""
    settings = dict(config.world)
    if "name" in settings:
        return build(world_class(settings.pop("name")).Config, settings, "world."), RecordConfig.fps
    if settings:
        raise ConfigError(f"world.{next(iter(settings))} is given, but not of which world; add world=NAME")
    if info is None:
        raise ConfigError(
            f"world is not set; add world=NAME out of {', '.join(world_names())}, or model=DIR for the one that a model knows, "
            "or experiment=tiny for that of the shipped ones"
        )
    try:
        found = RecordConfig.from_source(info.trained_on)
    except ValueError as error:
        raise ConfigError(f"{config.model} does not say which world it knows ({error}); give world=NAME") from error
    return found.world, found.fps
