"""Surfaces of recorded videos: from the world that the video shows, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from millivid.app.surfaces import VoxelSurfaces, surfaces_of
from millivid.data import ClipDataset, ClipWriter, DatasetError
from millivid.data_gen import RecordConfig, VoxelConfig, record

WORLD = VoxelConfig(size=(32, 32), world_size=48)


@pytest.fixture(scope="module", params=[True, False], ids=["clear_path", "stopped"])
def clips(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    folder = tmp_path_factory.mktemp("recorded") / "clips"
    settings = {"train_videos": 2, "test_videos": 1, "frames": 24, "context": 8, "seed": 4, "lossless": True}
    record(RecordConfig(world=WORLD, clear_path=request.param, **settings), folder, processes=1, progress=False)
    return ClipDataset(folder)


def copy(clips: ClipDataset, folder: Path, frames: int, source: dict[str, object]) -> ClipDataset:
    """The first frames of a dataset's first video, with another word on where it comes from."""
    index = clips.index
    names = {"action_names": index.action_names, "source": {**index.source, **source}}
    writer = ClipWriter(folder, fps=index.fps, size=index.size, **names)
    writer.write("train_00000", clips.read("train_00000", 0, frames))
    writer.finish({"train": ["train_00000"]})
    return ClipDataset(folder)


def test_the_world_is_the_one_in_the_video(clips: ClipDataset) -> None:
    surfaces = surfaces_of(clips)
    assert surfaces is not None
    for id in (*clips.ids(), clips.ids()[0]):
        clip = clips.read(id)
        world = surfaces.world(id)
        np.testing.assert_array_equal(np.stack([world.render(pose) for pose in clip.poses]), clip.frames)
        ids = surfaces.surfaces(id, 3, 9)
        assert ids.dtype == np.int64
        np.testing.assert_array_equal(ids, np.stack([world.surfaces(pose).ids for pose in clip.poses[3:9]]))
    assert surfaces.surfaces(clips.ids()[0], 5, 5).shape == (0, 32, 32)


def test_equal_poses_show_equal_surfaces_in_a_video_and_not_in_another_one(clips: ClipDataset) -> None:
    surfaces = VoxelSurfaces(clips)
    first = surfaces.surfaces("train_00000", 0, 24)
    np.testing.assert_array_equal(surfaces.surfaces("train_00000", 10, 11)[0], first[10])
    other = surfaces.surfaces("train_00001", 0, 24)
    shared = np.isin(first[first >= 0], other[other >= 0]).mean()
    assert np.isin(first[1][first[1] >= 0], first[0]).mean() > 0.5 > shared


def test_other_clips_have_none(clips: ClipDataset, tmp_path: Path) -> None:
    assert surfaces_of(copy(clips, tmp_path / "newer", 24, {"generator_version": 99})) is None
    assert surfaces_of(copy(clips, tmp_path / "other", 24, {"generator": "a game"})) is None
    short = copy(clips, tmp_path / "short", 10, {})
    assert surfaces_of(short) is None
    shortened = VoxelSurfaces(short)
    with pytest.raises(DatasetError, match="has 10 frames, but was recorded with 24"):
        shortened.surfaces("train_00000", 0, 5)
    with pytest.raises(DatasetError, match="are not all in it"):
        VoxelSurfaces(clips).surfaces("train_00000", 20, 30)
