"""The maze world: determinism, exact returns, walks that do not stick, the camera's geometry, and no traces left."""

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("vizdoom", reason='needs ViZDoom: pip install "millivid-data-gen[vizdoom]"')

from millivid.data_gen import World, draw_actions, make_world
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.vizdoom import VizdoomConfig, VizdoomWorld
from millivid.data_gen.vizdoom.config import SCREENS, choose_screen, cut_frame
from millivid.data_gen.vizdoom.engine import Engine
from millivid.data_gen.vizdoom.maze import BODY_RADIUS, DIRECTIONS, Maze, Region, generate_maze
from millivid.data_gen.vizdoom.planner import plan_decisions
from millivid.data_gen.vizdoom.wad import PANEL_WIDTH, maze_wad

TINY = VizdoomConfig(size=(32, 32), samples=1)


@pytest.fixture(scope="module")
def world() -> Iterator[VizdoomWorld]:
    world = VizdoomWorld()
    yield world
    world.close()


@pytest.fixture(scope="module")
def tiny() -> Iterator[VizdoomWorld]:
    world = VizdoomWorld(TINY)
    yield world
    world.close()


def reachable(maze: Maze) -> set[tuple[int, int]]:
    found, rest = {maze.start}, [maze.start]
    while rest:
        for _, cell in maze.neighbours(rest.pop()):
            if cell not in found:
                found.add(cell)
                rest.append(cell)
    return found


@pytest.mark.parametrize("config", [TINY, VizdoomConfig(cells=3, loops=0), VizdoomConfig(cells=20, rooms=0)])
def test_every_cell_of_a_maze_can_be_reached_and_its_border_is_closed(config: VizdoomConfig) -> None:
    for seed in range(5):
        maze = generate_maze(seed, config)
        assert len(reachable(maze)) == config.cells**2
        for side in (maze.solid[0], maze.solid[-1], maze.solid[:, 0], maze.solid[:, -1]):
            assert side.all()
        assert maze.is_free(*maze.centre(maze.start))


def test_without_loops_and_rooms_a_maze_is_a_tree() -> None:
    maze = generate_maze(1, VizdoomConfig(loops=0, rooms=0))
    ways = sum(len(maze.neighbours((a, b))) for a in range(8) for b in range(8)) // 2
    assert ways == 8 * 8 - 1


def test_a_maze_is_a_function_of_its_seed() -> None:
    files = [maze_wad(generate_maze(seed, TINY)) for seed in range(4)]
    assert files == [maze_wad(generate_maze(seed, TINY)) for seed in range(4)]
    assert len(set(files)) == 4


def test_a_frame_is_a_function_of_seed_and_pose(world: VizdoomWorld) -> None:
    again = VizdoomWorld()
    runs = []
    for one in (world, again):
        one.reset(99)
        first = one.reset(5)
        actions = one.plan_actions(np.random.default_rng(0), 120)
        runs.append([first, *(one.step(int(action)) for action in actions)])
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.frame, second.frame)
        np.testing.assert_array_equal(first.pose, second.pose)
        np.testing.assert_array_equal(again.render(first.pose), first.frame)  # later: so nothing moves or fades
    again.close()


def test_seeds_are_different_worlds(world: VizdoomWorld) -> None:
    frames = [world.reset(seed).frame.astype(float) for seed in range(6)]
    for index, frame in enumerate(frames):
        for other in frames[:index]:
            assert np.abs(frame - other).mean() > 8


def test_places_of_a_world_look_different(world: VizdoomWorld) -> None:
    """Seen from the centres of cells in the same direction, hardly any two views are alike."""
    pose = world.reset(0).pose
    views = []
    for cell in ((a, b) for a in range(8) for b in range(8)):
        x, z = world.maze.centre(cell)
        views.append(world.render(np.array([x, pose[1], z, 0, 0], np.float32)).astype(float))
    distances = [np.abs(one - two).mean() for i, one in enumerate(views) for two in views[:i]]
    assert np.mean(np.array(distances) < 5) < 0.01


