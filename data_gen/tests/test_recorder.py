"""Recording: the same bytes whatever happens on the way."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millivid.data import ClipDataset, DatasetError
from millivid.data_gen import (
    Observation,
    RecordConfig,
    VoxelConfig,
    VoxelWorld,
    World,
    WorldConfig,
    chamfer_distance,
    flat_path,
    make_world,
    record,
    recorder,
    world_names,
)
from millivid.data_gen.record_config import video_actions, world_seed

CONFIG = RecordConfig(
    world=VoxelConfig(size=(32, 32), world_size=48),
    train_videos=12,
    test_videos=2,
    test_candidates=2,
    frames=40,
    context=16,
    seed=3,
)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "clips"
    record(CONFIG, folder, processes=1, progress=False)
    return folder


def test_two_processes_give_the_same_bytes_as_one(reference: Path, tmp_path: Path) -> None:
    record(CONFIG, tmp_path / "clips", processes=2, progress=False)
    assert digests(tmp_path / "clips") == digests(reference)


def test_the_dataset_is_what_was_asked_for(reference: Path) -> None:
    data = ClipDataset(reference)
    assert data.ids("train") == [f"train_{index:05d}" for index in range(12)]
    assert len(data.ids("test")) == 2
    assert data.index.action_names == ("forward", "left", "right")
    assert data.index.source["world_settings"]["step"] == CONFIG.world.step
    clip = data.read("train_00003")
    assert clip.frames.shape == (40, 32, 32, 3)
    np.testing.assert_array_equal(clip.actions, video_actions(CONFIG, "train", 3))
    # The frame and the pose are those after the action.
    world = VoxelWorld(CONFIG.world)
    world.reset(world_seed(3, "train", 3), clip.actions)
    first = world.step(int(clip.actions[0]))
    np.testing.assert_array_equal(clip.poses[0], first.pose)
    assert np.abs(clip.frames[0].astype(float) - first.frame).mean() < 3


def test_every_video_has_a_world_of_its_own() -> None:
    seeds = {world_seed(seed, split, index) for seed in range(3) for split in ("train", "test") for index in range(500)}
    assert len(seeds) == 3 * 2 * 500
    actions = {video_actions(CONFIG, split, index).tobytes() for split in ("train", "test") for index in range(20)}
    assert len(actions) == 40


def test_test_videos_come_back_more_than_training_videos() -> None:
    scores = {}
    for split in ("train", "test"):
        paths = [flat_path(video_actions(CONFIG, split, index), 3)[:, :2] for index in range(20)]
        scores[split] = np.mean([chamfer_distance(path[:16], path[16:]) for path in paths])
    assert scores["test"] < 0.6 * scores["train"]


def test_after_a_kill_the_same_call_finishes_with_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "clips"
    script = tmp_path / "script.py"
    script.write_text(
        "from millivid.data_gen import *\n"
        "if __name__ == '__main__':\n"
        "    world = VoxelConfig(size=(32, 32), world_size=48)\n"
        "    config = RecordConfig(world=world, train_videos=12, test_videos=2, test_candidates=2, frames=40, context=16, "
        "seed=3)\n"
        f"    record(config, {str(out)!r}, processes=2, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        deadline = time.monotonic() + 300  # it may have to compile first
        while not list(out.glob("tables/[!.]*.safetensors")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with pytest.raises(DatasetError, match="unfinished"):
        ClipDataset(out)
    # The workers notice that their parent is gone; nothing writes any more.
    deadline = time.monotonic() + 20
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _group_lives(process.pid)
    done = {path: path.stat().st_mtime_ns for path in out.glob("tables/[!.]*.safetensors")}
    assert 0 < len(done) < 16
    record(CONFIG, out, processes=1, progress=False)
    assert digests(out) == digests(reference)
    for path, modified in done.items():  # recorded once, not again
        assert path.stat().st_mtime_ns == modified


def _group_lives(group: int) -> bool:
    """Whether a process of the group still runs (zombies do not count)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False


