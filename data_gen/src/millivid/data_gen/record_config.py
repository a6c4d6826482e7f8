"""Settings of a recording, and what follows from them for each video."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from millivid.command import build

from .agent import Plan, draw_actions, draw_test_actions
from .voxel import VoxelConfig
from .world import WorldConfig, check_ranges, within, world_class

SPLITS = ("train", "test")
GENERATOR = "millivid-data-gen"
"""What the source of every recording says."""
MOST_FRAMES = 100_000
MOST_VIDEOS = 99_999
"""Numbers of a world that one dataset and split can have."""


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Settings of a recording.

    world: the world's settings; their class says which world. train_videos: number of training videos, each in a world of
    its own. test_videos: number of test videos, in worlds that no training video has. test_candidates: for each test video
    that is kept so many are recorded; the test split is those in which the agent covers the greatest distance. 10 in the
    paper.

    frames: frames per video. context: in test videos, frames from ``context`` on stay near the places of the frames before
    it (the least Chamfer distances of 100 walks; see `draw_test_actions`). seed: of the whole dataset; another seed gives
    other worlds and other actions. fps: frames per second, written into the files. clear_path: tell the world each agent's
    way, so that the block world keeps obstacles off it and every forward frame moves it. Otherwise it is stopped by things
    now and then. lossless: store frames without loss. Raises ValueError where a value is out of range.
    """

    world: WorldConfig = field(default_factory=VoxelConfig)
    train_videos: int = within(0, MOST_VIDEOS, default=1000)
    test_videos: int = within(0, MOST_VIDEOS, default=32)
    test_candidates: int = within(1, MOST_VIDEOS, default=10)
    frames: int = within(2, MOST_FRAMES, default=256)
    context: int = 84
    seed: int = within(0, 2**31 - 1, default=0)
    fps: int = within(1, 1000, default=20)
    clear_path: bool = True
    lossless: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.train_videos + self.test_videos == 0:
            raise ValueError("train_videos and test_videos are both 0: there is nothing to record; set one of them")
        if self.test_videos * self.test_candidates > MOST_VIDEOS:
            raise ValueError(
                f"at most {MOST_VIDEOS:,} candidates for the test fit the numbering; got "
                f"{self.test_videos * self.test_candidates:,}: record several datasets with different seeds"
            )
        if not 0 < self.context < self.frames:
            raise ValueError(f"need 0 < context < frames; got context {self.context}, frames {self.frames}")

    def ids(self) -> dict[str, list[str]]:
        """Ids of what is recorded per split: ``train_00000``, ..., ``test_00000``, ... (all candidates)."""
        counts = {"train": self.train_videos, "test": self.test_videos * self.test_candidates}
        return {split: [self.video_id(split, index) for index in range(counts[split])] for split in SPLITS}

    @staticmethod
    def video_id(split: str, index: int) -> str:
        """The id of a video."""
        return f"{split}_{index:05d}"

    @staticmethod
    def split_and_index(video: str) -> tuple[str, int]:
        """The split and the number of a video, from its id; raises ValueError where no video has such an id."""
        split, _, index = video.rpartition("_")
        if split not in SPLITS or not index.isdecimal():
            raise ValueError(f"video {video!r} is none of a recording; those are train_00000, test_00000 and so on")
        return split, int(index)

    def source(self) -> dict[str, Any]:
        """What ``dataset.json`` says about where the videos come from: enough to make them again."""
        settings = asdict(self)
        world = settings.pop("world")
        for setting in fields(self.world):
            if not setting.metadata.get("recorded", True):
                world.pop(setting.name)
        return {**_generator(self.world), "world_settings": world, **settings}

    @classmethod
    def from_source(cls, source: Mapping[str, Any]) -> Self:
        """The config whose `source` this is.

        Raises ValueError where it is that of another generator, or its settings are no settings of this version.
        """
        settings = dict(source)
        found = {key: settings.pop(key, None) for key in ("generator", "generator_version", "world")}
        if found["generator"] != GENERATOR:
            raise ValueError(f"the clips are no recording of {GENERATOR}, so they cannot be made again; record them")
        try:
            world = world_class(str(found["world"])).Config
            known = _generator(world)
            if found != known:
                raise ValueError(
                    f"the clips are from version {found['generator_version']} of the world {found['world']}; only those of "
                    f"version {known['generator_version']}, which is installed, can be made again: record them anew"
                )
            return cls(world=build(world, settings.pop("world_settings")), **settings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the settings of the recording are damaged ({error}); restore dataset.json") from error


def world_seed(seed: int, split: str, index: int) -> int:
    """The seed of a video's world: unique to (dataset seed, split, index), so that no world is in two splits."""
    return (seed * 100_000 + index) * len(SPLITS) + SPLITS.index(split)


def _generator(world: WorldConfig | type[WorldConfig]) -> dict[str, Any]:
    return {"generator": GENERATOR, "generator_version": world.version, "world": world.world}


def video_actions(config: RecordConfig, split: str, index: int, plan: Plan | None = None) -> NDArray[np.int64]:
    """The actions of a video, int64 [frame]; those of test videos come back to where they were.

    plan: draws an agent's actions, given a generator and a number of frames; None for the LOOPCRAFT agent.
    """
    rng = np.random.default_rng([config.seed, SPLITS.index(split), index, 7])
    hold = config.world.frames_per_action
    plan = plan or partial(draw_actions, frames_per_action=hold)
    if split == "test":
        return draw_test_actions(rng, config.frames, hold, config.context, plan=plan)
    return plan(rng, config.frames)