@pytest.mark.parametrize(("size", "samples"), [((64, 64), 1), ((48, 80), 2), ((100, 65), 3), ((256, 256), 1)])
def test_observations_have_the_promised_form(size: tuple[int, int], samples: int) -> None:
    world: World = make_world("vizdoom", size=size, samples=samples)
    observation = world.reset(1)
    assert observation.frame.shape == (*size, 3)
    assert observation.frame.dtype == np.uint8
    assert observation.pose.shape == (5,)
    assert observation.pose.dtype == np.float32
    assert observation.frame.std() > 10  # there is something to see
    world.close()


@pytest.mark.parametrize("frames_per_action", [3, 7, 9])
@pytest.mark.parametrize("action", [LEFT, RIGHT])
def test_four_turns_return_to_the_same_frame_exactly(frames_per_action: int, action: int) -> None:
    world = VizdoomWorld(VizdoomConfig(frames_per_action=frames_per_action, size=(32, 32), samples=1))
    first = world.reset(2)
    steps = [world.step(action) for _ in range(4 * frames_per_action)]
    np.testing.assert_array_equal(steps[-1].frame, first.frame)
    np.testing.assert_array_equal(steps[-1].pose, first.pose)
    for observation in steps[:-1]:
        assert (observation.frame != first.frame).any()
    turned = (steps[0].pose[3] - first.pose[3]) % 360
    degrees = 90 / frames_per_action
    assert turned == pytest.approx(degrees if action == RIGHT else 360 - degrees, abs=1e-3)
    world.close()


def test_there_and_back_is_exact(tiny: VizdoomWorld) -> None:
    """To the next cell, turn round, back, turn round: the first frame again, to the bit."""
    first = tiny.reset(3)
    leg = [FORWARD] * TINY.moves_per_cell * TINY.frames_per_action + [RIGHT] * 2 * TINY.frames_per_action
    last = [tiny.step(action) for action in 2 * leg][-1]
    np.testing.assert_array_equal(last.pose, first.pose)
    np.testing.assert_array_equal(last.frame, first.frame)


def test_turning_right_moves_the_view_to_the_left() -> None:
    world = VizdoomWorld(VizdoomConfig(frames_per_action=90, size=(64, 64)))  # 1 degree, 0.6 pixels a frame
    before = world.reset(3).frame.astype(float)
    after = world.step(RIGHT).frame.astype(float)
    left, right = np.roll(before, -1, axis=1)[:, 8:-8], np.roll(before, 1, axis=1)[:, 8:-8]
    assert np.abs(after[:, 8:-8] - left).mean() < np.abs(after[:, 8:-8] - right).mean()
    world.close()


@pytest.mark.parametrize("heading", range(4))
def test_the_camera_is_a_pinhole_and_sees_things_where_they_are(heading: int) -> None:
    """One room with a blue picture on the wall ahead and a green one on the wall to the right."""
    solid = np.ones((3, 3), np.bool_)
    solid[1, 1] = False
    room = Maze(
        edges=(0.0, 0.5, 4.5, 5.0),
        solid=solid,
        region=np.where(solid, -1, 0),
        regions=(Region(wall="GRAYBIG", floor="FLAT20", ceiling="FLAT20", height=3.75, light=0xFFFFFF),),
        panels={(1, 1, DIRECTIONS[heading]): "PBLUE", (1, 1, DIRECTIONS[(heading + 1) % 4]): "PGREEN"},
        things=(),
        start=(0, 0),
        heading=0,
    )
    height, width = 96, 128
    engine = Engine(VizdoomConfig(size=(height, width), samples=2, field_of_view=90.0))
    engine.load(maze_wad(room))
    back, away = 1.5, 3.5  # of the room's middle, where a wall is 2 blocks away
    dx, dz = DIRECTIONS[heading]
    red, green, blue = engine.look(2.5 - back * dx, 1.6, 2.5 - back * dz, 90.0 * heading).astype(int).transpose(2, 0, 1)
    engine.close()
    rows, columns = (blue - np.maximum(red, green) > 60).nonzero()
    pixels = width / 2 / away  # per block on the wall ahead: 90 degrees show as much to each side as it is away
    assert columns.min() == pytest.approx(width / 2 - pixels * PANEL_WIDTH / 2, abs=1)
    assert columns.max() + 1 == pytest.approx(width / 2 + pixels * PANEL_WIDTH / 2, abs=1)
    assert rows.min() == pytest.approx(height / 2 - pixels * (3.75 - 1.6), abs=1)
    assert rows.max() + 1 == pytest.approx(height / 2 + pixels * 1.6, abs=1)
    assert ((green - np.maximum(red, blue) > 60).nonzero()[1] > width * 0.6).all()
    assert (green - np.maximum(red, blue) > 60).any()


