"""The block world: determinism, exact returns, solid things, and the fast renderer against the slow one."""

import math

import numpy as np
import pytest

from millivid.data_gen import VoxelConfig, VoxelWorld, World, draw_actions, make_world, world_names
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.voxel.raycast import render_rays
from millivid.data_gen.voxel.world import BODY_RADIUS


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
    world = VoxelWorld(VoxelConfig(size=(8, 8), step=0.9, landmark_spacing=4.0, tree_spacing=4.0, ponds=8.0))
    stopped = forwards = 0
    for seed in range(6):
        pose = world.reset(seed).pose
        scene = world.scene
        low, high = scene.shapes[:, 2], scene.shapes[:, 3]
        for action in draw_actions(np.random.default_rng(seed), 400, 2):
            before, pose = pose, world.step(int(action)).pose
            x, y, z = (float(value) for value in pose[:3])
            gap_x = np.abs(scene.shapes[:, 0] - x) - scene.shapes[:, 4]
            gap_z = np.abs(scene.shapes[:, 1] - z) - scene.shapes[:, 5]
            touches = (np.maximum(gap_x, gap_z) < BODY_RADIUS / 2) & (low < y) & (high > y - 1)
            assert not touches.any()
            assert not scene.water[int(x), int(z)]
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
    np.testing.assert_allclose(poses[-1], poses[-2], atol=1.0)


@pytest.mark.parametrize("samples", [1, 2])
def test_the_fast_renderer_gives_what_the_slow_one_gives(samples: int) -> None:
    config = VoxelConfig(size=(40, 56), antialias=samples == 2, world_size=48)
    world = VoxelWorld(config)
    for seed in range(4):
        actions = draw_actions(np.random.default_rng(seed), 8, 1)
        world.reset(seed, actions)
        pose = [world.step(int(action)) for action in actions][-1].pose
        x, y, z, yaw = (float(value) for value in pose[:4])
        slow = np.empty((40, 56, 3), np.uint8)
        angle = math.radians(config.field_of_view)
        render_rays(x, y, z, math.radians(yaw), 0.0, angle, config.view_distance, samples, world.scene, slow)
        different = np.abs(world.render(pose).astype(int) - slow).max(-1) > 1
        assert different.mean() < 1e-3


def test_looking_down_shows_more_ground(world: VoxelWorld) -> None:
    """The camera's pitch is free for whoever renders: down shows the ground, up shows the sky's blue."""
    level = world.reset(0).pose
    down, up = level.copy(), level.copy()
    down[4], up[4] = 50, -50
    assert world.render(up)[..., 2].mean() > world.render(level)[..., 2].mean() > world.render(down)[..., 2].mean()


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"step must lie in 0\.01 to 1\.0; got 3"):
        VoxelConfig(step=3)
    with pytest.raises(ValueError, match="size must be"):
        VoxelConfig(size=(4, 64))
    with pytest.raises(ValueError, match="did you mean 'landmark_spacing'"):
        make_world("voxel", landmark_spaceing=5)
    with pytest.raises(ValueError, match="did you mean 'voxel'"):
        make_world("voxle")
    assert "voxel" in world_names()


def test_misuse_is_explained(world: VoxelWorld) -> None:
    with pytest.raises(ValueError, match="0 forward, 1 left, 2 right; got 3"):
        world.step(3)
    with pytest.raises(ValueError, match="at least 0; got -1"):
        world.reset(-1)
    with pytest.raises(RuntimeError, match="call reset"):
        VoxelWorld().step(FORWARD)
