"""The world minetest: walking without the game; and, where it is installed, what the game shows."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.minetest import MinetestConfig, MinetestWorld
from millivid.data_gen.minetest.maps import MOD
from millivid.data_gen.minetest.walker import EYE, FORBIDDEN, NOT_GROUND, Ground, Walker

SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/games"))
needs_game = pytest.mark.skipif(
    not (shutil.which("minetest", path=SEARCH) and shutil.which("Xvfb", path=SEARCH)),
    reason="the game is not installed: apt-get install minetest minetest-data xvfb libgl1-mesa-dri",
)
SEED = 1


def make_config(maps: Path) -> MinetestConfig:
    return MinetestConfig(maps=str(maps), world_size=64, view_range=32, step=0.25)


# Without the game


def flat(size: int = 21, height: int = 12) -> np.ndarray:
    """Ground whose upper side is at y 0.5, in a map whose lowest block is at y 0."""
    solids = np.zeros((size, height, size), np.uint8)
    solids[:, 0] = 16
    return solids


def walk(walker: Walker, dx: float, dz: float, frames: int) -> None:
    for _ in range(frames):
        walker.frame(dx, dz)


def test_on_flat_ground_every_step_counts() -> None:
    walker = Walker(Ground(flat(), 0), jump=False)
    assert (walker.x, walker.feet, walker.z, walker.eye) == (0, 0.5, 0, 0.5 + EYE)
    walk(walker, 0.2, -0.1, 10)
    assert (walker.x, walker.z) == (pytest.approx(2), pytest.approx(-1))
    walk(walker, 0.2, 0, 500)
    assert 8.8 < walker.x <= 9  # the edge of the map


@pytest.mark.parametrize(("kind", "layer"), [(16, 2), (16 + NOT_GROUND, 1), (FORBIDDEN, 1), (FORBIDDEN, 0)])
def test_walls_trees_and_water_stop_the_agent_and_it_slides_along_them(kind: int, layer: int) -> None:
    solids = flat()
    solids[:, layer, 13:] = kind  # from x 2.5 on
    if layer == 1 and kind != FORBIDDEN:
        solids[:, 2, 13:] = kind
    walker = Walker(Ground(solids, 0), jump=False)
    walk(walker, 0.1, 0.05, 100)
    assert 2.0 < walker.x <= 2.2 + 1e-6  # half a body away
    assert walker.z == pytest.approx(5)
    assert walker.feet == 0.5


def test_one_block_is_climbed_smoothly_and_two_are_not() -> None:
    solids = flat()
    solids[:, 1, 13:] = 16
    solids[:, 2, 16:] = 16
    solids[:, 3, 16:] = 16
    walker = Walker(Ground(solids, 0), jump=False)
    eyes = []
    for _ in range(40):
        walker.frame(0.2, 0)
        eyes.append(walker.eye)
    assert walker.feet == 1.5 and walker.eye == pytest.approx(1.5 + EYE)
    assert walker.x == pytest.approx(5.2, abs=0.21)
    assert np.abs(np.diff(eyes)).max() <= 0.25 + 1e-9


@pytest.mark.parametrize(("depth", "falls"), [(3, True), (4, False)])
def test_cliffs_stop_the_agent(depth: int, falls: bool) -> None:
    solids = flat()
    solids[:, : depth + 1, :13] = 16
    walker = Walker(Ground(solids, 0), jump=False)
    walker.x, walker.feet = 0.0, depth + 0.5
    walk(walker, 0.2, 0, 40)
    assert walker.feet == (0.5 if falls else depth + 0.5)
    assert (walker.x > 4) == falls


def test_low_things_have_their_own_height() -> None:
    solids = flat()
    solids[:, 1, 13:] = 4  # a layer of snow
    walker = Walker(Ground(solids, 0), jump=False)
    walk(walker, 0.2, 0, 30)
    assert walker.feet == 0.75


def test_low_ceilings_stop_the_agent_and_its_hops() -> None:
    solids = flat()
    solids[:, 3, 8:13] = 16 + NOT_GROUND  # 2 blocks of space below
    solids[:, 2, 16:] = 16 + NOT_GROUND  # 1 block
    ground = Ground(solids, 0)
    walker = Walker(ground, jump=True)
    walker.x, walker.feet, walker.z = 0.0, 0.5, 0.0
    assert [walker.frame() or walker.eye for _ in range(12)] == [0.5 + EYE] * 12
    walk(walker, 0.1, 0, 60)
    assert 4.5 < walker.x <= 5.2 + 1e-6
    for _ in range(30):
        walker.frame()
        assert ground.is_free(walker.x, walker.z, walker.feet, walker.eye)


def test_a_hop_goes_up_and_comes_down() -> None:
    walker = Walker(Ground(flat(), 0), jump=True)
    heights = [walker.frame() or walker.eye - 0.5 - EYE for _ in range(24)]
    assert max(heights) == pytest.approx(1.25, abs=0.01)
    assert heights[11] == heights[23] == 0 and heights[:12] == heights[12:]
    assert (np.diff(heights[:6]) > 0).all() and (np.diff(heights[5:12]) < 0).all()


def test_a_hop_that_meets_a_ceiling_falls_from_there() -> None:
    solids = flat()
    solids[:, 3, :] = 16 + NOT_GROUND  # 2 blocks of space below, 2.5 above the middle
    solids[8:13, 3, 8:13] = 0
    solids[:, 4, :] = 16 + NOT_GROUND
    walker = Walker(Ground(flat(), 0), jump=True)
    walker._ground = Ground(solids, 0)
    eyes = [walker.frame() or walker.eye for _ in range(40)]
    assert 0.5 + EYE + 0.5 < max(eyes) < 3.5 - 0.2
    assert np.abs(np.diff(eyes)).max() < 0.45


def test_the_start_is_on_the_largest_dry_land() -> None:
    solids = flat(41)
    solids[:, 1] = FORBIDDEN  # a lake
    solids[18:23, 1:3, 18:23] = 16  # an island in the middle
    solids[:, 1:4, 30:] = 16  # the mainland
    solids[18:23, 6, 33:38] = 16 + NOT_GROUND  # a tree's crown
    x, y, z = Ground(solids, 0).start()
    assert x > 10 and y == 3.5
    assert not (12 < x < 18 and -3 < z < 3)
    with pytest.raises(ValueError, match="no dry ground"):
        Ground(np.full((9, 4, 9), FORBIDDEN, np.uint8), 0).start()


def test_the_sky_has_no_seams() -> None:
    faces = {}
    for name in ("top", "side", "bottom"):
        with av.open(str(MOD / "millivid" / "textures" / f"millivid_{name}.png")) as image:
            faces[name] = next(image.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(faces["side"][:, 0] - faces["side"][:, -1]).max() <= 1
    assert np.abs(faces["side"][0] - faces["top"][-1]).max() <= 4
    assert np.abs(faces["side"][-1] - faces["bottom"][0]).max() == 0


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="64 to 512 pixels"):
        MinetestConfig(size=(32, 32))
    with pytest.raises(ValueError, match="mapgen must be one of v7"):
        MinetestConfig(mapgen="v8")
    with pytest.raises(ValueError, match="view_range is 8; it must be a whole number from 32 to 160"):
        MinetestConfig(view_range=8)


def test_misuse_is_explained() -> None:
    with pytest.raises(RuntimeError, match="call reset"):
        MinetestWorld().step(FORWARD)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"seed is {seed}; it must be a whole number from 0 to 18,446"):
            MinetestWorld().reset(seed)


@pytest.mark.parametrize("program", ["minetest", "Xvfb"])
def test_a_missing_program_is_named(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, path=None: None if name == program else found(name, path=path) or f"/{name}"
    )
    with pytest.raises(ImportError, match=f"needs the program {program}: apt-get install"):
        MinetestWorld(make_config(tmp_path)).reset(0)


# With the game


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def world(maps: Path) -> Iterator[MinetestWorld]:
    world = MinetestWorld(make_config(maps))
    yield world
    world.close()


def assert_same_picture(one: np.ndarray, other: np.ndarray) -> None:
    """But for a pixel at an edge, which the game under load may draw otherwise."""
    differ = one != other
    assert differ.mean() < 1e-3 and np.abs(one.astype(int) - other)[differ].max(initial=0) <= 16


def wait_until(holds: Callable[[], bool]) -> None:
    """The shells that watch over the programs end after them."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_in(folder: str) -> list[int]:
    """The processes that have the folder's name in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if folder.encode() in line:
                found.append(int(entry.name))
    return found


@needs_game
def test_a_frame_is_a_function_of_seed_and_pose(world: MinetestWorld, maps: Path) -> None:
    actions = [RIGHT] * 3 + [FORWARD] * 5 + [LEFT] * 4
    again = MinetestWorld(make_config(maps))
    try:
        runs = [[one.reset(SEED), *(one.step(action) for action in actions)] for one in (world, again)]
        assert again._game is not None
        folder = again._game._folder.name
        assert processes_in(folder)
    finally:
        again.close()
    wait_until(lambda: not processes_in(folder))
    assert not Path(folder).exists()
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.pose, second.pose)
        assert_same_picture(first.frame, second.frame)
    assert runs[0][0].frame.shape == (64, 64, 3)
    assert runs[0][0].frame.std() > 10


@needs_game
def test_four_turns_return_to_the_same_frame_and_the_view_moves_the_other_way(world: MinetestWorld) -> None:
    first = world.reset(SEED)
    turns = [world.step(RIGHT) for _ in range(12)]
    assert_same_picture(turns[-1].frame, first.frame)
    np.testing.assert_array_equal(turns[-1].pose, first.pose)
    assert (turns[0].pose[3] - first.pose[3]) % 360 == pytest.approx(30)
    # 30 degrees to the right: what was 15 degrees to the right of the middle is 15 degrees to the left of it.
    shift = round(64 * math.tan(math.radians(15)) / math.tan(math.radians(40)) / 2)
    errors = []
    for sign in (1, -1):
        pairs = zip([first, *turns], turns, strict=False)
        columns = 31 + sign * shift, 31 - sign * shift
        errors.append(
            sum(
                np.abs(
                    one.frame[:, columns[0] : columns[0] + 2].astype(float) - two.frame[:, columns[1] : columns[1] + 2]
                )
                .mean()
                .item()
                for one, two in pairs
            )
        )
    assert errors[0] < 0.5 * errors[1]


@needs_game
def test_forward_goes_where_the_camera_looks_or_is_stopped(world: MinetestWorld) -> None:
    pose, moved = world.reset(SEED).pose.astype(float), 0
    for action in [FORWARD] * 6 + [LEFT] * 3 + [FORWARD] * 6:
        before, pose = pose, world.step(action).pose.astype(float)
        way, yaw = pose[[0, 2]] - before[[0, 2]], math.radians(pose[3])
        if action == FORWARD and np.allclose(way, (-0.25 * math.sin(yaw), 0.25 * math.cos(yaw)), atol=1e-4):
            moved += 1
        else:
            assert np.hypot(*way) < 0.25
    assert moved >= 6


@needs_game
def test_a_dead_game_is_reported_and_seeds_are_different_worlds(world: MinetestWorld) -> None:
    first = world.reset(SEED)
    assert world._game is not None
    old = Path(world._game._folder.name)
    os.kill(world._game._program.pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="Minetest ended; its log ends with"):
        world.step(FORWARD)
    second = world.reset(SEED + 1)  # it starts anew
    other = np.abs(first.frame.astype(int) - second.frame).max(-1) > 16  # the sky is the same everywhere
    assert other[32:].mean() > 0.2
    assert Path(world._game._folder.name) != old and not old.exists()


@needs_game
def test_nothing_outlives_a_killed_process(maps: Path, tmp_path: Path) -> None:
    script = f"""
import time
from millivid.data_gen.minetest import MinetestConfig, MinetestWorld
world = MinetestWorld(MinetestConfig(maps={str(maps)!r}, world_size=64, view_range=32, step=0.25))
world.reset({SEED})
print("ready", flush=True)
time.sleep(600)
"""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        assert len(processes_in(str(tmp_path))) >= 2
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not processes_in(str(tmp_path)) and not list(tmp_path.iterdir()))