def test_control_c_keeps_what_is_recorded(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "clips"
    step, calls = VoxelWorld.step, 0

    def interrupted(self: VoxelWorld, action: int) -> object:
        nonlocal calls
        calls += 1
        if calls == 100:  # in the third video
            raise KeyboardInterrupt
        return step(self, action)

    monkeypatch.setattr(VoxelWorld, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record(CONFIG, out, processes=1, progress=False)
    assert sorted(path.name for path in (out / "videos").glob("*.mp4")) == ["train_00000.mp4", "train_00001.mp4"]
    record(CONFIG, out, processes=1, progress=False)
    assert digests(out) == digests(reference)


def test_another_recording_is_not_mixed_in(reference: Path) -> None:
    before = digests(reference)
    other = RecordConfig(
        world=CONFIG.world, train_videos=12, test_videos=2, test_candidates=2, frames=40, context=16, seed=4
    )
    with pytest.raises(DatasetError, match=r"something else.*source\.seed = 3 where 4"):
        record(other, reference, processes=1, progress=False)
    record(CONFIG, reference, processes=1, progress=False)  # complete already: nothing changes
    assert digests(reference) == before


def test_bad_settings_are_explained() -> None:
    with pytest.raises(ValueError, match="context 300, frames 256"):
        RecordConfig(context=300)
    with pytest.raises(ValueError, match="nothing to record"):
        RecordConfig(train_videos=0, test_videos=0)


class Corridor(World):
    """A world whose frames are grey; how far its agent moves depends on the seed."""

    def reset(self, seed: int, actions: Any = None) -> Observation:
        self._z, self._step = 0.0, float(seed % 7)
        return self._observe()

    def step(self, action: int) -> Observation:
        self._z += self._step
        return self._observe()

    def plan_actions(self, rng: np.random.Generator, num_frames: int) -> Any:
        return np.full(num_frames, int(self._step) % 3, np.int64)  # known only after a reset

    def _observe(self) -> Observation:
        pose = np.array([0, 0, self._z, 0, 0], np.float32)
        return Observation(frame=np.full((*self.config.size, 3), 99, np.uint8), pose=pose)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorridorConfig(WorldConfig):
    world = "corridor"


@pytest.fixture
def corridor(monkeypatch: pytest.MonkeyPatch) -> RecordConfig:
    monkeypatch.setattr("millivid.data_gen.recorder.world_class", lambda name: {"corridor": Corridor}[name])
    world = CorridorConfig(size=(16, 16))
    return RecordConfig(world=world, train_videos=3, test_videos=2, test_candidates=5, frames=12, context=4)


def test_the_candidates_that_go_farthest_are_the_test(corridor: RecordConfig, tmp_path: Path) -> None:
    assert record(corridor, tmp_path, processes=1, progress=False) == 0
    data = ClipDataset(tmp_path)
    steps = {index: world_seed(0, "test", index) % 7 for index in range(10)}
    best = sorted(sorted(steps, key=lambda index: (steps[index], index))[-2:])
    assert data.ids("test") == [f"test_{index:05d}" for index in best]
    assert data.ids("train") == [f"train_{index:05d}" for index in range(3)]
    assert data.verify().videos == 5  # and nothing is left of the other candidates
    assert len(list(tmp_path.rglob("*.*"))) == 5 * 2 + 1


def test_a_world_may_plan_the_agents_actions(corridor: RecordConfig, tmp_path: Path) -> None:
    record(corridor, tmp_path, processes=1, progress=False)
    for index in range(3):
        expected = world_seed(0, "train", index) % 7 % 3
        assert (ClipDataset(tmp_path).actions(f"train_{index:05d}") == expected).all()


def test_shares_record_the_same_dataset(corridor: RecordConfig, tmp_path: Path) -> None:
    record(corridor, tmp_path / "one", processes=1, progress=False)
    shares = tmp_path / "shares"
    missing = [record(corridor, shares, processes=1, progress=False, share=(number, 3)) for number in (2, 0)]
    assert missing == [9, 4]  # of 13
    with pytest.raises(DatasetError, match="unfinished"):
        ClipDataset(shares)
    assert record(corridor, shares, processes=1, progress=False, share=(1, 3)) == 0
    assert digests(shares) == digests(tmp_path / "one")
    for number in range(3):  # again: nothing to do
        assert record(corridor, shares, processes=1, progress=False, share=(number, 3)) == 0
    assert digests(shares) == digests(tmp_path / "one")
    with pytest.raises(ValueError, match="share 3 of 3 does not exist; they are numbered 0 to 2"):
        record(corridor, shares, progress=False, share=(3, 3))


def test_a_share_that_finds_the_dataset_finished_meanwhile(
    corridor: RecordConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(corridor, tmp_path / "one", processes=1, progress=False)
    choose, shares = recorder._choose, tmp_path / "shares"

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(recorder, "_choose", choose)
        assert record(corridor, shares, processes=1, progress=False, share=(0, 2)) == 0
        return choose(*arguments)  # of candidates that are deleted by now

    record(corridor, shares, processes=1, progress=False, share=(0, 2))
    monkeypatch.setattr(recorder, "_choose", late)
    assert record(corridor, shares, processes=1, progress=False, share=(1, 2)) == 0
    assert digests(shares) == digests(tmp_path / "one")


def test_killed_while_candidates_are_deleted(
    corridor: RecordConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(corridor, tmp_path / "one", processes=1, progress=False)
    unlink, out = Path.unlink, tmp_path / "out"

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "test_00000.mp4":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        record(corridor, out, processes=1, progress=False)
    monkeypatch.undo()
    monkeypatch.setattr("millivid.data_gen.recorder.world_class", lambda name: {"corridor": Corridor}[name])
    assert (out / "videos" / "test_00000.mp4").is_file()
    record(corridor, out, processes=1, progress=False)
    assert digests(out) == digests(tmp_path / "one")


def test_a_video_that_was_deleted_is_made_again(corridor: RecordConfig, tmp_path: Path) -> None:
    record(corridor, tmp_path, processes=1, progress=False)
    before = digests(tmp_path)
    (tmp_path / "videos" / "train_00001.mp4").unlink()
    record(corridor, tmp_path, processes=1, progress=False)
    assert digests(tmp_path) == before


def test_a_world_of_another_package_is_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Entry:
        name = "corridor"

        def load(self) -> type[Corridor]:
            return Corridor

    monkeypatch.setattr(Corridor, "Config", CorridorConfig)
    monkeypatch.setattr("millivid.data_gen.world.entry_points", lambda group, name="corridor": [Entry()])
    assert world_names() == ["corridor"]
    world = make_world("corridor", size=(16, 24))
    assert world.reset(3).frame.shape == (16, 24, 3)
    config = RecordConfig(world=world.config, train_videos=1, test_videos=0, frames=5, context=2)
    record(config, tmp_path, processes=1, progress=False)
    source = ClipDataset(tmp_path).index.source
    assert source["world"] == "corridor" and RecordConfig.from_source(source) == config


def test_settings_that_change_nothing_are_not_recorded() -> None:
    one, two = (RecordConfig(world=make_world("minetest", maps=maps).config) for maps in ("/one", "/two"))
    assert one.source() == two.source() and "maps" not in one.source()["world_settings"]


def test_a_video_that_cannot_be_recorded_is_named(
    corridor: RecordConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[None] = []

    def dies(self: Corridor, action: int) -> Observation:
        raise ChildProcessError("the game ended")

    monkeypatch.setattr(Corridor, "step", dies)
    monkeypatch.setattr(Corridor, "close", lambda self: closed.append(None))
    with pytest.raises(ChildProcessError, match="video train_00000 cannot be recorded: the game ended"):
        record(corridor, tmp_path, processes=1, progress=False)
    assert closed == [None]


def test_a_remake_that_is_killed_records_no_candidates_again(
    corridor: RecordConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(corridor, tmp_path, processes=1, progress=False)
    before = digests(tmp_path)
    for video in ("train_00000", "train_00001"):
        (tmp_path / "videos" / f"{video}.mp4").unlink()
    step, calls = Corridor.step, 0

    def interrupted(self: Corridor, action: int) -> Observation:
        nonlocal calls
        calls += 1
        if calls == 15:  # in the second one
            raise KeyboardInterrupt
        return step(self, action)

    monkeypatch.setattr(Corridor, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record(corridor, tmp_path, processes=1, progress=False)
    with pytest.raises(DatasetError, match="unfinished"):
        ClipDataset(tmp_path)
    record(corridor, tmp_path, processes=1, progress=False)
    assert calls == 15 + 12  # one video of 12 frames, and no candidate
    assert digests(tmp_path) == before
