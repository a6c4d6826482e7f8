"""Which surface each pixel shows: known depths, ids that belong to places, and the camera of the renderer."""

import math

import numpy as np
import pytest

from millivid.data_gen import RecordConfig, VoxelConfig, VoxelWorld, draw_actions
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT
from millivid.data_gen.voxel.scene import BOX, CONE, CYLINDER, PYRAMID, SPHERE, Scene
from millivid.data_gen.voxel.surfaces import CELL_BITS, GROUND, surface_id

FLAT = VoxelConfig(hill_height=0.0, landmark_spacing=64.0, tree_spacing=64.0)
FACINGS = 6


@pytest.fixture(scope="module")
def world() -> VoxelWorld:
    return VoxelWorld()


def rays(config: VoxelConfig, pose: np.ndarray) -> np.ndarray:
    """Unit directions [height, width, 3] of a level camera's pixels, as the README has its axes."""
    height, width = config.size
    scale = math.tan(math.radians(config.field_of_view) / 2) / (width / 2)
    right = (np.arange(width) + 0.5 - width / 2) * scale
    up = (height / 2 - np.arange(height) - 0.5) * scale
    yaw = math.radians(float(pose[3]))
    x = -math.sin(yaw) - right * math.cos(yaw)
    z = math.cos(yaw) - right * math.sin(yaw)
    rays = np.stack(np.broadcast_arrays(x[None], up[:, None], z[None]), axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def test_flat_ground_is_as_far_as_the_formula_says() -> None:
    world = VoxelWorld(FLAT)
    pose = world.reset(0).pose
    surfaces = world.surfaces(pose)
    expected = -float(pose[1]) / rays(FLAT, pose)[40:, :, 1]  # the ground is at height 0
    on_ground = surfaces.ids[40:] % FACINGS == 3
    assert on_ground.mean() > 0.8
    np.testing.assert_allclose(surfaces.depth[40:][on_ground], expected[on_ground], rtol=1e-5)


def test_the_sky_is_negative_and_endless_and_belongs_to_directions() -> None:
    world = VoxelWorld(FLAT)
    pose = world.reset(0).pose
    surfaces = world.surfaces(pose)
    np.testing.assert_array_equal(np.isinf(surfaces.depth), ~surfaces.solid)
    assert not surfaces.solid[0].all() and surfaces.solid[-1].all()
    np.testing.assert_array_equal(surfaces.solid, surfaces.ids >= 0)
    moved = pose + np.array([3, 0, 2, 0, 0], np.float32)
    sky = ~surfaces.solid & ~world.surfaces(moved).solid
    np.testing.assert_array_equal(surfaces.ids[sky], world.surfaces(moved).ids[sky])


def what_is_at(scene: Scene, points: np.ndarray) -> np.ndarray:
    """Number of the solid that each of points [..., 3] lies in; `GROUND`, or -2 for air."""
    x, y, z = np.moveaxis(points, -1, 0)
    i, j = (np.floor(place).astype(int).clip(0, len(scene.ground) - 1) for place in (x, z))
    found = np.where(y < scene.ground[i, j], GROUND, -2)
    for number, solid in enumerate(scene.solids):
        across, along = np.abs(x - solid["x"]) / solid["half_x"], np.abs(z - solid["z"]) / solid["half_z"]
        high = (y - solid["bottom"]) / (solid["top"] - solid["bottom"])
        width = {
            BOX: np.maximum(across, along),
            CYLINDER: np.hypot(across, along),
            SPHERE: np.sqrt(across**2 + along**2 + (2 * high - 1) ** 2),
            CONE: np.hypot(across, along) + high,
            PYRAMID: np.maximum(across, along) + high,
        }[int(solid["kind"])]
        found[(width < 1) & (high > 0) & (high < 1)] = number
    return found


def test_rays_meet_what_small_steps_along_them_meet() -> None:
    """The bundles' slow twin: a walk along each ray, until it is inside something."""
    config = VoxelConfig(size=(18, 24), world_size=48, view_distance=10.0, landmark_spacing=4.0, tree_spacing=5.0)
    world = VoxelWorld(config)
    steps = np.arange(0.025, 20, 0.025)
    kinds = set()
    for seed in range(3):
        pose = world.reset(seed).pose
        points = pose[:3] + rays(config, pose)[:, :, None] * steps[:, None]
        away = points - pose[:3]
        seen = np.hypot(away[..., 0], away[..., 2]) < config.view_distance
        found = np.where(seen, what_is_at(world.scene, points), -2)
        met = found > -2
        first = met.argmax(-1)
        solid = np.take_along_axis(found, first[..., None], -1)[..., 0]
        surfaces = world.surfaces(pose)
        named = np.where(surfaces.solid, (surfaces.ids // FACINGS >> 3 * CELL_BITS) - 1, -2)
        assert (named == solid).mean() > 0.99  # steps jump over a corner now and then
        agreed = surfaces.solid & (named == solid)
        assert (np.abs(steps[first] - surfaces.depth)[agreed] < 0.03).mean() > 0.99
        kinds |= set(world.scene.solids["kind"][np.unique(named[named >= 0])].tolist())
    assert kinds == {BOX, CYLINDER, SPHERE, CONE, PYRAMID}


def test_a_place_has_the_same_id_from_wherever_it_is_seen(world: VoxelWorld) -> None:
    """Where a hit point of one view is what another view sees, as its depth tells, both give it one id."""
    agreeing = total = 0
    for seed in range(6):
        actions = draw_actions(np.random.default_rng(seed), 60, 3)
        world.reset(seed, actions)
        poses = [world.step(int(action)).pose for action in actions][::6]
        views = [world.surfaces(pose) for pose in poses]
        for pose, view in zip(poses, views, strict=True):
            points = pose[:3] + rays(world.config, pose) * np.where(view.solid, view.depth, 0)[..., None]
            for other_pose, other in zip(poses, views, strict=True):
                if other is view:
                    continue
                row, column, distance, middle = project(points, other_pose, world.config)
                middle &= view.solid
                row, column, distance = row[middle], column[middle], distance[middle]
                same = np.abs(other.depth[row, column] - distance) < 0.01
                total += same.sum()
                agreeing += (other.ids[row, column] == view.ids[middle])[same].sum()
    assert total > 4_000
    assert agreeing / total > 0.98


def project(
    points: np.ndarray, pose: np.ndarray, config: VoxelConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the pixels in which points [..., 3] lie, distances, and which lie in a pixel's middle."""
    height, width = config.size
    scale = math.tan(math.radians(config.field_of_view) / 2) / (width / 2)
    apart, yaw = points - pose[:3], math.radians(float(pose[3]))
    ahead = -apart[..., 0] * math.sin(yaw) + apart[..., 2] * math.cos(yaw)
    right = -apart[..., 0] * math.cos(yaw) - apart[..., 2] * math.sin(yaw)
    with np.errstate(divide="ignore", invalid="ignore"):
        across = np.nan_to_num(right / ahead / scale, posinf=1e6) + width / 2
        down = height / 2 - np.nan_to_num(apart[..., 1] / ahead / scale, posinf=1e6)
    row, column = np.floor(down).astype(int), np.floor(across).astype(int)
    middle = (ahead > 0.1) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    middle &= (np.abs(across - column - 0.5) < 0.1) & (np.abs(down - row - 0.5) < 0.1)
    return row, column, np.linalg.norm(apart, axis=-1), middle


@pytest.mark.parametrize("action", [LEFT, RIGHT])
def test_a_full_circle_ends_with_the_same_surfaces(world: VoxelWorld, action: int) -> None:
    first = world.surfaces(world.reset(2).pose)
    for _ in range(12):
        last = world.surfaces(world.step(action).pose)
    np.testing.assert_array_equal(first.ids, last.ids)
    np.testing.assert_array_equal(first.depth, last.depth)


def test_surfaces_are_a_function_of_seed_and_pose(world: VoxelWorld) -> None:
    pose = world.reset(8).pose
    surfaces = world.surfaces(pose)
    again = VoxelWorld()
    again.reset(8)
    np.testing.assert_array_equal(again.surfaces(pose).ids, surfaces.ids)
    again.reset(9)
    assert (again.surfaces(pose).ids != surfaces.ids).any()


def test_front_and_back_of_a_landmark_are_different_surfaces(world: VoxelWorld) -> None:
    world.reset(4)
    scene = world.scene
    solid = scene.solids[(scene.solids["kind"] == BOX) & (scene.solids["bottom"] < 1)][0]
    x, z, low, high, half_z = (float(solid[name]) for name in ("x", "z", "bottom", "top", "half_z"))
    ids = []
    for side, yaw in ((-1, 0.0), (1, 180.0)):
        pose = np.array([x, low + 0.7 * (high - low), z + side * (half_z + 1), yaw, 0], np.float32)
        middle = world.surfaces(pose)
        np.testing.assert_allclose(middle.depth[31:33, 31:33], 1, atol=0.02)
        ids.append(set(middle.ids[28:36, 28:36].ravel().tolist()))
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("normal", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
def test_rounding_at_a_cells_border_changes_no_id(normal: tuple[int, int, int]) -> None:
    point = np.where(np.array(normal) == 0, 20.5, 20.0)
    ids = {surface_id(7, *(point + sign * 1e-9 * np.array(normal)), *(float(n) for n in normal)) for sign in (-1, 0, 1)}
    assert len(ids) == 1


def test_ids_name_one_piece_each() -> None:
    places = [
        surface_id(found, x, y, z, *normal)
        for found in (GROUND, 0, 1, 200_000)
        for x in (-300.5, 0.5, 1.5, 800.5)
        for z in (-300.5, 0.5, 800.5)
        for y in ((0.5,) if found == GROUND else (-1.5, 0.5, 30.5))
        for normal in ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    ]
    assert len(set(places)) == len(places) and min(places) >= 0


def test_the_middle_rays_are_the_renderers() -> None:
    """In a frame without antialiasing, a plain landmark's pixels have its colours and nothing else does."""
    config = VoxelConfig(antialias=False)
    plain = VoxelWorld(config)
    pose = plain.reset(6, np.array([FORWARD] * 3)).pose
    before, surfaces = plain.render(pose).astype(int), plain.surfaces(pose)
    solids = np.where(surfaces.solid, surfaces.ids // FACINGS >> 3 * CELL_BITS, 0) - 1  # -1: ground or sky
    most = np.bincount(solids[solids >= 0]).argmax()
    plain.scene.solids["colours"][most] = 0
    changed = (plain.render(pose) != before).any(-1)
    agreed = (changed == (solids == most)).mean()
    assert (solids == most).sum() > 50 and agreed > 0.999


def test_a_recordings_source_gives_its_config_again() -> None:
    config = RecordConfig(world=VoxelConfig(size=(32, 32), step=0.2), train_videos=3, test_videos=1, seed=5, frames=90)
    assert RecordConfig.from_source(config.source()) == config
    with pytest.raises(ValueError, match="only those of"):
        RecordConfig.from_source({**config.source(), "generator_version": 99})
    older = {**config.source(), "generator_version": 2, "world_settings": {"biome_size": 0}}
    with pytest.raises(ValueError, match="version 2 of the world voxel; only those of version 3.* record them anew"):
        RecordConfig.from_source(older)
    with pytest.raises(ValueError, match="damaged"):
        RecordConfig.from_source({**config.source(), "weather": "rain"})
    assert RecordConfig.split_and_index("test_00017") == ("test", 17)
    with pytest.raises(ValueError, match="video 'walk_1' is none"):
        RecordConfig.split_and_index("walk_1")
