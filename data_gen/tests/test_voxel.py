"""The block world: determinism, exact returns, solid things, and the same frames as in earlier versions."""

import math

import numpy as np
import pytest

from millivid.data_gen import VoxelConfig, VoxelWorld, World, draw_actions, make_world, world_names
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.voxel.world import BODY_RADIUS
from millivid.data_gen.world import hop_heights


@pytest.fixture(scope="module")
def world() -> VoxelWorld:
    return VoxelWorld()


def test_a_frame_is_a_function_of_seed_and_pose(world: VoxelWorld) -> None:
    actions = draw_actions(np.random.default_rng(0), 30, 3)
    again = VoxelWorld()
    runs = []
    for one in (world, again):
        one.reset(99)
        one.reset(5, actions)
        runs.append([one.step(int(action)) for action in actions])
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.frame, second.frame)
        np.testing.assert_array_equal(first.pose, second.pose)
        np.testing.assert_array_equal(again.render(first.pose), first.frame)


def test_seeds_are_different_worlds(world: VoxelWorld) -> None:
    frames = [world.reset(seed).frame.astype(float) for seed in range(6)]
    for index, frame in enumerate(frames):
        for other in frames[:index]:
            assert np.abs(frame - other).mean() > 8


def test_observations_have_the_promised_form() -> None:
    world: World = make_world("voxel", size=(32, 48))
    observation = world.reset(1)
    assert observation.frame.shape == (32, 48, 3)
    assert observation.frame.dtype == np.uint8
    assert observation.pose.shape == (5,)
    assert observation.pose.dtype == np.float32
    assert observation.frame.std() > 10  # there is something to see


@pytest.mark.parametrize("frames_per_action", [3, 7, 9])
@pytest.mark.parametrize("action", [LEFT, RIGHT])
def test_four_turns_return_to_the_same_frame_exactly(frames_per_action: int, action: int) -> None:
    world = VoxelWorld(VoxelConfig(frames_per_action=frames_per_action, size=(32, 32)))
    first = world.reset(2)
    steps = [world.step(action) for _ in range(4 * frames_per_action)]
    np.testing.assert_array_equal(steps[-1].frame, first.frame)
    np.testing.assert_array_equal(steps[-1].pose, first.pose)
    for observation in steps[:-1]:
        assert (observation.frame != first.frame).any()
    turned = (steps[0].pose[3] - first.pose[3]) % 360
    degrees = 90 / frames_per_action
    assert turned == pytest.approx(degrees if action == RIGHT else 360 - degrees, abs=1e-3)


def test_turning_right_moves_the_view_to_the_left() -> None:
    """What was in the right half of the view before a turn by 30 degrees is nearer to the middle after it."""
    config = VoxelConfig(frames_per_action=90, size=(64, 64))  # 1 degree a frame
    world = VoxelWorld(config)
    before = world.reset(3).frame.astype(float)
    after = world.step(RIGHT).frame.astype(float)
    pixels = 64 / 2 / math.tan(math.radians(42.5)) * math.radians(1)  # in the middle: 0.6 pixels
    assert 0.5 < pixels < 1
    left, right = np.roll(before, -1, axis=1)[:, 8:-8], np.roll(before, 1, axis=1)[:, 8:-8]
    assert np.abs(after[:, 8:-8] - left).mean() < np.abs(after[:, 8:-8] - right).mean()


def test_forward_goes_where_the_camera_looks(world: VoxelWorld) -> None:
    actions = np.array([FORWARD] * 4)
    for seed in range(5):
        start = world.reset(seed, actions).pose.astype(float)
        end = [world.step(FORWARD) for _ in range(4)][-1].pose.astype(float)
        yaw = math.radians(start[3])
        np.testing.assert_allclose(end[0] - start[0], -0.6 * math.sin(yaw), atol=1e-4)
        np.testing.assert_allclose(end[2] - start[2], 0.6 * math.cos(yaw), atol=1e-4)


