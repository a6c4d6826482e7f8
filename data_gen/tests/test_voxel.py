"""The block world: determinism, exact returns, solid things, and the fast renderer against the slow one."""

import math

import numpy as np
import pytest

from millivid.data_gen import VoxelConfig, VoxelWorld, World, draw_actions, make_world, world_names
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.hop import hop_heights
from millivid.data_gen.voxel.biomes import make_biomes
from millivid.data_gen.voxel.daylight import sun_direction
from millivid.data_gen.voxel.raycast import SHADOW_TEXELS, render_rays
from millivid.data_gen.voxel.scene import FACADE
from millivid.data_gen.voxel.world import BODY_RADIUS

FIRST_VERSION = {"biome_size": 0, "building_spacing": 0, "fixed_sun": True}


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
    np.testing.assert_array_equal(poses[-1], poses[-2])


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("hour", [8.0, 12.0, 18.0, 0.0])
def test_the_fast_renderer_gives_what_the_slow_one_gives(samples: int, hour: float) -> None:
    """The same without antialiasing. With it, the fast one shades once what shows the same, and shadows curve a little."""
    size = (39, 56)
    config = VoxelConfig(size=size, antialias=samples == 2, world_size=64, time_of_day=hour, building_spacing=9.0)
    world = VoxelWorld(config)
    for seed in range(3):
        actions = draw_actions(np.random.default_rng(seed), 8, 1)
        world.reset(seed, actions)
        pose = [world.step(int(action)) for action in actions][-1].pose
        x, y, z, yaw = (float(value) for value in pose[:4])
        slow = np.empty((*size, 3), np.uint8)
        angle = math.radians(config.field_of_view)
        render_rays(x, y, z, math.radians(yaw), 0.0, angle, config.view_distance, samples, world.scene, slow)
        error = np.abs(world.render(pose).astype(int) - slow)
        if samples == 1:
            assert (error.max(-1) > 1).mean() < 1e-3
        else:
            assert error.mean() < 0.4 and (error.max(-1) > 10).mean() < 4e-3


@pytest.mark.parametrize("size", [(512, 512), (512, 64), (65, 511)])
def test_frames_come_in_many_sizes(size: tuple[int, int]) -> None:
    world = VoxelWorld(VoxelConfig(size=size, shadows=False))
    large = world.reset(1).frame
    assert large.shape == (*size, 3) and large.std() > 10
    small = VoxelWorld(VoxelConfig(size=(64, 64), shadows=False)).reset(1).frame
    if size == (512, 512):  # a picture of the same
        assert np.abs(large.reshape(64, 8, 64, 8, 3).mean((1, 3)) - small).mean() < 3


# After 40 frames in version 1 of the world: x, y, z and yaw, and the mean red, green and blue of the frame's quarters.
FIRST_VERSION_FRAMES = {
    3: (
        45.33744,
        2.24404,
        46.58337,
        65,
        88.4,
        131.5,
        121.3,
        129.3,
        166.9,
        196.8,
        171.0,
        155.6,
        114.8,
        185.6,
        166.8,
        119.4,
    ),
    11: (
        45.58524,
        2.13225,
        49.93397,
        302,
        105.9,
        125.6,
        114.9,
        120.8,
        143.3,
        139.4,
        169.2,
        173.7,
        166.5,
        126,
        132.2,
        111.4,
    ),
}


@pytest.mark.parametrize("seed", FIRST_VERSION_FRAMES)
def test_worlds_of_the_first_version_can_be_made_again(seed: int) -> None:
    world = VoxelWorld(VoxelConfig(**FIRST_VERSION))
    actions = draw_actions(np.random.default_rng(seed), 40, 3)
    world.reset(seed, actions)
    last = [world.step(int(action)) for action in actions][-1]
    np.testing.assert_allclose(last.pose[:4], FIRST_VERSION_FRAMES[seed][:4], atol=1e-5)
    quarters = last.frame.reshape(2, 32, 2, 32, 3).mean((1, 3))
    np.testing.assert_allclose(quarters.ravel(), FIRST_VERSION_FRAMES[seed][4:], atol=0.5)


def test_the_sun_rises_in_the_east_and_stands_in_the_south_at_noon() -> None:
    """+z is the north, +x the west: a camera with yaw 0 looks along +z and has +x on its left."""
    morning, noon, evening = (sun_direction(hour) for hour in (7.0, 12.0, 17.0))
    assert morning[0] < -0.7 and evening[0] > 0.7 and noon[2] < -0.4
    assert noon[1] > 0.85 and 0 < morning[1] < 0.5
    for hour in np.linspace(0, 24, 97):
        direction = sun_direction(hour % 24)
        assert direction[1] > 0 and np.linalg.norm(direction) == pytest.approx(1)


def test_noon_is_brighter_than_evening_and_evening_than_night() -> None:
    brightness = []
    for hour in (12.0, 18.0, 0.0):
        world = VoxelWorld(VoxelConfig(time_of_day=hour))
        brightness.append(np.mean([world.reset(seed).frame.mean() for seed in range(4)]))
        assert world.reset(0).frame.std() > 10  # by night, too, there is something to see
    assert brightness[0] > 1.2 * brightness[1] > 1.4 * brightness[2]


def test_worlds_have_different_hours_unless_one_is_chosen() -> None:
    world = VoxelWorld(VoxelConfig(size=(8, 8)))
    assert len({(world.reset(seed), world.scene.light.tobytes())[1] for seed in range(8)}) == 8
    world = VoxelWorld(VoxelConfig(size=(8, 8), time_of_day=10.0))
    assert len({(world.reset(seed), world.scene.light.tobytes())[1] for seed in range(8)}) == 1


