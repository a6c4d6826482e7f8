"""The world minetest: the game Minetest, recorded frame by frame."""

import math
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..agent import ACTION_NAMES, FORWARD, LEFT, RIGHT, wrong_action
from ..world import Observation, WorldConfig
from .config import MinetestConfig
from .display import Display
from .game import Game, window_size
from .maps import LOW, SavedMap, saved_map
from .process import find_program
from .walker import Ground, Walker


class MinetestWorld:
    """Landscapes of the game Minetest, drawn by the game itself on a screen in memory; see `MinetestConfig`.

    A frame is a function of the seed and the pose. Each seed has a map, generated at its first use and kept. The agent
    walks on the ground, up one block and down three at a time; trees, walls, water and cliffs stop it, and it slides
    along them if it can.

    Not made to be shared between threads.
    """

    Config: ClassVar[type[WorldConfig]] = MinetestConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: MinetestConfig | None = None) -> None:
        self.config = config or MinetestConfig()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._display: Display | None = None
        self._game: Game | None = None
        self._seed: int | None = None
        self._middle = (0, 0)
        self._walker: Walker | None = None
        self._start_yaw, self._turns = 0.0, 0  # turns are counted, so that a full circle ends exactly where it began

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``, on open land; the start's direction depends on the seed.

        The first reset of a seed generates its map; a seed other than the last one starts the game anew.

        Args:
            seed: 0 to 2^64 - 1.
            actions: not used: what is in the agent's way stays there.

        Raises:
            ValueError: ``seed`` is no such integer, or its map has no dry ground.
            ImportError: minetest or Xvfb is not installed.
            ChildProcessError: the game failed; the message has the end of its log.
        """
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(f"seed must be an integer of 0 to 2^64 - 1; got {seed!r}")
        find_program("Xvfb")
        saved = saved_map(self.config, int(seed))
        if self._game is None or self._seed != seed:
            self._start_game(saved)
            self._seed = int(seed)
        self._middle = saved.middle
        self._walker = Walker(Ground(saved.solids, LOW), self.config.jump)
        self._start_yaw, self._turns = float(np.random.default_rng([int(seed), 1]).integers(360)), 0
        return self._observe()

    def step(self, action: int) -> Observation:
        """Move forward or turn for one frame.

        Raises:
            ValueError: the action is not in 0..2.
            RuntimeError: the world was not reset before.
            ChildProcessError: the game failed; the message has the end of its log.
        """
        if self._walker is None:
            raise RuntimeError("call reset(seed) before anything else")
        if action == FORWARD:
            heading = math.radians(self._yaw())
            self._walker.frame(-math.sin(heading) * self.config.step, math.cos(heading) * self.config.step)
        elif action in (LEFT, RIGHT):
            self._turns = (self._turns + (1 if action == RIGHT else -1)) % (4 * self.config.frames_per_action)
            self._walker.frame()
        else:
            raise wrong_action(action)
        return self._observe()

    def close(self) -> None:
        """End the game and its screen."""
        if self._game is not None:
            self._game.close()
        if self._display is not None:
            self._display.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._game, self._display, self._folder, self._walker = None, None, None, None

    def _start_game(self, saved: SavedMap) -> None:
        if self._game is not None:
            self._game.close()
            self._game = None
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="millivid-minetest-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        if self._display is None:
            self._display = Display(*window_size(self.config), folder)
        self._game = Game(self.config, saved, self._display, Path(tempfile.mkdtemp(dir=folder)))

    def _yaw(self) -> float:
        return (self._start_yaw + self._turns * 90.0 / self.config.frames_per_action) % 360.0

    def _observe(self) -> Observation:
        assert self._walker is not None and self._game is not None
        walker, yaw = self._walker, self._yaw()
        # The game's x grows to the right where its z grows ahead, and its yaw grows to the left: both are mirrored.
        position = (self._middle[0] - walker.x, walker.eye, self._middle[1] + walker.z)
        try:
            frame = self._game.show(position, math.radians(-yaw % 360.0))
        except ChildProcessError:
            self.close()
            raise
        pose = np.array([walker.x, walker.eye, walker.z, yaw, 0.0], np.float32)
        return Observation(frame=frame, pose=pose)
