"""What a world is: something that an agent acts in and that shows a frame after every action; and worlds by name."""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from millivid.command import build
from millivid.files.values import check_fields, check_number

from .agent import ACTION_NAMES, FORWARD, RIGHT

ENTRY_POINTS = "millivid.worlds"
"""The group in which worlds are found, so that other packages can add their own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What the camera sees, and where it is.

    frame: uint8 RGB, [height, width, 3]. pose: float32 [5]: x, y (up), z in blocks; yaw and pitch in degrees. Yaw 0 looks
    along +z and grows to the right (90 looks along -x), in [0, 360); pitch is positive downward.
    """

    frame: NDArray[np.uint8]
    pose: NDArray[np.float32]


NOT_RECORDED = {"recorded": False}
"""Metadata of settings that change nothing of what is seen, such as a folder: a recording does not say them."""

Number = TypeVar("Number", int, float)


def within(low: Number, high: Number, default: Number) -> Number:
    """A setting of a config that must lie in ``low`` to ``high``; see `check_ranges`.

    A subclass that gives it another default gives the range again.
    """
    setting: Number = field(default=default, metadata={"range": (low, high)})
    return setting


def check_ranges(config: Any) -> None:
    """Raise ValueError for the first setting made by `within` that lies outside of its range."""
    for setting in fields(config):
        if bounds := setting.metadata.get("range"):
            check_number(getattr(config, setting.name), setting.name, *bounds, whole=setting.type is int)


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """The settings that every world has; a world adds its own by subclassing.

    size: (height, width) of a frame in pixels. frames_per_action: frames that the agent holds an action; a turning frame
    turns by 90 / frames_per_action degrees. jump: the agent holds the jump key in all its actions, as in the released
    LOOPCRAFT data. Raises ValueError where a value is out of range, one of a subclass too.
    """

    world: ClassVar[str]
    """The world's name in the registry."""
    version: ClassVar[int] = 1
    """Goes up whenever equal settings and an equal seed give another world than before."""

    size: tuple[int, int] = (64, 64)
    frames_per_action: int = within(1, 90, default=3)
    jump: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))  # JSON has lists
        whole = all(isinstance(side, int) and not isinstance(side, bool) for side in self.size)
        if len(self.size) != 2 or not whole or not 8 <= min(self.size) <= max(self.size) <= 4096:
            raise ValueError(f"size must be (height, width) of 8 to 4096 pixels each; got {self.size}")
        check_ranges(self)
        check_fields(self)


TAKE_OFF, GRAVITY, DRAG = 0.42, 0.08, 0.98
"""Blocks per tick, blocks per tick squared, and the share of the speed that is left after a tick; 20 ticks a second."""


def hop_heights() -> tuple[float, ...]:
    """Height over the ground, in blocks, at each tick of a hop in Minecraft: 12 of them, up to 1.25, the first 0."""
    heights, speed = [0.0], TAKE_OFF
    while (height := heights[-1] + speed) > 0:
        heights.append(height)
        speed = (speed - GRAVITY) * DRAG
    return tuple(heights)


HOP = hop_heights()


