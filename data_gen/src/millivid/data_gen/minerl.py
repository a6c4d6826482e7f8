"""Minecraft as a world, through MineRL 0.4.4."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

from .agent import FORWARD, LEFT, RIGHT
from .games import average_boxes
from .world import Observation, World, WorldConfig, within

NOON = 6000
"""Time of day at which the world stands still, in the game's ticks."""

PLACE = ("xpos", "ypos", "zpos")


@dataclass(frozen=True, kw_only=True)
class MinerlConfig(WorldConfig):
    """Settings of Minecraft through MineRL, besides those of every world. The defaults are those of LOOPCRAFT.

    supersampling: the game draws this many times larger, and the frame is the mean. settle: frames without an action at the
    start, while the game loads what is around and the agent lands.
    """

    world: ClassVar[str] = "minerl"
    version: ClassVar[int] = 2

    size: tuple[int, int] = (256, 256)
    frames_per_action: int = within(1, 90, default=9)
    jump: bool = True
    supersampling: int = within(1, 4, default=2)
    settle: int = within(0, 1000, default=20)


class MinerlWorld(World):
    """Minecraft by day, without creatures; see `MinerlConfig`.

    Not run against the game here: tested against a stand-in with MineRL's documented keys and shapes.

    Poses are what the game says: y is the height of the agent's feet, 1.62 blocks below the camera, as in the released
    LOOPCRAFT data. The agent may be stopped by things, fall, or drown. Raises ImportError where MineRL is not installed.
    """

    Config: ClassVar[type[WorldConfig]] = MinerlConfig
    config: MinerlConfig

    def __init__(self, config: MinerlConfig | None = None) -> None:
        import_minerl()
        super().__init__(config)
        self._environment: Any = None

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of the Minecraft world of a seed; the first call starts the game, which takes minutes.

        actions: without effect. Raises ValueError for a seed that is no integer from 0 to 2^63 - 1.
        """
        check_number(seed, "seed", 0, 2**63 - 1, whole=True)
        super().close()
        if self._environment is None:
            height, width = (side * self.config.supersampling for side in self.config.size)
            self._environment = make_environment(height, width)
        self._environment.seed(int(seed))
        self._observed = self._environment.reset()
        self._start(yaw=0.0)
        for _ in range(self.config.settle):
            self._press(forward=False, jump=False, turn=0.0)
        return self._observe()

    def close(self) -> None:
        """End the game; `reset` starts another one."""
        super().close()
        environment, self._environment = self._environment, None
        if environment is not None:
            environment.close()

    def _act(self, action: int) -> None:
        turn = {FORWARD: 0.0, LEFT: -90.0, RIGHT: 90.0}[action] / self.config.frames_per_action
        self._press(forward=action == FORWARD, jump=self.config.jump, turn=turn)

    def _press(self, forward: bool, jump: bool, turn: float) -> None:
        """One frame with these keys and a turn to the right by ``turn`` degrees."""
        camera = np.array([0.0, turn], np.float32)
        pressed = {"forward": int(forward), "jump": int(jump), "camera": camera}
        self._observed, _, done, info = self._environment.step(pressed)
        if "error" in info:  # MineRL goes on with random observations
            super().close()
            raise ChildProcessError(
                f"MineRL lost the game: {info['error']} Call close() and reset(seed) to start it again."
            )
        if done:
            super().close()
            raise ChildProcessError(
                "the game ended, probably with the agent's death; reset the world with another seed"
            )

    def _observe(self) -> Observation:
        stats = self._observed["location_stats"]
        place = [float(stats[key]) for key in PLACE]
        if not any(place):  # MineRL's default for what is missing
            raise ChildProcessError("MineRL did not say where the agent is; is it version 0.4.4?")
        pose = np.array([*place, float(stats["yaw"]) % 360.0, float(stats["pitch"])], np.float32)
        pose[3] %= 360  # just below 360 may be 360 in float32
        return Observation(frame=average_boxes(self._observed["pov"], self.config.supersampling), pose=pose)


def import_minerl() -> Any:
    """The package minerl, with what this world needs of it; raises ImportError where it is not installed.

    It is older than numpy 1.24 and uses names that are gone since then; they are given back to numpy first.
    """
    for name, builtin in (("int", int), ("float", float), ("bool", bool), ("object", object)):
        if name not in vars(np):
            setattr(np, name, builtin)
    try:
        import minerl
        import minerl.herobraine.env_specs.simple_embodiment
        import minerl.herobraine.hero.handlers
        import minerl.herobraine.hero.mc
    except ImportError as error:
        raise ImportError(
            'the world minerl needs MineRL: pip install "minerl==0.4.4" "numpy<2" with a Java 8 JDK, in an environment '
            "of its own"
        ) from error
    return minerl


def make_environment(height: int, width: int) -> Any:
    """A MineRL environment that shows frames of this size and where the agent is.

    It observes ``pov``, uint8 [height, width, 3], and ``location_stats``, and takes ``forward``, ``jump`` (0 or 1) and
    ``camera`` (pitch and yaw to add, in degrees).
    """
    minerl = import_minerl()
    handlers = minerl.herobraine.hero.handlers
    keys = minerl.herobraine.hero.mc.INVERSE_KEYMAP
    base: Any = minerl.herobraine.env_specs.simple_embodiment.SimpleEmbodimentEnvSpec

    class Wander(base):  # type: ignore[misc]
        def create_observables(self) -> list[Any]:
            return [*super().create_observables(), handlers.ObservationFromCurrentLocation()]

        def create_actionables(self) -> list[Any]:
            held = [handlers.KeybasedCommandAction(name, keys[name]) for name in ("forward", "jump")]
            return [*held, handlers.CameraAction()]

        def create_nothing(self) -> list[Any]:
            return []

        create_rewardables = create_agent_start = create_agent_handlers = create_monitors = create_nothing
        create_server_decorators = create_server_quit_producers = create_nothing

        def create_server_initial_conditions(self) -> list[Any]:
            return [
                handlers.TimeInitialCondition(allow_passage_of_time=False, start_time=NOON),
                handlers.WeatherInitialCondition("clear"),
                handlers.SpawningInitialCondition(False),
            ]

        def create_server_world_generators(self) -> list[Any]:
            return [handlers.DefaultWorldGenerator(force_reset=True)]

        def is_from_folder(self, folder: str) -> bool:
            return False

        def determine_success_from_rewards(self, rewards: list[float]) -> bool:
            return False

        def get_docstring(self) -> str:
            return "Walk in an ordinary Minecraft world."

    return Wander("MillividWander-v0", resolution=(width, height)).make()
