"""Turning, walking, sliding along walls and hopping: what is the same in all worlds in which our own code moves the agent."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .agent import ACTION_NAMES, FORWARD, RIGHT, check_action
from .world import Observation, WorldConfig

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


class WalkingWorld:
    """Base of the worlds that LOOPCRAFT's agent walks in.

    A subclass calls `_start` in its ``reset`` and has `_observe`. Where our own code moves the agent, and a renderer or a game
    is the camera, it also has `_move`, whether and where a step leads.
    """

    Config: ClassVar[type[WorldConfig]] = WorldConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: Any = None) -> None:
        self.config = config or self.Config()
        self._start_yaw: float | None = None
        self._turns = 0  # counted and not added up, so that a full circle ends exactly where it began
        self._frames = 0  # since the start: when in a hop the agent is

    def step(self, action: int) -> Observation:
        """Move forward or turn for one frame. Where something is in the way, the agent slides along it if it can, else
        stays.

        Raises:
            ValueError: the action is not in 0..2.
            RuntimeError: the world was not reset before.
            ChildProcessError: the game failed.
        """
        check_action(action)
        self.check_started()
        self._act(int(action))
        return self._observe()

    def close(self) -> None:
        """Give back what the world holds; `reset` starts anew."""
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
    """x, y, z and yaw of a pose [5].

    Raises:
        ValueError: the pitch is not 0.
    """
    x, y, z, yaw, pitch = (float(value) for value in np.asarray(pose, np.float32))
    if pitch != 0:
        raise ValueError(f"the camera of this world looks straight ahead: pitch must be 0; got {pitch}")
    return x, y, z, yaw
