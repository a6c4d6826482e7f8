"""The maze world: our own maze and movement, ViZDoom's engine as the camera."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..agent import ACTION_NAMES, FORWARD, LEFT, RIGHT, wrong_action
from ..hop import hop_heights
from ..world import Observation
from .config import VizdoomConfig
from .engine import Engine, import_vizdoom
from .maze import Maze, generate_maze
from .planner import plan_decisions
from .screen import choose_screen
from .wad import maze_wad

HOP = hop_heights()

LONGEST_MOVE = 0.2
"""Longer moves are checked for walls at places in between, this far apart in blocks at most."""


class VizdoomWorld:
    """A maze with textures, pictures and things to remember places by; see `VizdoomConfig`.

    A frame is a pure function of the config, the seed and the pose: the agent is moved here, and the engine draws
    what it sees. Blocks are 64 map units.

    Raises:
        ImportError: ViZDoom is not installed.
    """

    Config: ClassVar[type[VizdoomConfig]] = VizdoomConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: VizdoomConfig | None = None) -> None:
        import_vizdoom()
        self.config = config or VizdoomConfig()
        self._engine: Engine | None = None
        self._maze: Maze | None = None
        self._seed = -1  # of the maze that the engine is in
        self._turn = 90.0 / self.config.frames_per_action
        # Moves and turns are counted and not added up, so that the way back ends exactly where the way there began.
        self._moved_x, self._moved_z = 0.0, 0.0  # in steps from the start
        self._turns, self._frames = 0, 0

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of maze number ``seed``: the centre of a cell, looking along an open way.

        Args:
            seed: 0 or more.
            actions: without effect: a maze has walls in the way of any other walk than one of `plan_actions`.

        Raises:
            ValueError: ``seed`` is negative or no integer.
        """
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0; got {seed!r}")
        config = self.config
        if self._engine is None:
            self._engine = Engine(choose_screen(config.size, config.samples, config.field_of_view))
        if seed != self._seed:
            self._maze = generate_maze(
                int(seed), config.cells, config.cell_size, config.loops, config.rooms, config.landmarks
            )
            self._engine.load(maze_wad(self._maze))
            self._seed = int(seed)
        self._moved_x, self._moved_z = 0.0, 0.0
        self._turns = self.maze.heading * config.frames_per_action
        self._frames = 0
        return self._observe()

    def step(self, action: int) -> Observation:
        """Move forward or turn for one frame. Where something is in the way, the agent slides along it if it can, else
        stays.

        Raises:
            ValueError: the action is not in 0..2.
            RuntimeError: the world was not reset before.
        """
        maze = self.maze
        if action == FORWARD:
            dx, dz = -_sine(self._yaw()), _sine(self._yaw() + 90.0)
            for way_x, way_z in ((dx, dz), (dx, 0.0), (0.0, dz)):
                if self._passable(maze, way_x, way_z):
                    self._moved_x, self._moved_z = self._moved_x + way_x, self._moved_z + way_z
                    break
        elif action in (LEFT, RIGHT):
            self._turns += 1 if action == RIGHT else -1
            self._turns %= 4 * self.config.frames_per_action
        else:
            raise wrong_action(action)
        self._frames += 1
        return self._observe()

    def plan_actions(self, rng: np.random.Generator, num_frames: int) -> NDArray[np.int64]:
        """The actions of a walk from the start of the current maze in which no forward frame is stopped.

        It goes to places it has not seen and comes back to others, and looks around now and then; each decision is
        held for ``frames_per_action`` frames, as by the LOOPCRAFT agent.

        Returns:
            int64 [num_frames]; the last decision may be cut short.

        Raises:
            ValueError: ``num_frames`` is not positive.
            RuntimeError: the world was not reset before.
        """
        if num_frames < 1:
            raise ValueError(f"num_frames must be at least 1; got {num_frames}")
        hold = self.config.frames_per_action
        decisions = plan_decisions(rng, self.maze, self.config.moves_per_cell, -(-num_frames // hold))
        return np.repeat(np.asarray(decisions, np.int64), hold)[:num_frames]

    def render(self, pose: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], seen from a pose [5] (x, y, z, yaw, 0) in the current maze.

        Raises:
            ValueError: the pitch is not 0; the engine shears the picture instead of tilting the camera.
            RuntimeError: the world was not reset before.
        """
        x, y, z, yaw, pitch = (float(value) for value in np.asarray(pose, np.float32))
        if pitch != 0:
            raise ValueError(f"the camera of the world vizdoom looks straight ahead: pitch must be 0; got {pitch}")
        if self._engine is None:
            raise RuntimeError("call reset(seed) before anything else")
        return self._engine.look(x, y, z, yaw)

    def close(self) -> None:
        """End the engine's process; `reset` starts another one."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._maze, self._seed = None, None, -1

    @property
    def maze(self) -> Maze:
        """The current maze.

        Raises:
            RuntimeError: the world was not reset before.
        """
        if self._maze is None:
            raise RuntimeError("call reset(seed) before anything else")
        return self._maze

    def _place(self, moved_x: float, moved_z: float) -> tuple[float, float]:
        x, z = self.maze.centre(self.maze.start)
        return x + moved_x * self.config.step, z + moved_z * self.config.step

    def _passable(self, maze: Maze, way_x: float, way_z: float) -> bool:
        parts = math.ceil(self.config.step / LONGEST_MOVE)
        return all(
            maze.is_free(*self._place(self._moved_x + way_x * part / parts, self._moved_z + way_z * part / parts))
            for part in range(1, parts + 1)
        )

    def _yaw(self) -> float:
        return self._turns * self._turn % 360.0

    def _observe(self) -> Observation:
        x, z = self._place(self._moved_x, self._moved_z)
        y = self.config.eye_height + (HOP[self._frames % len(HOP)] if self.config.jump else 0.0)
        pose = np.array([x, y, z, self._yaw(), 0.0], np.float32)
        return Observation(frame=self.render(pose), pose=pose)


def _sine(angle: float) -> float:
    """Sine of an angle in degrees, exact at right angles."""
    return (0.0, 1.0, 0.0, -1.0)[int(angle // 90) % 4] if angle % 90 == 0 else math.sin(math.radians(angle))