def test_nothing_is_in_the_way_when_the_way_is_known(world: VoxelWorld) -> None:
    for seed in range(6):
        actions = draw_actions(np.random.default_rng(seed), 200, 3)
        pose = world.reset(seed, actions).pose
        for action in actions:
            before, pose = pose, world.step(int(action)).pose
            moved = math.hypot(pose[0] - before[0], pose[2] - before[2])
            assert moved == pytest.approx(0.15 if action == FORWARD else 0, abs=1e-4)


def test_the_agent_never_enters_anything_solid() -> None:
    """Without a known way, in a crowded world with long steps: it is stopped often, and never inside anything."""
    world = VoxelWorld(VoxelConfig(size=(8, 8), step=0.9, landmark_spacing=4.0, tree_spacing=4.0))
    stopped = forwards = 0
    for seed in range(6):
        pose = world.reset(seed).pose
        scene = world.scene
        solids = scene.solids
        low, high = solids["bottom"], solids["top"]
        for action in draw_actions(np.random.default_rng(seed), 400, 2):
            before, pose = pose, world.step(int(action)).pose
            x, y, z = (float(value) for value in pose[:3])
            gap_x = np.abs(solids["x"] - x) - solids["half_x"]
            gap_z = np.abs(solids["z"] - z) - solids["half_z"]
            touches = (np.maximum(gap_x, gap_z) < BODY_RADIUS / 2) & (low < y) & (high > y - 1)
            assert not touches.any()
            assert scene.ground[int(x), int(z)] < y - 0.5
            assert 2 <= x <= 94 and 2 <= z <= 94
            if action == FORWARD:
                forwards += 1
                stopped += math.hypot(pose[0] - before[0], pose[2] - before[2]) < 0.89
    assert 0.05 < stopped / forwards < 0.8


def test_the_edge_of_the_world_stops_the_agent() -> None:
    world = VoxelWorld(VoxelConfig(size=(8, 8), step=1.0, world_size=48))
    world.reset(0, np.zeros(60, np.int64))
    poses = [world.step(FORWARD).pose for _ in range(60)]
    assert all(2 <= pose[0] <= 46 and 2 <= pose[2] <= 46 for pose in poses)
    np.testing.assert_array_equal(poses[-1], poses[-2])


def test_smoothed_edges_are_those_of_a_larger_frame_without() -> None:
    """But for its fog and shade, which are those of the mean of the samples that show the same."""
    for seed in range(3):
        smooth, large = (
            VoxelWorld(VoxelConfig(size=size, antialias=antialias)).reset(seed).frame.astype(int)
            for size, antialias in (((39, 56), True), ((78, 112), False))
        )
        error = np.abs(smooth - large.reshape(39, 2, 56, 2, 3).mean((1, 3)))
        assert error.mean() < 0.4 and (error.max(-1) > 10).mean() < 4e-3


@pytest.mark.parametrize("size", [(512, 512), (512, 64), (65, 511)])
def test_frames_come_in_many_sizes(size: tuple[int, int]) -> None:
    world = VoxelWorld(VoxelConfig(size=size))
    large = world.reset(1).frame
    assert large.shape == (*size, 3) and large.std() > 10
    small = VoxelWorld(VoxelConfig(size=(64, 64))).reset(1).frame
    if size == (512, 512):  # a picture of the same
        assert np.abs(large.reshape(64, 8, 64, 8, 3).mean((1, 3)) - small).mean() < 3


# After 40 frames in version 2 of the world, with all settings that version 3 has not switched off: x, y, z and yaw, and the
# mean red, green and blue of the frame's quarters.
PLAIN = {
    "step": 0.1,
    "hill_height": 0,
    "landmark_spacing": 5,
    "tree_spacing": 64,
    "path_clearance": 2,
    "view_distance": 14,
}
SECOND_VERSION_FRAMES = [
    (PLAIN, 3, "45.12003 1.35 46.35374 65 150.4 160.2 185.2 161.5 158.9 176 203.5 172.2 127.5 197.8 169.2 122.5"),
    (PLAIN, 11, "45.39968 1.35 49.28738 302 120.3 153.8 189.4 128.5 164.1 218.9 177.5 192.4 201.5 155.9 169.5 164.8"),
    ({}, 3, "45.33744 2.24404 46.58337 65 175.1 77.6 82.3 151 151.3 165.4 189.8 112.8 83.6 192.6 165.4 116.6"),
    ({}, 11, "45.58524 2.13225 49.93397 302 143.7 164.6 195.1 116.8 138.6 136 173.1 187.2 191 136.1 143.2 119.2"),
]