@pytest.mark.parametrize("hour", [7.5, 10.0, 15.0, 17.5, 23.0])
def test_shadows_fall_away_from_the_sun(hour: float) -> None:
    config = VoxelConfig(
        size=(8, 8), hill_height=0.0, ponds=0.0, time_of_day=hour, landmark_spacing=16.0, tree_spacing=64.0
    )
    world = VoxelWorld(config)
    world.reset(1)
    scene = world.scene
    sun = scene.light[0]
    dark = []
    for x, z, bottom, top, half_x, half_z in scene.shapes.tolist():
        if bottom < 0 and min(half_x, half_z) > 0.7:  # it stands on the ground, which is at height 0
            # Where the light that would pass through its middle, at 0.7 of its height, meets the ground; and the mirrored spot.
            reach = sun[[0, 2]] / sun[1] * top * 0.7
            texels = [((np.array([x, z]) + side * reach) * SHADOW_TEXELS).astype(int) for side in (-1, 1)]
            inside = min(texel.min() for texel in texels) >= 0 and max(texel.max() for texel in texels) < len(scene.lit)
            if inside and (np.abs(reach) > (half_x + 0.5, half_z + 0.5)).any():  # not under the solid itself
                dark.append([1 - scene.lit[tuple(texel)] for texel in texels])
    behind, before = np.mean(dark, axis=0)
    assert len(dark) >= 8 and behind > 0.95 and before < 0.7


def test_biomes_of_one_world_have_different_ground() -> None:
    world = VoxelWorld(VoxelConfig(size=(8, 8), building_spacing=0, ponds=0.0))
    for seed in range(3):
        world.reset(seed)
        climate = make_biomes(np.random.default_rng([seed, 2]), 96, world.config.biome_size).climate
        kinds, counts = np.unique(climate, return_counts=True)
        colours = np.array([np.median(world.scene.colour[climate == kind], axis=0) for kind in kinds[counts > 300]])
        apart = np.abs(colours[:, None] - colours[None]).max(-1) + np.eye(len(colours))
        assert len(colours) >= 4 and apart.min() > 0.06 and apart.max() > 0.3


def test_a_larger_biome_size_makes_larger_biomes() -> None:
    borders = []
    for extent in (10.0, 20.0, 40.0):
        maps = [make_biomes(np.random.default_rng(seed), 96, extent) for seed in range(4)]
        borders.append(np.mean([(one.climate[1:] != one.climate[:-1]).mean() for one in maps]))
        np.testing.assert_allclose(maps[0].colour_share.sum(-1), 1)
        np.testing.assert_allclose(maps[0].hill_share.sum(-1), 1)
    assert borders[0] > 1.5 * borders[1] > 2.2 * borders[2]


def test_houses_block_the_way_and_keep_off_a_known_one() -> None:
    world = VoxelWorld(VoxelConfig(size=(8, 8)))
    actions = draw_actions(np.random.default_rng(4), 200, 3)
    points = np.array([world.reset(4, actions).pose] + [world.step(int(action)).pose for action in actions])[:, [0, 2]]
    walls = world.scene.shapes[world.scene.paints >= FACADE]
    assert len(walls) >= 8
    for x, z, _, _, half_x, half_z in walls.tolist():
        for side_x, side_z in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            assert not world.is_free(x + side_x * (half_x + 0.2), z + side_z * (half_z + 0.2))
        gap = np.maximum(np.abs(points - (x, z)) - (half_x, half_z), 0)
        assert np.hypot(*gap.T).min() > world.config.path_clearance


def test_no_houses_without_a_spacing() -> None:
    world = VoxelWorld(VoxelConfig(size=(8, 8), building_spacing=0))
    world.reset(4)
    assert not (world.scene.paints >= FACADE).any()


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
    config = VoxelConfig(size=(8, 8), hill_height=0.0, ponds=0.0, step=0.5, jump=jump)
    world = VoxelWorld(config)
    pose = world.reset(2, np.zeros(6, np.int64)).pose
    i, j = int(pose[0]), int(pose[2])
    raised = world.scene.ground
    raised += np.float32(height)
    raised[i - 1 : i + 2, j - 1 : j + 2] -= np.float32(height)
    world.scene.smooth[:] = raised
    end = [world.step(FORWARD).pose for _ in range(6)][-1]
    assert (math.hypot(end[0] - pose[0], end[2] - pose[2]) > 2.9) == (height <= (1.0 if jump else 0.5))


def test_looking_down_shows_more_ground(world: VoxelWorld) -> None:
    """The camera's pitch is free for whoever renders: down shows the ground, up shows the sky's blue."""
    level = world.reset(0).pose
    down, up = level.copy(), level.copy()
    down[4], up[4] = 50, -50
    assert world.render(up)[..., 2].mean() > world.render(level)[..., 2].mean() > world.render(down)[..., 2].mean()


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"step must lie in 0\.01 to 1\.0; got 3"):
        VoxelConfig(step=3)
    with pytest.raises(ValueError, match=r"biome_size must lie in 8\.0 to 512\.0; got 3"):
        VoxelConfig(biome_size=3)
    with pytest.raises(ValueError, match="a fixed sun has no time_of_day; got 9"):
        VoxelConfig(time_of_day=9, fixed_sun=True)
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
