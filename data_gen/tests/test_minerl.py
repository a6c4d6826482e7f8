"""The MineRL adapter against a stand-in for MineRL 0.4.4: the same names, keys and shapes, and no game behind them."""

import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from millivid.data_gen import World
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.games import average_boxes
from millivid.data_gen.minerl import MinerlConfig, MinerlWorld

STEP = 0.2


class Handler:
    """Stands for any of MineRL's handlers: it remembers what it was made of."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.arguments, self.settings = arguments, settings


class StandInSpec:
    """MineRL's SimpleEmbodimentEnvSpec: it asks its subclass for everything when it is made."""

    PARTS = (
        "observables",
        "actionables",
        "rewardables",
        "agent_start",
        "agent_handlers",
        "monitors",
        "server_initial_conditions",
        "server_world_generators",
        "server_decorators",
        "server_quit_producers",
    )

    def __init__(self, name: str, *arguments: Any, resolution: tuple[int, int] = (64, 64), **settings: Any) -> None:
        self.name, self.resolution = name, resolution
        self.parts = {part: getattr(self, f"create_{part}")() for part in self.PARTS}
        for method in ("is_from_folder", "determine_success_from_rewards", "get_docstring"):
            assert callable(getattr(self, method))

    def create_observables(self) -> list[Handler]:
        return [Handler("pov", self.resolution)]

    def make(self) -> "StandInEnvironment":
        environment = StandInEnvironment(self)
        environments.append(environment)
        return environment


class StandInEnvironment:
    """An environment in gym's old manner, of a world without obstacles, whose yaw grows without end."""

    def __init__(self, spec: StandInSpec) -> None:
        self.spec, self.calls, self.actions = spec, [], []
        self.done, self.info, self.closed = False, {}, False

    def seed(self, seed: int) -> None:
        assert type(seed) is int  # as MineRL asserts
        self.calls.append(("seed", seed))

    def reset(self) -> dict[str, Any]:
        assert not self.closed
        assert self.calls and self.calls[-1][0] == "seed"  # MineRL forgets the seed with every reset
        self.calls.append(("reset", self.calls[-1][1]))
        self.x, self.z, self.yaw = 100.5, -20.5, 0.0
        self.rng = np.random.default_rng(self.calls[-1][1])
        return self.observe()

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        assert set(action) == {"forward", "jump", "camera"}
        assert all(action[key] in (0, 1) and type(action[key]) is int for key in ("forward", "jump"))
        assert action["camera"].shape == (2,) and action["camera"].dtype == np.float32
        self.actions.append(action)
        self.yaw += float(action["camera"][1])
        self.x -= action["forward"] * STEP * math.sin(math.radians(self.yaw))
        self.z += action["forward"] * STEP * math.cos(math.radians(self.yaw))
        return self.observe(), 0.0, self.done, self.info

    def observe(self) -> dict[str, Any]:
        width, height = self.spec.resolution
        self.pov = self.rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        keys = {"xpos": self.x, "ypos": 64.0, "zpos": self.z, "yaw": self.yaw, "pitch": 0.0, "biome_id": 1}
        return {"pov": self.pov[::-1][::-1], "location_stats": {key: np.array(value) for key, value in keys.items()}}

    def close(self) -> None:
        self.closed = True


environments: list[StandInEnvironment] = []


