"""Minecraft as a world, through MineRL 0.4.4.

Not run against the game here: tested against a stand-in with MineRL's documented keys and shapes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..agent import ACTION_NAMES, FORWARD, LEFT, RIGHT, check_action
from ..boxes import average_boxes
from ..world import Observation, check_seed
from .config import MinerlConfig
from .task import import_minerl, make_environment

PLACE = ("xpos", "ypos", "zpos")


class MinerlWorld:
    """Minecraft by day, without creatures; see `MinerlConfig`.

    Not run against the game here: tested against a stand-in with MineRL's documented keys and shapes.

    Poses are what the game says: y is the height of the agent's feet, 1.62 blocks below the camera, as in the released
    LOOPCRAFT data. The agent may be stopped by things, fall, or drown.

    Raises:
        ImportError: MineRL is not installed.
    """

    Config: ClassVar[type[MinerlConfig]] = MinerlConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: MinerlConfig | None = None) -> None:
        import_minerl()
        self.config = config or MinerlConfig()
        self._environment: Any = None
        self._started = False

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of the Minecraft world of a seed; the first call starts the game, which takes minutes.

        Args:
            seed: 0 to 2^63 - 1.
            actions: without effect.

        Raises:
            ValueError: ``seed`` is out of range or no integer.
        """
        check_seed(seed, bits=63)
        if self._environment is None:
            self._environment = make_environment(self.config.render_size)
        self._started = False
        self._environment.seed(int(seed))
        observed = self._environment.reset()
        self._started = True
        for _ in range(self.config.settle):
            observed = self._act(forward=False, jump=False, turn=0.0)
        return self._observe(observed)

    def step(self, action: int) -> Observation:
        """Press the action's keys for one frame.

        Raises:
            ValueError: the action is not in 0..2.
            RuntimeError: the world was not reset before.
            ChildProcessError: the game ended, as it does when the agent dies.
        """
        if not self._started:
            raise RuntimeError("call reset(seed) before anything else")
        check_action(action)
        turn = {FORWARD: 0.0, LEFT: -90.0, RIGHT: 90.0}[int(action)] / self.config.frames_per_action
        return self._observe(self._act(forward=action == FORWARD, jump=self.config.jump, turn=turn))

    def close(self) -> None:
        """End the game; `reset` starts another one."""
        environment, self._environment, self._started = self._environment, None, False
        if environment is not None:
            environment.close()

    def _act(self, forward: bool, jump: bool, turn: float) -> Mapping[str, Any]:
        """What is observed after a frame with these keys and a turn to the right by ``turn`` degrees."""
        camera = np.array([0.0, turn], np.float32)
        observed, _, done, info = self._environment.step({"forward": int(forward), "jump": int(jump), "camera": camera})
        if "error" in info:  # MineRL goes on with random observations
            self._started = False
            raise ChildProcessError(
                f"MineRL lost the game: {info['error']} Call close() and reset(seed) to start it again."
            )
        if done:
            self._started = False
            raise ChildProcessError(
                "the game ended, probably with the agent's death; reset the world with another seed"
            )
        return observed

    def _observe(self, observed: Mapping[str, Any]) -> Observation:
        stats = observed["location_stats"]
        place = [float(stats[key]) for key in PLACE]
        if not any(place):  # MineRL's default for what is missing
            raise ChildProcessError("MineRL did not say where the agent is; is it version 0.4.4?")
        pose = np.array([*place, float(stats["yaw"]) % 360.0, float(stats["pitch"])], np.float32)
        pose[3] %= 360  # just below 360 may be 360 in float32
        return Observation(frame=average_boxes(observed["pov"], self.config.factor), pose=pose)