@pytest.mark.parametrize(
    "config", [TINY, VizdoomConfig(size=(32, 32), samples=1, frames_per_action=9, moves_per_cell=2, cell_size=2.5)]
)
def test_planned_walks_never_stick_and_see_much(config: VizdoomConfig) -> None:
    world = VizdoomWorld(config)
    frames = 600
    for seed in range(2):
        pose = world.reset(seed).pose
        actions = world.plan_actions(np.random.default_rng(seed), frames)
        assert actions.shape == (frames,)
        assert actions.dtype == np.int64
        cells = []
        for action in actions:
            before, pose = pose, world.step(int(action)).pose
            yaw = math.radians(before[3])
            expected = config.step * np.array([-math.sin(yaw), math.cos(yaw)]) * (action == FORWARD)
            np.testing.assert_allclose(pose[[0, 2]].astype(float) - before[[0, 2]], expected, atol=1e-5)
            cells.append((int(pose[0] / config.cell_size), int(pose[2] / config.cell_size)))
        assert len(set(cells)) >= 8
    world.close()


def test_planned_walks_explore_come_back_and_turn_as_often_as_the_loopcraft_agent() -> None:
    turns, returns = [], []
    for seed in range(20):
        maze = generate_maze(seed, TINY)
        decisions = plan_decisions(np.random.default_rng(seed), maze, 1, 400)
        cell, heading, way = maze.start, maze.heading, [maze.start]
        for decision in decisions:
            if decision == FORWARD:
                cell = dict(maze.neighbours(cell))[heading]
                way.append(cell)
            else:
                heading = (heading + (1 if decision == RIGHT else -1)) % 4
        assert len(set(way)) > TINY.cells**2 / 2
        returns.append(np.mean([cell in way[:index] for index, cell in enumerate(way)][:100]))
        turns.append(np.mean(np.array(plan_decisions(np.random.default_rng(seed), maze, 5, 400)) != FORWARD))
    assert 0.4 < np.mean(returns) < 0.8
    loopcraft = np.mean(draw_actions(np.random.default_rng(0), 10_000, 1) != FORWARD)
    assert np.mean(turns) == pytest.approx(loopcraft, abs=0.05)


def test_a_plan_is_a_function_of_maze_and_generator(tiny: VizdoomWorld) -> None:
    tiny.reset(4)
    plan = tiny.plan_actions(np.random.default_rng(1), 100)
    tiny.step(RIGHT)  # a plan is one from the start, wherever the agent is
    np.testing.assert_array_equal(tiny.plan_actions(np.random.default_rng(1), 100), plan)
    assert (tiny.plan_actions(np.random.default_rng(2), 100) != plan).any()
    assert len(tiny.plan_actions(np.random.default_rng(1), 1)) == 1