@pytest.fixture(autouse=True)
def minerl(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in in the place of minerl; numpy loses again what it is given for MineRL."""
    names = (
        "ObservationFromCurrentLocation",
        "KeybasedCommandAction",
        "CameraAction",
        "TimeInitialCondition",
        "WeatherInitialCondition",
        "SpawningInitialCondition",
        "DefaultWorldGenerator",
    )
    modules = {
        "minerl": {},
        "minerl.herobraine": {},
        "minerl.herobraine.env_specs": {},
        "minerl.herobraine.env_specs.simple_embodiment": {"SimpleEmbodimentEnvSpec": StandInSpec},
        "minerl.herobraine.hero": {},
        "minerl.herobraine.hero.handlers": {name: type(name, (Handler,), {}) for name in names},
        "minerl.herobraine.hero.mc": {"INVERSE_KEYMAP": {"forward": "17", "jump": "57", "attack": "-100"}},
    }
    for path, contents in modules.items():
        module = ModuleType(path)
        module.__dict__.update(contents, __path__=[])
        monkeypatch.setitem(sys.modules, path, module)
        parent, _, name = path.rpartition(".")
        if parent:
            setattr(sys.modules[parent], name, module)
    environments.clear()
    missing = {"int", "float", "bool", "object"} - set(vars(np))
    yield
    for name in missing & set(vars(np)):
        delattr(np, name)


def small(**settings: Any) -> MinerlWorld:
    return MinerlWorld(MinerlConfig(**{"size": (16, 24), "supersampling": 2, "settle": 0, **settings}))


def test_the_task_is_an_ordinary_world_by_day_without_creatures_or_an_end() -> None:
    small().reset(0)
    spec = environments[0].spec
    assert spec.resolution == (48, 32)  # MineRL's order: width, height
    assert [type(handler).__name__ for handler in spec.parts["observables"]] == [
        "Handler",
        "ObservationFromCurrentLocation",
    ]
    assert [handler.arguments for handler in spec.parts["actionables"]] == [("forward", "17"), ("jump", "57"), ()]
    time, weather, spawning = spec.parts["server_initial_conditions"]
    assert time.settings == {"allow_passage_of_time": False, "start_time": 6000}
    assert (weather.arguments, spawning.arguments) == (("clear",), (False,))
    assert [type(handler).__name__ for handler in spec.parts["server_world_generators"]] == ["DefaultWorldGenerator"]
    for part in ("rewardables", "agent_start", "agent_handlers", "server_decorators", "server_quit_producers"):
        assert spec.parts[part] == []


def test_making_a_world_starts_no_game_and_resets_share_one() -> None:
    world: World = small()
    assert environments == []
    world.reset(3)
    world.reset(np.int64(2**40))
    assert len(environments) == 1
    assert environments[0].calls == [("seed", 3), ("reset", 3), ("seed", 2**40), ("reset", 2**40)]


@pytest.mark.parametrize("frames_per_action", [3, 9])
@pytest.mark.parametrize("jump", [False, True])
def test_actions_press_the_right_keys(frames_per_action: int, jump: bool) -> None:
    world = small(frames_per_action=frames_per_action, jump=jump)
    world.reset(0)
    for action in (FORWARD, LEFT, RIGHT):
        world.step(action)
    turn = 90 / frames_per_action
    for sent, forward, yaw in zip(environments[0].actions, (1, 0, 0), (0, -turn, turn), strict=True):
        assert (sent["forward"], sent["jump"]) == (forward, int(jump))
        np.testing.assert_array_equal(sent["camera"], np.array([0, yaw], np.float32))


def test_poses_are_the_games_with_yaw_within_a_circle() -> None:
    world = small(frames_per_action=9)
    start = world.reset(0).pose
    np.testing.assert_allclose(start, [100.5, 64, -20.5, 0, 0])
    left = [world.step(LEFT).pose for _ in range(9)][-1]
    assert left[3] == pytest.approx(270)
    right = [world.step(RIGHT).pose for _ in range(9 + 36 + 9)][-1]
    assert right[3] == pytest.approx(90)  # the game says 450
    forward = world.step(FORWARD).pose
    np.testing.assert_allclose(forward - right, [-STEP, 0, 0, 0, 0], atol=1e-4)  # yaw 90 looks along -x
    assert forward.dtype == np.float32


def test_yaw_is_below_360_in_single_precision_too() -> None:
    world = small()
    world.reset(0)
    environments[0].yaw = -1e-9
    assert world.step(FORWARD).pose[3] < 360


def test_frames_are_means_over_boxes_of_what_is_rendered() -> None:
    world = small()
    for look in (lambda: world.reset(0), lambda: world.step(FORWARD)):
        observation = look()
        rendered = environments[0].pov.astype(float)
        assert observation.frame.shape == (16, 24, 3)
        assert observation.frame.dtype == np.uint8
        np.testing.assert_allclose(observation.frame, rendered.reshape(16, 2, 24, 2, 3).mean((1, 3)), atol=0.5)
    flat = np.full((6, 9, 3), 255, np.uint8)
    np.testing.assert_array_equal(average_boxes(flat, 3), flat[:2, :3])


def test_the_world_settles_before_the_first_frame() -> None:
    world = small(settle=5, jump=True)
    first = world.reset(0)
    sent = environments[0].actions
    assert len(sent) == 5
    assert all(action["forward"] == action["jump"] == 0 and not action["camera"].any() for action in sent)
    np.testing.assert_array_equal(first.frame, average_boxes(environments[0].pov, 2))


def test_the_defaults_are_those_of_loopcraft() -> None:
    config = MinerlWorld().config
    assert (config.size, config.supersampling, config.frames_per_action, config.jump) == ((256, 256), 2, 9, True)


def test_the_end_of_the_game_is_an_error() -> None:
    world = small()
    world.reset(0)
    environments[0].done = True
    with pytest.raises(ChildProcessError, match="the agent's death; reset the world with another seed"):
        world.step(FORWARD)
    with pytest.raises(RuntimeError, match="call reset"):
        world.step(FORWARD)
    environments[0].done = False
    world.reset(1)
    environments[0].info = {"error": "Connection timed out!"}
    with pytest.raises(ChildProcessError, match="lost the game: Connection timed out!"):
        world.step(FORWARD)


def test_a_missing_place_is_an_error() -> None:
    """MineRL fills in zeros for what the game did not tell; they must not end up as poses."""
    world = small()
    world.reset(0)
    environments[0].observe = lambda: {  # type: ignore[method-assign]
        "pov": environments[0].pov,
        "location_stats": {key: np.array(0.0) for key in ("xpos", "ypos", "zpos", "yaw", "pitch")},
    }
    with pytest.raises(ChildProcessError, match="did not say where the agent is"):
        world.step(FORWARD)


def test_close_ends_the_game_and_reset_starts_another() -> None:
    world = small()
    world.close()
    world.reset(0)
    world.close()
    world.close()
    assert environments[0].closed
    with pytest.raises(RuntimeError, match="call reset"):
        world.step(FORWARD)
    world.reset(0)
    assert len(environments) == 2


def test_settings_and_misuse_are_explained() -> None:
    with pytest.raises(ValueError, match="supersampling is 0; it must be a whole number from 1 to 4"):
        MinerlConfig(supersampling=0)
    with pytest.raises(ValueError, match="settle is -1; it must be a whole number from 0 to 1,000"):
        MinerlConfig(settle=-1)
    world = small()
    with pytest.raises(RuntimeError, match="call reset"):
        world.step(FORWARD)
    with pytest.raises(ValueError, match="seed is -1; it must be a whole number from 0 to 9,223,372,036,854,775,807"):
        world.reset(-1)
    world.reset(0)
    with pytest.raises(ValueError, match="action is 3.*0 forward, 1 left, 2 right"):
        world.step(3)


def test_numpy_has_the_names_that_minerl_uses() -> None:
    small()
    assert np.zeros((), vars(np)["int"]).dtype == int
    assert np.zeros((), vars(np)["float"]).dtype == float


def test_without_minerl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minerl", None)
    with pytest.raises(ImportError, match="minerl==0.4.4.*Java 8 JDK"):
        MinerlWorld()


def test_the_package_says_what_it_was_not_run_against() -> None:
    assert MinerlWorld.__doc__ is not None
    assert "Not run against the game here" in MinerlWorld.__doc__
