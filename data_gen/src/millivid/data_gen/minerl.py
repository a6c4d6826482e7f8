"""Minecraft as a world, through MineRL 0.4.4.

Not run against the game here: tested against a stand-in with MineRL's documented keys and shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .agent import ACTION_NAMES, FORWARD, LEFT, RIGHT, check_action
from .boxes import average_boxes
from .world import Observation, WorldConfig, check_seed, within

NOON = 6000
"""Time of day at which the world stands still, in the game's ticks."""

PLACE = ("xpos", "ypos", "zpos")


@dataclass(frozen=True, kw_only=True)
class MinerlConfig(WorldConfig):
    """Settings of Minecraft through MineRL, besides those of every world. The defaults are those of LOOPCRAFT.

    Attributes:
        render_size: (height, width) that the game renders; frames are means over boxes of it.
        settle: frames without an action at the start, while the game loads what is around and the agent lands.

    Raises:
        ValueError: a value is out of range, or ``render_size`` is no multiple of ``size``.
    """

    world: ClassVar[str] = "minerl"

    size: tuple[int, int] = (256, 256)
    frames_per_action: int = within(1, 90, default=9)
    jump: bool = True
    render_size: tuple[int, int] = (512, 512)
    settle: int = within(0, 1000, default=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "render_size", tuple(int(side) for side in self.render_size))  # JSON has lists
        factor = max(1, round(self.render_size[0] / self.size[0]))
        fitting = (self.size[0] * factor, self.size[1] * factor)
        if self.render_size != fitting:
            raise ValueError(
                f"render_size {self.render_size} is no multiple of size {self.size}, by the same factor along both "
                f"sides; {fitting} is"
            )


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
        factor = self.config.render_size[0] // self.config.size[0]
        return Observation(frame=average_boxes(observed["pov"], factor), pose=pose)


def import_minerl() -> Any:
    """The package minerl, with what this world needs of it.

    It is older than numpy 1.24 and uses names that are gone since then; they are given back to numpy first.

    Raises:
        ImportError: it is not installed.
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


def make_environment(render_size: tuple[int, int]) -> Any:
    """A MineRL environment that shows frames of ``render_size`` (height, width) and where the agent is.

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

    height, width = render_size
    return Wander("MillividWander-v0", resolution=(width, height)).make()