def test_the_agent_never_enters_anything_solid() -> None:
    """With the LOOPCRAFT agent, which knows nothing of walls, and turns that are no right angles."""
    config = VizdoomConfig(size=(32, 32), samples=1, moves_per_cell=2, frames_per_action=2, landmarks=1.0)
    world = VizdoomWorld(config)
    stopped = slid = forwards = 0
    for seed in range(2):
        pose = world.reset(seed).pose
        maze = world.maze
        low, high = np.array(maze.edges[:-1]), np.array(maze.edges[1:])
        for action in np.repeat(draw_actions(np.random.default_rng(seed), 300, 1), 3):
            before, pose = pose, world.step(int(action)).pose
            x, z = float(pose[0]), float(pose[2])
            touched_x = (low < x + BODY_RADIUS - 1e-5) & (high > x - BODY_RADIUS + 1e-5)
            touched_z = (low < z + BODY_RADIUS - 1e-5) & (high > z - BODY_RADIUS + 1e-5)
            assert not maze.solid[np.ix_(touched_x, touched_z)].any()
            assert all(max(abs(thing.x - x), abs(thing.z - z)) > 0.64 for thing in maze.things)
            if action == FORWARD:
                moved = math.hypot(pose[0] - before[0], pose[2] - before[2])
                forwards += 1
                stopped += moved == 0
                slid += 0 < moved < config.step * 0.99
    world.close()
    assert 0.1 < stopped / forwards < 0.9
    assert slid > 0


def test_long_steps_do_not_jump_over_walls() -> None:
    config = VizdoomConfig(size=(32, 32), samples=1, moves_per_cell=1, frames_per_action=1)
    world = VizdoomWorld(config)
    world.reset(0)
    for _ in range(4):
        maze = world.maze
        open_headings = [heading for heading, _ in maze.neighbours(maze.start)]
        pose = world.reset(0).pose
        for turn in range(4):
            heading = (maze.heading + turn) % 4
            moved = world.step(FORWARD).pose
            assert (np.abs(moved - pose)[[0, 2]].max() > 1) == (heading in open_headings)
            pose = world.reset(0).pose
            for _ in range(turn + 1):
                world.step(RIGHT)
    world.close()


def test_jumping_goes_up_and_down_and_stays_exact() -> None:
    """12 frames are a jump, and with 3 frames per action a full circle too: the first frame again."""
    world = VizdoomWorld(VizdoomConfig(size=(32, 32), jump=True))
    first = world.reset(0)
    steps = [world.step(RIGHT) for _ in range(12)]
    heights = np.array([observation.pose[1] for observation in steps])
    assert heights.max() - heights.min() == pytest.approx(1.2522, abs=1e-3)  # Minecraft's jump
    np.testing.assert_array_equal(steps[-1].pose, first.pose)
    np.testing.assert_array_equal(steps[-1].frame, first.frame)
    for observation in steps:
        np.testing.assert_array_equal(world.render(observation.pose), observation.frame)
    world.close()


def test_a_frame_is_the_mean_of_the_middle_of_the_screen() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    top, left = (120 - 60) // 2, (160 - 90) // 2
    boxes = picture[top : top + 60, left : left + 90].reshape(20, 3, 30, 3, 3).astype(float)
    np.testing.assert_allclose(cut_frame(picture, (20, 30), 3), boxes.mean((1, 3)), atol=0.5)


def test_the_smallest_screen_is_taken_that_is_large_enough() -> None:
    for size in ((32, 32), (64, 64), (64, 128), (256, 256), (512, 512)):
        width, height, view = choose_screen(size, 2, 85.0)
        smaller = [(w, h) for w, h in SCREENS if w < width]
        assert size[0] * 2 <= height and size[1] * 2 <= width
        assert all(size[0] * 2 > h or size[1] * 2 > w for w, h in smaller)
        cut = math.tan(math.radians(view / 2)) * size[1] * 2 / width
        assert math.degrees(2 * math.atan(cut)) == pytest.approx(85.0)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="cells is 2; it must be a whole number from 3 to 32"):
        VizdoomConfig(cells=2)
    with pytest.raises(ValueError, match="take fewer samples or smaller frames"):
        VizdoomConfig(size=(512, 512), samples=4)
    with pytest.raises(ValueError, match="take a smaller field of view, wider frames"):
        VizdoomConfig(size=(512, 16))
    with pytest.raises(ValueError, match="did you mean moves_per_cell"):
        make_world("vizdoom", moves_per_cel=3)
    assert VizdoomConfig(moves_per_cell=2, frames_per_action=9).step == pytest.approx(3 / 18)


