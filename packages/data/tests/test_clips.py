"""Clip datasets: roundtrip, continuing, and errors that say what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from millivid.data import Clip, ClipDataset, ClipWriter, DatasetError, LatentDataset

SETTINGS: dict[str, Any] = {
    "fps": 20,
    "size": (32, 48),
    "action_names": ["forward", "left", "right"],
    "source": {"world": "test", "seed": 3, "nested": {"size": (1, 2)}},
    "lossless": True,
}


def random_clip(seed: int, frames: int = 40) -> Clip:
    rng = np.random.default_rng(seed)
    return Clip(
        frames=rng.integers(0, 256, (frames, 32, 48, 3), dtype=np.uint8),
        actions=rng.integers(0, 3, frames),
        poses=rng.normal(size=(frames, 5)).astype(np.float32),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = ClipWriter(tmp_path / "clips", **SETTINGS)
    for seed, video in enumerate(("a", "b", "c")):
        writer.write(video, random_clip(seed, 40 + seed))
    writer.finish({"train": ["b", "a"], "test": ["c"]})
    return tmp_path / "clips"


def test_roundtrip(folder: Path) -> None:
    data = ClipDataset(folder)
    assert len(data) == 3
    assert data.ids("train") == ["b", "a"]
    assert data.ids() == ["b", "a", "c"]
    assert data.index.size == (32, 48)
    assert data.index.action_names == ("forward", "left", "right")
    assert data.index.source["seed"] == 3
    assert data.index.lossless
    for seed, video in enumerate(("a", "b", "c")):
        clip, truth = data.read(video), random_clip(seed, 40 + seed)
        assert data.num_frames(video) == 40 + seed == len(clip)
        for name in ("frames", "actions", "poses"):
            np.testing.assert_array_equal(getattr(clip, name), getattr(truth, name))
            assert getattr(clip, name).dtype == getattr(truth, name).dtype


def test_single_frames_are_those_of_the_whole(folder: Path) -> None:
    data = ClipDataset(folder)
    whole = data.read("c").frames
    for indices in ([0], [41], [17, 3, 17, 30, 31], [], list(range(42))[::-1]):
        np.testing.assert_array_equal(data.frames("c", indices), whole[indices])
        assert data.frames("c", indices).shape == (len(indices), 32, 48, 3)
    with pytest.raises(DatasetError, match="has 42 frames; frames 42 to 43"):
        data.frames("c", [3, 42])
    with pytest.raises(DatasetError, match="has 42 frames"):
        data.frames("c", [-1])


def test_any_span_has_frames_actions_and_poses_of_that_span(folder: Path) -> None:
    data, truth = ClipDataset(folder), random_clip(0)
    for start, stop in ((0, 1), (15, 17), (16, 16), (31, 40)):
        clip = data.read("a", start, stop)
        np.testing.assert_array_equal(clip.frames, truth.frames[start:stop])
        np.testing.assert_array_equal(clip.actions, truth.actions[start:stop])
        np.testing.assert_array_equal(clip.poses, truth.poses[start:stop])
    np.testing.assert_array_equal(data.poses("a", 3), truth.poses[3:])


def test_an_index_is_frozen(folder: Path) -> None:
    with pytest.raises(AttributeError):
        ClipDataset(folder).index.fps = 3  # type: ignore[misc]


def test_unfinished_dataset_is_refused_then_continued(tmp_path: Path) -> None:
    out = tmp_path / "clips"
    ClipWriter(out, **SETTINGS).write("a", random_clip(0))
    with pytest.raises(DatasetError, match=r"unfinished.*[Rr]un the same command again"):
        ClipDataset(out)
    writer = ClipWriter(out, **SETTINGS)
    assert writer.done("a")
    assert not writer.done("b")
    writer.write("b", random_clip(1))
    (out / "videos" / ".writing-1-c.mp4").write_bytes(b"half")  # what a kill leaves behind
    writer.finish({"train": ["a", "b"]})
    assert ClipDataset(out).ids("train") == ["a", "b"]
    assert sorted(path.name for path in (out / "videos").iterdir()) == ["a.mp4", "b.mp4"]


def test_a_video_without_its_table_is_not_done(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path / "clips", **SETTINGS)
    writer.write("a", random_clip(0))
    (tmp_path / "clips" / "tables" / "a.safetensors").unlink()
    assert not writer.done("a")
    with pytest.raises(DatasetError, match="'a', which is not in the dataset"):
        writer.finish({"train": ["a"]})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": {**SETTINGS["source"], "seed": 4}}, r"source\.seed = 3 where 4"),
        ({"fps": 10}, "fps = 20 where 10"),
        ({"size": (32, 32)}, r"size = \[32, 48\] where \[32, 32\]"),
        ({"lossless": False}, "lossless"),
    ],
)
def test_other_settings_are_refused(folder: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=f"holds something else.*{message}.*choose another or delete it"):
        ClipWriter(folder, **{**SETTINGS, **changed})


def test_folders_with_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match=r"holds something else.*thesis\.tex"):
        ClipWriter(tmp_path, **SETTINGS)
    with pytest.raises(DatasetError, match=r"holds something else \(a file\)"):
        ClipWriter(tmp_path / "thesis.tex", **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def edit_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / "dataset.json").read_text())
    change(value)
    (folder / "dataset.json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(version=3), "is version 3 of millivid-clips; this release .* reads versions 1 to 2"),
        (lambda v: v.update(version=True), "is version True"),
        (lambda v: v.update(fps=0), "fps: expected float >= 0.01"),
        (lambda v: v.update(fps=float("nan")), "NaN is no number of JSON"),
        (lambda v: v.update(size=[0, 48]), r"size.*: expected int >= 1"),
        (lambda v: v.update(size="3248"), "size: expected array, got str"),
        (lambda v: v.update(action_names=[1, 2, 3]), "action_names.*: expected str, got int"),
        (lambda v: v.update(pose_names=["x", "x"]), "names x, x are not all different"),
        (lambda v: v["videos"]["a"].update(frames=1e30), "frames.*: expected int, got float"),
        (lambda v: v["videos"]["a"].update(frames=-1), "frames.*: expected int >= 1"),
        (lambda v: v.update(action_type="spoken"), "action_type: invalid enum value 'spoken'"),
        (lambda v: v["videos"].update({"../a": v["videos"]["a"]}), r"the video id '../a' cannot be a file name"),
        (lambda v: v["videos"].update({"/a": v["videos"]["a"]}), "the video id '/a' cannot be a file name"),
        (lambda v: v["videos"].update({"a\n": v["videos"]["a"]}), r"the video id 'a\\n' cannot be a file name"),
        (lambda v: v["videos"].update({"a" * 201: v["videos"]["a"]}), "'a+' cannot be a file name"),
        (lambda v: v["videos"].update({"": v["videos"]["a"]}), "the video id '' cannot be a file name"),
        (lambda v: v["videos"]["a"].update(video_sha256="0" * 63 + "\n"), "sha256.*: expected str matching"),
        (lambda v: v.update(action_names=["a", "\x1b[2J", "c"]), r"actions: '\\x1b\[2J' is no name"),
        (lambda v: v.update(pose_names=["x" * 201]), "columns of poses: 'x+' is no name"),
        (lambda v: v["splits"].update({"a\nb": []}), r"splits: 'a\\nb' is no name"),
        (lambda v: v.update(fps=10**400), "more digits than a whole number"),
        (lambda v: v.update(format="pickles"), "found 'pickles'"),
        (lambda v: v.pop("fps"), "lacks the entry fps"),
        (lambda v: v.update(size=3), "size: expected array, got int"),
        (lambda v: v["splits"]["test"].append("zebra"), "names the video 'zebra'"),
        (lambda v: v["splits"]["test"].append("a"), "'a' is in split 'train' and in split 'test'"),
    ],
)
def test_bad_indices_are_refused(folder: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit_index(folder, change)
    with pytest.raises(DatasetError, match=message):
        ClipDataset(folder)


def test_missing_dataset_and_wrong_reader(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        ClipDataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no dataset\.json"):
        ClipDataset(folder / "videos")
    with pytest.raises(DatasetError, match="it is a dataset of clips"):
        LatentDataset(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="no valid JSON"):
        ClipDataset(folder)


def test_damaged_files_are_named(folder: Path) -> None:
    data = ClipDataset(folder)
    video, table = folder / "videos" / "a.mp4", folder / "tables" / "a.safetensors"
    edit_index(folder, lambda v: v["videos"]["b"].update(frames=50))
    with pytest.raises(DatasetError, match=r"b\.mp4: ends after 41 frames, but frames 0 to 49"):
        ClipDataset(folder).read("b")
    with pytest.raises(DatasetError, match=r"b\.safetensors: 'actions' has shape \[41\], but dataset.json says \[50\]"):
        ClipDataset(folder).read("b", 0, 10)
    with pytest.raises(DatasetError, match=r"b\.mp4: ends before frame 41"):
        ClipDataset(folder).frames("b", [2, 41])
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read.*make it again"):
        data.read("a", 0, 1)
    save_file({"actions": np.zeros(40, np.int32)}, table)
    with pytest.raises(DatasetError, match="'actions' is I32, but I64"):
        data.actions("a")
    with pytest.raises(DatasetError, match="has no array 'poses'"):
        data.poses("a")
    table.unlink()
    with pytest.raises(DatasetError, match="no such file"):
        data.actions("a")
    video.unlink()
    with pytest.raises(DatasetError, match="no such video file"):
        data.read("a")
    with pytest.raises(DatasetError, match="no such video file"):
        data.frames("a", [0])


def test_unknown_ids_splits_and_spans(folder: Path) -> None:
    data = ClipDataset(folder)
    with pytest.raises(DatasetError, match="no video 'zebra'; it has 3 videos, 'b' to 'c'"):
        data.read("zebra")
    with pytest.raises(DatasetError, match=r"no split 'valid'; it has \['test', 'train'\]"):
        data.ids("valid")
    for start, stop in ((0, 41), (-1, 3), (5, 4)):
        with pytest.raises(DatasetError, match="has 40 frames"):
            data.read("a", start, stop)


def test_clips_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path / "clips", **SETTINGS)
    clip = random_clip(0)
    with pytest.raises(DatasetError, match=r"must lie in 0\.\.2 \(forward, left, right\)"):
        writer.write("a", Clip(frames=clip.frames, actions=clip.actions + 1, poses=clip.poses))
    with pytest.raises(DatasetError, match="32x48 pixels is expected"):
        writer.write("a", Clip(frames=clip.frames[:, :16], actions=clip.actions, poses=clip.poses))
    with pytest.raises(DatasetError, match=r"poses are float32 \[40, 5\]; got float32 \[40, 4\]"):
        writer.write("a", Clip(frames=clip.frames, actions=clip.actions, poses=clip.poses[:, :4]))
    with pytest.raises(DatasetError, match="cannot be a file name"):
        writer.write("../a", clip)
    with pytest.raises(ValueError, match="one action and one pose per frame"):
        Clip(frames=clip.frames, actions=clip.actions[1:], poses=clip.poses)
    with pytest.raises(ValueError, match=r"clip.actions must be int64 \[frame\]; got float64"):
        Clip(frames=clip.frames, actions=clip.actions.astype(float), poses=clip.poses)  # type: ignore[arg-type]


def test_continuous_actions_and_missing_poses(tmp_path: Path) -> None:
    settings = {**SETTINGS, "action_type": "continuous", "pose_names": ()}
    for names in (["speed", "turn"], []):  # none: nothing is known of the actions
        folder = tmp_path / f"clips{len(names)}"
        writer = ClipWriter(folder, **{**settings, "action_names": names})
        clip, rng = random_clip(0), np.random.default_rng(1)
        actions = rng.normal(size=(40, len(names))).astype(np.float32)
        writer.write("a", Clip(frames=clip.frames, actions=actions, poses=np.zeros((40, 0), np.float32)))
        writer.finish({"train": ["a"]})
        data = ClipDataset(folder)
        assert data.index.action_type == "continuous" and data.index.action_names == tuple(names)
        np.testing.assert_array_equal(data.actions("a", 3, 9), actions[3:9])
        assert data.read("a", 3, 9).actions.dtype == np.float32 and data.poses("a").shape == (40, 0)
        assert data.verify().hashes == 1


def test_actions_that_do_not_fit_the_dataset_are_refused(tmp_path: Path) -> None:
    clip, poses = random_clip(0), np.zeros((40, 5), np.float32)
    writer = ClipWriter(tmp_path / "clips", **{**SETTINGS, "action_names": ["x", "y"], "action_type": "continuous"})
    for actions, told in (
        (clip.actions, r"continuous actions are float32 \[40, 2\]; got int64 \[40\]"),
        (np.zeros((40, 3), np.float32), r"float32 \[40, 2\]; got float32 \[40, 3\]"),
        (np.full((40, 2), np.nan, np.float32), "hold NaN or infinity"),
    ):
        with pytest.raises(DatasetError, match=told):
            writer.write("a", Clip(frames=clip.frames, actions=actions, poses=poses))
    categorical = ClipWriter(tmp_path / "other", **SETTINGS)
    with pytest.raises(DatasetError, match=r"categorical actions are int64 \[40\]; got float32 \[40, 2\]"):
        categorical.write("a", Clip(frames=clip.frames, actions=np.zeros((40, 2), np.float32), poses=poses))
    assert not list(tmp_path.rglob("*.mp4"))


def to_version_1(folder: Path) -> None:
    """What an older release wrote: no kind of action, no hashes."""
    index = folder / "dataset.json"
    value = json.loads(index.read_text())
    value["version"] = 1
    del value["action_type"]
    for entry in value["videos"].values():
        del entry["video_sha256"], entry["table_sha256"]
    index.write_text(json.dumps(value))


def test_version_1_is_read(folder: Path) -> None:
    to_version_1(folder)
    data = ClipDataset(folder)
    np.testing.assert_array_equal(data.actions("b"), random_clip(1, 41).actions)
    found = data.verify()
    assert (found.videos, found.hashes) == (3, 0)
    video = folder / "videos" / "b.mp4"
    video.write_bytes(video.read_bytes()[:-2000])  # without a hash it is decoded from end to end
    with pytest.raises(DatasetError, match="b.mp4"):
        ClipDataset(folder).verify()


def flip(path: Path, at: int = -100) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def swap(folder: Path) -> None:
    first, second = folder / "tables" / "a.safetensors", folder / "tables" / "b.safetensors"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: flip(folder / "videos" / "b.mp4"), r"b\.mp4: its content has changed since it was written"),
        (lambda folder: flip(folder / "tables" / "b.safetensors"), r"b\.safetensors: its content has changed"),
        (lambda folder: (folder / "videos" / "b.mp4").unlink(), r"b\.mp4: no such file"),
        (lambda folder: (folder / "tables" / "b.safetensors").write_bytes(b""), r"b\.safetensors: cannot be read"),
        (lambda folder: (folder / "videos" / "x.mp4").write_bytes(b""), r"x\.mp4: dataset\.json lists no such video"),
        (swap, r"2 of 6 files are missing or damaged: b\.safetensors, a\.safetensors\. The first: .*'actions' has shape"),
    ],
)  # fmt: skip
def test_a_changed_file_is_named(folder: Path, damage: Callable[[Path], None], told: str) -> None:
    assert ClipDataset(folder).verify().hashes == 3
    damage(folder)
    with pytest.raises(DatasetError, match=told):
        ClipDataset(folder).verify()


def test_damage_before_finishing_is_noticed(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path, **SETTINGS)
    for seed, video in enumerate(("a", "b")):
        writer.write(video, random_clip(seed))
    flip(tmp_path / "videos" / "a.mp4")
    with pytest.raises(DatasetError, match=r"a\.mp4: its content has changed.*delete it and make it again"):
        writer.finish({"train": ["a", "b"]})
    (tmp_path / "videos" / "a.mp4").unlink()
    assert writer.written() == {"b"}
    writer.write("a", random_clip(0))
    writer.finish({"train": ["a", "b"]})
    index = (tmp_path / "dataset.json").read_bytes()
    writer.finish({"train": ["a", "b"]})  # again: the same
    assert (tmp_path / "dataset.json").read_bytes() == index
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "a.mp4", "a.safetensors", "b.mp4", "b.safetensors", "dataset.json",
    ]  # fmt: skip


def test_videos_in_no_split_are_left_out(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path, **SETTINGS)
    for seed, video in enumerate(("a", "b", "c")):
        writer.write(video, random_clip(seed))
    assert not writer.complete()
    writer.finish({"test": ["b"]})
    assert writer.complete() and writer.written() == {"b"}
    assert ClipDataset(tmp_path).verify().videos == 1


def test_a_finished_dataset_that_is_written_to_is_unfinished(folder: Path) -> None:
    writer = ClipWriter(folder, **SETTINGS)
    index = (folder / "dataset.json").read_bytes()
    assert ClipDataset(folder).verify().videos == 3
    writer.write("a", random_clip(0, 40))
    with pytest.raises(DatasetError, match="unfinished"):
        ClipDataset(folder)
    writer.finish({"train": ["b", "a"], "test": ["c"]})
    assert (folder / "dataset.json").read_bytes() == index
    writer.write("a", random_clip(0, 40))
    assert not writer.complete() and writer.splits() == {"train": ["b", "a"], "test": ["c"]}
