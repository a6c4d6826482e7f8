"""The world minetest: the game Minetest, recorded frame by frame."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

from ..world import Observation, World, WorldConfig
from .config import MinetestConfig
from .game import Game
from .maps import LOW, saved_map
from .programs import find_program
from .walker import Ground, Walker


class MinetestWorld(World):
    """Landscapes of the game Minetest, drawn by the game itself on a screen in memory; see `MinetestConfig`.

    A frame is a function of the seed and the pose. Each seed has a map, generated at its first use and kept. The agent
    walks on the ground, up one block and down three at a time; trees, walls, water and cliffs stop it, and it slides
    along them if it can.

    Not made to be shared between threads.
    """

    Config: ClassVar[type[WorldConfig]] = MinetestConfig
    config: MinetestConfig

    def __init__(self, config: MinetestConfig | None = None) -> None:
        super().__init__(config)
        self._game: Game | None = None
        self._seed: int | None = None

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``, on open land; the start's direction depends on the seed.

        The first reset of a seed generates its map; a seed other than the last one starts the game anew. actions: not used:
        what is in the agent's way stays there. Raises ValueError for a seed that is no integer from 0 to 2^64 - 1, or whose
        map has no dry ground; ImportError where minetest or Xvfb is not installed; ChildProcessError, with the end of the
        game's log, where it failed.
        """
        check_number(seed, "seed", 0, 2**64 - 1, whole=True)
        find_program("Xvfb")
        saved = saved_map(self.config, int(seed))
        if self._game is None or self._seed != seed:
            self.close()
            self._game, self._seed = Game(self.config, saved), int(seed)
        self._middle = saved.middle
        self._walker = Walker(Ground(saved.solids, LOW), self.config.jump)
        self._start(yaw=float(np.random.default_rng([int(seed), 1]).integers(360)))
        return self._observe()

    def close(self) -> None:
        """End the game and its screen."""
        super().close()
        if self._game is not None:
            self._game.close()
        self._game = None

    def _walk(self, dx: float, dz: float) -> None:
        self._walker.frame(dx * self.config.step, dz * self.config.step)

    def _observe(self) -> Observation:
        assert self._game is not None
        walker, yaw = self._walker, self._yaw
        # The game's x grows to the right where its z grows ahead, and its yaw grows to the left: both are mirrored.
        position = (self._middle[0] - walker.x, walker.eye, self._middle[1] + walker.z)
        try:
            frame = self._game.show(position, math.radians(-yaw % 360.0))
        except ChildProcessError:
            self.close()
            raise
        pose = np.array([walker.x, walker.eye, walker.z, yaw, 0.0], np.float32)
        return Observation(frame=frame, pose=pose)