@pytest.mark.parametrize(("settings", "seed", "expected"), SECOND_VERSION_FRAMES)
def test_what_is_left_of_the_second_version_looks_as_before(
    settings: dict[str, float], seed: int, expected: str
) -> None:
    world = VoxelWorld(VoxelConfig(**settings))
    actions = draw_actions(np.random.default_rng(seed), 40, 3)
    world.reset(seed, actions)
    last = [world.step(int(action)) for action in actions][-1]
    numbers = [float(number) for number in expected.split()]
    np.testing.assert_allclose(last.pose[:4], numbers[:4], atol=1e-5)
    quarters = last.frame.reshape(2, 32, 2, 32, 3).mean((1, 3))
    np.testing.assert_allclose(quarters.ravel(), numbers[4:], atol=0.1)


def test_a_hop_is_minecrafts() -> None:
    """Heights in blocks at 20 ticks a second, as the Minecraft wiki's page on jumping has them: 1.2522 is the highest."""
    expected = (0, 0.42, 0.7532, 1.0013, 1.1661, 1.2492, 1.2522, 1.1768, 1.0244, 0.7967, 0.4952, 0.1213)
    np.testing.assert_allclose(hop_heights(), expected, atol=2e-4)


def test_an_agent_who_jumps_goes_the_same_way_up_and_down() -> None:
    actions = draw_actions(np.random.default_rng(1), 48, 3)
    paths = []
    for jump in (False, True):
        world = VoxelWorld(VoxelConfig(size=(16, 16), jump=jump))
        observations = [world.reset(1, actions), *(world.step(int(action)) for action in actions)]
        assert all((world.render(one.pose) == one.frame).all() for one in observations[:13])
        paths.append(np.array([one.pose for one in observations]))
    walked, hopped = paths
    np.testing.assert_array_equal(walked[:, [0, 2, 3, 4]], hopped[:, [0, 2, 3, 4]])
    np.testing.assert_allclose((hopped - walked)[:, 1], np.resize(hop_heights(), 49), atol=1e-5)


@pytest.mark.parametrize("height", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("jump", [False, True])
def test_a_step_takes_half_a_block_and_a_jump_one(height: float, jump: bool) -> None:
    config = VoxelConfig(size=(8, 8), hill_height=0.0, step=0.5, jump=jump)
    world = VoxelWorld(config)
    pose = world.reset(2, np.zeros(6, np.int64)).pose
    i, j = int(pose[0]), int(pose[2])
    raised = world.scene.ground
    raised += np.float32(height)
    raised[i - 1 : i + 2, j - 1 : j + 2] -= np.float32(height)
    world.scene.smooth[:] = raised
    end = [world.step(FORWARD).pose for _ in range(6)][-1]
    assert (math.hypot(end[0] - pose[0], end[2] - pose[2]) > 2.9) == (height <= (1.0 if jump else 0.5))


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"step is 3.*from 0\.01 to 1\.0"):
        VoxelConfig(step=3)
    with pytest.raises(ValueError, match="size must be"):
        VoxelConfig(size=(4, 64))
    with pytest.raises(ValueError, match="did you mean landmark_spacing"):
        make_world("voxel", landmark_spaceing=5)
    with pytest.raises(ValueError, match="did you mean 'voxel'"):
        make_world("voxle")
    assert "voxel" in world_names()


def test_misuse_is_explained(world: VoxelWorld) -> None:
    world.reset(0)  # which no test before this one may have done, where tests are spread over processes
    with pytest.raises(ValueError, match="action is 3.*0 forward, 1 left, 2 right"):
        world.step(3)
    with pytest.raises(ValueError, match="seed is -1; it must be a whole number of at least 0"):
        world.reset(-1)
    with pytest.raises(RuntimeError, match="call reset"):
        VoxelWorld().step(FORWARD)
    with pytest.raises(ValueError, match=r"pitch must be 0; got 10\.0"):
        world.render(np.array([48, 2, 48, 0, 10], np.float32))
