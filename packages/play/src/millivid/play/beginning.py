"""Where a walk begins: in a world that no model has seen, or in a video of one's own."""

import copy
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millivid.data import read_video
from millivid.data_gen import RecordConfig, VoxelWorld, draw_actions, world_class, world_seed
from millivid.diffusion import VideoModelInfo


class Truth:
    """The world itself, walked beside the model; goes back with it.

    world: after the context, at frame `shown` of the video. keep: how many of the newest moments it can go back to.
    """

    def __init__(self, world: VoxelWorld, pose: NDArray[np.float32], shown: int, keep: int) -> None:
        self._moments = deque([(world, pose)], maxlen=keep + 1)  # where it is now, and so many before
        self.shown = shown

    def step(self, action: int) -> NDArray[np.uint8]:
        """The frame after an action, [h, w, 3]."""
        world = copy.copy(self._moments[-1][0])  # a world is its scene, which stays, and where the agent is
        seen = world.step(action)
        self._moments.append((world, seen.pose))
        self.shown += 1
        return seen.frame

    def rewind(self, shown: int) -> None:
        """Go back to where so many frames were shown."""
        for _ in range(self.shown - shown):
            self._moments.pop()
        self.shown = shown

    @property
    def pose(self) -> NDArray[np.float32]:
        """Where the agent is: x, y (up), z, yaw, pitch."""
        return self._moments[-1][1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Beginning:
    """What a walk is given: frames, uint8 [frame, h, w, 3], their actions and poses, and the world where it is known.

    frames_per_action: an action that the model has learned lasts for a multiple of them.
    """

    frames: NDArray[np.uint8]
    actions: NDArray[np.int64]
    poses: NDArray[np.float32] | None = None
    world: VoxelWorld | None = None
    frames_per_action: int = 1

    def truth(self, keep: int) -> Truth | None:
        """The world beside the walk, at the end of the context; None where it is not known."""
        if self.world is None or self.poses is None:
            return None
        return Truth(copy.copy(self.world), self.poses[-1], len(self.frames), keep)


def in_a_world(info: VideoModelInfo, number: int) -> Beginning:
    """In held-out world `number` of those that a model was trained on.

    Raises ValueError where the model does not say what they are, or that world cannot be shown here.
    """
    try:
        recorded = RecordConfig.from_source(info.trained_on)
    except ValueError as error:
        raise ValueError(f"the model's world is unknown ({error}); give start=VIDEO actions=...") from error
    world = world_class(recorded.world.world)(recorded.world)
    if not isinstance(world, VoxelWorld):
        raise ValueError(
            f"the model's world is {recorded.world.world}, which is not walked here; give start=VIDEO actions=..."
        )
    rng = np.random.default_rng([recorded.seed, number, 11])
    actions = draw_actions(rng, info.context or 1, recorded.world.frames_per_action)
    world.reset(world_seed(recorded.seed, "test", number), actions)
    seen = [world.step(int(action)) for action in actions]
    return Beginning(
        frames=np.stack([each.frame for each in seen]),
        actions=actions,
        poses=np.stack([each.pose for each in seen]),
        world=world,
        frames_per_action=recorded.world.frames_per_action,
    )


def in_a_video(path: Path, actions: str, info: VideoModelInfo, size: tuple[int, int], context: int) -> Beginning:
    """At the end of a video of one's own.

    actions: of its frames from the first to the last, by name: "forward*20,left*9". size: of frames, (height, width).
    context: how many frames the model is given, at least. Raises ValueError for a video of another size, and for actions that
    are none of the model's, or not as many as frames.
    """
    frames = read_video(path)
    if frames.shape[1:3] != size:
        raise ValueError(
            f"{path} has frames of {frames.shape[1:3]}, the model of {size}; millivid data import makes clips of that size"
        )
    known = dict(zip(info.action_names, range(len(info.action_names)), strict=True))
    found: list[int] = []
    for word in actions.split(","):
        name, _, count = word.strip().partition("*")
        if name not in known or not (count or "1").isdecimal():
            raise ValueError(f"actions holds {word.strip()!r}; write {'*20,'.join(known)}*9 or the like")
        found += [known[name]] * int(count or 1)
    if len(found) != len(frames):
        raise ValueError(f"{path} has {len(frames)} frames, and actions= says {len(found)}; give one for each frame")
    if len(frames) < context:
        raise ValueError(f"{path} has {len(frames)} frames; the model is given {context}, use a longer video")
    return Beginning(frames=frames[-context:], actions=np.array(found[-context:], np.int64))