def direction(yaw: float) -> tuple[float, float]:
    """The step (x, z) of length 1 in direction ``yaw``, in degrees: 0 is +z, 90 is -x. Exact at right angles."""
    if yaw % 90 == 0:
        return ((0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0))[int(yaw // 90) % 4]
    return -math.sin(math.radians(yaw)), math.cos(math.radians(yaw))


def slide(dx: float, dz: float, move: Callable[[float, float], bool]) -> None:
    """Go by (dx, dz), or as much of it as a wall along x or z allows. ``move`` does it and says whether it could."""
    for part_x, part_z in ((dx, dz), (dx, 0.0), (0.0, dz)):
        if (part_x or part_z) and move(part_x, part_z):
            return


class World(ABC):
    """A world that can be recorded: what is the same in all of them, for an agent that walks and turns.

    It is made from its config alone, which costs little: what is expensive (a game's process, say) starts with the first
    `reset`. One that needs a library or a program says what to install in an ImportError. If it has a method
    ``plan_actions(rng, num_frames)``, that draws the agent's actions after a `reset`, instead of the LOOPCRAFT agent.

    A subclass has `reset`, which calls `_start`, and `_observe`. Where our own code moves the agent, and a renderer or a
    game is the camera, it also has `_move`, whether and where a step leads; else `_act`.

    config: its settings. action_names: what action 0, 1, ... are. The LOOPCRAFT agent does forward, left and right, in order.
    """

    Config: ClassVar[type[WorldConfig]] = WorldConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: Any = None) -> None:
        self.config = config or self.Config()
        self._start_yaw: float | None = None
        self._turns = 0  # counted and not added up, so that a full circle ends exactly where it began
        self._frames = 0  # since the start: when in a hop the agent is

    @abstractmethod
    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``, at least 0; another seed is another world. Equal arguments give an
        equal world.

        actions: [frame], what the agent is going to do, where that is known. A world may use it to keep the agent's way
        free of obstacles, or ignore it.
        """

    def step(self, action: int) -> Observation:
        """Move forward or turn for one frame; the frame and the pose are those *after* it.

        Where something is in the way, the agent slides along it if it can, else stays. Raises ValueError where the action
        is not in 0..2, RuntimeError where the world was not reset before, and ChildProcessError where the game failed.
        """
        check_number(action, "action", 0, 2, whole=True, hint=": 0 forward, 1 left, 2 right")
        self.check_started()
        self._act(int(action))
        return self._observe()

    def close(self) -> None:
        """Give back what the world holds (a game's process, say); it may be called twice, and `reset` starts anew."""
        self._start_yaw = None

    def _start(self, yaw: float) -> None:
        self._start_yaw, self._turns, self._frames = yaw, 0, 0

    def check_started(self) -> None:
        """Raise RuntimeError unless `reset` was called, and nothing ended the world since."""
        if self._start_yaw is None:
            raise RuntimeError("call reset(seed) before anything else")

    @property
    def _yaw(self) -> float:
        assert self._start_yaw is not None
        return (self._start_yaw + self._turns * (90.0 / self.config.frames_per_action)) % 360.0

    @property
    def _hop(self) -> float:
        return HOP[self._frames % len(HOP)] if self.config.jump else 0.0

    def _act(self, action: int) -> None:
        """One frame's turn or walk."""
        yaw = self._yaw
        if action != FORWARD:
            self._turns = (self._turns + (1 if action == RIGHT else -1)) % (4 * self.config.frames_per_action)
        self._frames += 1
        self._walk(*(direction(yaw) if action == FORWARD else (0.0, 0.0)))

    def _walk(self, dx: float, dz: float) -> None:
        """One frame's walk, in steps; (0, 0) while the agent turns."""
        slide(dx, dz, self._move)

    def _move(self, dx: float, dz: float) -> bool:
        """Go by so many steps along x and z, unless something is in the way; says whether it could."""
        raise NotImplementedError

    def _observe(self) -> Observation:
        raise NotImplementedError


def level_camera(pose: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """x, y, z and yaw of a pose [5]; raises ValueError where the pitch is not 0."""
    x, y, z, yaw, pitch = (float(value) for value in np.asarray(pose, np.float32))
    if pitch != 0:
        raise ValueError(f"the camera of this world looks straight ahead: pitch must be 0; got {pitch}")
    return x, y, z, yaw


def world_names() -> list[str]:
    """Names of all worlds that are installed."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def world_class(name: str) -> type[World]:
    """The class of a world, by its name.

    Raises ValueError where no world has this name, and names the closest one, or where its config has another name.
    """
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        found: type[World] = entry.load()
        if (called := getattr(found.Config, "world", None)) != name:
            raise ValueError(
                f"world {name!r} ({entry.value}): its config calls it {called!r}; give it world = {name!r}"
            )
        return found
    names = world_names()
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "is its package installed?"
    raise ValueError(f"there is no world {name!r}; {hint} Known: {', '.join(names) or 'none'}")


def make_world(name: str, **settings: Any) -> World:
    """Make a world by its name, one of `world_names`.

    settings: the world's own; for ``voxel`` those of `VoxelConfig`. Raises ValueError where no world has this name, or it
    has no such setting, or a value is out of range; the message names the closest one.
    """
    found = world_class(name)
    return found(build(found.Config, settings))
