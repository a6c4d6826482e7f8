"""The maze world: our own maze and movement, ViZDoom's engine as the camera."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

from ..agent import hold
from ..world import Observation, World, level_camera
from .config import VizdoomConfig
from .engine import Engine, import_vizdoom
from .maze import Maze, generate_maze
from .planner import plan_decisions
from .wad import maze_wad

LONGEST_MOVE = 0.2
"""Longer moves are checked for walls at places in between, this far apart in blocks at most."""


class VizdoomWorld(World):
    """A maze with textures, pictures and things to remember places by; see `VizdoomConfig`.

    A frame is a pure function of the config, the seed and the pose: the agent is moved here, and the engine draws what it
    sees. Blocks are 64 map units. maze: the current one, once the world was reset. Raises ImportError where ViZDoom is not
    installed.
    """

    Config: ClassVar[type[VizdoomConfig]] = VizdoomConfig
    config: VizdoomConfig
    maze: Maze

    def __init__(self, config: VizdoomConfig | None = None) -> None:
        import_vizdoom()
        super().__init__(config)
        self._engine: Engine | None = None
        self._seed = -1  # of the maze that the engine is in

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of maze number ``seed``: the centre of a cell, looking along an open way.

        actions: without effect: a maze has walls in the way of any other walk than one of `plan_actions`. Raises ValueError
        for a seed that is negative or no integer.
        """
        check_number(seed, "seed", 0, whole=True)
        if self._engine is None:
            self._engine = Engine(self.config)
        if seed != self._seed:
            self.maze = generate_maze(int(seed), self.config)
            self._engine.load(maze_wad(self.maze))
            self._seed = int(seed)
        self._moved_x, self._moved_z = 0.0, 0.0  # in steps from the start, so that the way back ends exactly there
        self._start(yaw=90.0 * self.maze.heading)
        return self._observe()

    def plan_actions(self, rng: np.random.Generator, num_frames: int) -> NDArray[np.int64]:
        """The actions, int64 [num_frames], of a walk from the current maze's start in which no forward frame is stopped.

        It goes to places it has not seen and comes back to others, and looks around now and then; each decision is held for
        ``frames_per_action`` frames, as by the LOOPCRAFT agent, and the last one may be cut short. Raises ValueError where
        ``num_frames`` is not positive, and RuntimeError where the world was not reset before.
        """
        check_number(num_frames, "num_frames", 1, whole=True)
        self.check_started()
        frames_per_action = self.config.frames_per_action
        decisions = plan_decisions(rng, self.maze, self.config.moves_per_cell, -(-num_frames // frames_per_action))
        return hold(decisions, num_frames, frames_per_action)

    def render(self, pose: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], seen from a pose [5] (x, y, z, yaw, 0) in the current maze.

        Raises ValueError where the pitch is not 0, because the engine shears the picture instead of tilting the camera, and
        RuntimeError where the world was not reset before.
        """
        self.check_started()
        assert self._engine is not None
        return self._engine.look(*level_camera(pose))

    def close(self) -> None:
        """End the engine's process; `reset` starts another one."""
        super().close()
        if self._engine is not None:
            self._engine.close()
        self._engine, self._seed = None, -1

    def _place(self, moved_x: float, moved_z: float) -> tuple[float, float]:
        x, z = self.maze.centre(self.maze.start)
        return x + moved_x * self.config.step, z + moved_z * self.config.step

    def _move(self, dx: float, dz: float) -> bool:
        parts = math.ceil(self.config.step / LONGEST_MOVE)
        shares = [part / parts for part in range(1, parts + 1)]
        places = (self._place(self._moved_x + dx * share, self._moved_z + dz * share) for share in shares)
        if not all(self.maze.is_free(x, z) for x, z in places):
            return False
        self._moved_x, self._moved_z = self._moved_x + dx, self._moved_z + dz
        return True

    def _observe(self) -> Observation:
        x, z = self._place(self._moved_x, self._moved_z)
        pose = np.array([x, self.config.eye_height + self._hop, z, self._yaw, 0.0], np.float32)
        return Observation(frame=self.render(pose), pose=pose)