def test_misuse_is_explained(tiny: VizdoomWorld) -> None:
    pose = tiny.reset(0).pose
    with pytest.raises(ValueError, match="action is 3.*0 forward, 1 left, 2 right"):
        tiny.step(3)
    with pytest.raises(ValueError, match="seed is -1; it must be a whole number of at least 0"):
        tiny.reset(-1)
    with pytest.raises(ValueError, match="num_frames is 0; it must be a whole number of at least 1"):
        tiny.plan_actions(np.random.default_rng(0), 0)
    with pytest.raises(ValueError, match="pitch must be 0; got 10"):
        tiny.render(pose + np.array([0, 0, 0, 0, 10], np.float32))
    fresh = VizdoomWorld(TINY)
    for call in (lambda: fresh.step(FORWARD), lambda: fresh.plan_actions(np.random.default_rng(0), 9)):
        with pytest.raises(RuntimeError, match="call reset"):
            call()


def test_without_vizdoom_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(ImportError, match="pip install vizdoom"):
        VizdoomWorld()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see other processes")
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_nothing_is_left_behind(end: str, tmp_path: Path) -> None:
    """After the interpreter's end, and even after its death: no engine, no file, no shared memory."""
    program = """
from millivid.data_gen.vizdoom import VizdoomConfig, VizdoomWorld
world = VizdoomWorld(VizdoomConfig(size=(32, 32), samples=1))
world.reset(0)
world.close()
world.close()
input()
world.reset(0)
print("running", flush=True)
input()
"""
    for folder in ("here", "temporary"):
        (tmp_path / folder).mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path / "here",
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"running\n"
            ids = engines(started_by=process.pid)
            assert len(ids) == 1 and shared_memory(ids)
            if end == "exit":
                process.communicate(b"\n", timeout=60)
                assert process.returncode == 0
        finally:
            process.kill()
    deadline = time.monotonic() + 30
    while (engines(ids) or shared_memory(ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not engines(ids)
    assert not shared_memory(ids)
    assert list((tmp_path / "here").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="needs /dev/shm to see an engine's shared memory")
def test_close_ends_the_engine_and_reset_starts_another() -> None:
    before = engines(started_by=os.getpid())
    world = VizdoomWorld(TINY)
    world.close()
    first = world.reset(0)
    ids = engines(started_by=os.getpid()) - before
    assert len(ids) == 1 and shared_memory(ids)
    world.close()
    assert not shared_memory(ids)
    np.testing.assert_array_equal(world.reset(0).frame, first.frame)
    world.close()


def engines(ids: Collection[str] | None = None, started_by: int | None = None) -> set[str]:
    """Ids of the engines that run: of these, or of a process."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "+viz_instance_id" not in words:
                continue
            id = words[words.index("+viz_instance_id") + 1]
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if (ids is None or id in ids) and started_by in (None, parent):
                found.add(id)
    return found


def shared_memory(ids: Collection[str]) -> set[Path]:
    """What engines leave in memory when they are killed."""
    return {file for id in ids for file in Path("/dev/shm").glob(f"ViZDoom*{id}")}


def test_an_engine_that_dies_is_told_in_a_sentence() -> None:
    own = VizdoomWorld(VizdoomConfig(size=(64, 64)))
    own.reset(0)
    assert own._engine is not None
    own._engine._game.close()
    with pytest.raises(ChildProcessError, match="the Doom engine failed .*; close the world and reset it"):
        own.step(0)
    own.close()
    assert own.reset(0).frame.shape == (64, 64, 3)
    own.close()
