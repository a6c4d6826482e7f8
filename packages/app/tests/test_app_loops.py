"""Loops: generated along a way that comes back, and judged without true frames."""

from pathlib import Path

import numpy as np
import pytest

from millivid.app.cli import main
from millivid.app.generate import GenerateConfig, _batches
from millivid.app.loops import Way, loop_report, loop_ways
from millivid.app.surfaces import VoxelSurfaces
from millivid.command import ConfigError
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.eval import PSNRMetric, VideosInMemory
from millivid.eval.loop_closure import loop_closure

CONTEXT = 84


@pytest.fixture(scope="module")
def looped(walk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("loops") / "generated"
    words = f"data={walk}/clips tokenizer={walk}/tokenizer/model model={walk}/video/model out={out} steps=2 loop=6"
    assert main(["generate", *words.split()]) == 0
    return out


def test_a_loop_leads_back_to_the_last_context_frame(walk: Path, looped: Path) -> None:
    truth, made = ClipDataset(walk / "clips"), ClipDataset(looped)
    assert made.index.source["loop"] == 6 and "frames" not in made.index.source
    assert made.ids() == truth.ids("test")
    for id in made.ids():
        clip, recorded = made.read(id), truth.read(id)
        np.testing.assert_array_equal(clip.frames[:CONTEXT], recorded.frames[:CONTEXT])
        np.testing.assert_array_equal(clip.actions[: CONTEXT + 6], recorded.actions[: CONTEXT + 6])
        np.testing.assert_array_equal(clip.poses[:CONTEXT], recorded.poses[:CONTEXT])
        np.testing.assert_allclose(
            clip.poses[CONTEXT : CONTEXT + 6, [0, 2]], recorded.poses[CONTEXT:][:6, [0, 2]], atol=1e-4
        )
        assert len(clip) == CONTEXT + 6 + (6 + 12 if 0 in clip.actions[CONTEXT : CONTEXT + 6] else 6)
        np.testing.assert_allclose(clip.poses[-1], clip.poses[CONTEXT - 1], atol=1e-4)


def test_the_report_of_loops(looped: Path) -> None:
    made = ClipDataset(looped)
    found = loop_report(looped, metrics=[PSNRMetric()])
    assert list(found) == ["psnr"]
    closure = found["psnr"]
    turned = [id for id in made.ids() if 0 in made.actions(id)[CONTEXT : CONTEXT + 6]]
    assert set(turned) <= set(closure.per_video)
    for id in turned:
        returns = closure.per_video[id]
        assert (CONTEXT - 1, made.num_frames(id) - 1) in zip(returns.first, returns.second, strict=True)
    assert closure.overall.closure.value > 0


def test_the_true_world_closes_the_loops(walk: Path) -> None:
    """The ways lead back in the world itself, whose frames are the same again; without its memory they are not."""
    dataset = ClipDataset(walk / "clips")
    surfaces = VoxelSurfaces(dataset)
    ids = dataset.ids("test")
    ways = loop_ways(dataset, ids, CONTEXT, 64)
    frames, poses, forgetful = {}, {}, {}
    for id in ids:
        world = surfaces.world(id)
        observations = [world.step(int(action)) for action in ways[id].actions]
        frames[id] = np.stack([observation.frame for observation in observations])
        walked = np.stack([observation.pose for observation in observations])
        np.testing.assert_allclose(walked[:, [0, 2, 4]], ways[id].poses[:, [0, 2, 4]], atol=1e-3)
        turns = (walked[:, 3] - ways[id].poses[:, 3] + 180) % 360 - 180
        np.testing.assert_allclose(turns, 0, atol=1e-3)
        poses[id] = ways[id].poses
        forgetful[id] = np.random.default_rng(0).permutation(frames[id])
    true = loop_closure(VideosInMemory(frames), poses, PSNRMetric(), context=CONTEXT)
    assert set(true.per_video) == set(ids)
    assert true.overall.closure.value < 1e-3
    assert loop_closure(VideosInMemory(forgetful), poses, PSNRMetric(), context=CONTEXT).overall.closure.value > 0.3


def test_batches_hold_videos_of_one_length() -> None:
    lengths = {"a": 4, "b": 6, "c": 4, "d": 4, "e": 6}
    ways = {id: Way(actions=np.zeros(n, np.int64), poses=np.zeros((n, 5), np.float32)) for id, n in lengths.items()}
    assert _batches(list("abcde"), ways, 2) == [["a", "c"], ["d"], ["b", "e"]]


def test_what_cannot_work_is_explained(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = {"data": walk / "clips", "model": tmp_path, "tokenizer": tmp_path, "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=r"loop=6 says how many frames there are; leave frames=5 out"):
        GenerateConfig(**places, loop=6, frames=5)
    words = f"data={walk}/clips tokenizer={walk}/tokenizer/model model={walk}/video/model out={tmp_path}/x"
    assert main(["generate", *words.split(), "loop=500"]) == 2
    assert "lower loop= or context=" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds no generated clips"):
        loop_report(walk / "clips", [PSNRMetric()])


def test_a_world_without_a_way_back_is_told(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path / "clips", fps=20, size=(16, 16), action_names=["ahead"], source={})
    poses = np.zeros((30, 5), np.float32)
    poses[:, 2] = np.arange(30)
    writer.write("a", Clip(frames=np.zeros((30, 16, 16, 3), np.uint8), actions=np.zeros(30, np.int64), poses=poses))
    writer.finish({"test": ["a"]})
    with pytest.raises(ConfigError, match=r"allows no loops: no action undoes action 0 .*\(its actions: 0 ahead\)"):
        loop_ways(ClipDataset(tmp_path / "clips"), ["a"], 8, 8)
