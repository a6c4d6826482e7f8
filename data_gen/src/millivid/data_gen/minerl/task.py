"""The task that MineRL sets up: an ordinary Minecraft world by day, without creatures, goals or an end."""

from typing import Any

import numpy as np

NOON = 6000
"""Time of day at which the world stands still, in the game's ticks."""


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
