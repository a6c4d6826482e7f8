"""An inspection counts what is there, flags what is wrong, and flags nothing else."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError
from numpy.typing import NDArray

from millivid.data import POSE_NAMES, Clip, ClipDataset, ClipWriter
from millivid.data.inspection import Inspection, inspect_clips, inspection_text, write_inspection
from millivid.data.inspection.frames import sample_moments, sample_videos
from millivid.data.inspection.tables import Travel, find_returns

FORWARD, LEFT, RIGHT = range(3)
NAMES = ("forward", "left", "right")
FPS = 4
"""So that a second, the least stretch of being stuck, is 4 frames, and what comes back was left 8 frames before."""
CIRCLE = 20
"""Frames of a circle of steps of length 1, which turns 18 degrees with each."""


def pictures(poses: NDArray[np.float32], seed: int) -> NDArray[np.uint8]:
    """What a camera sees in a world of waves: another picture at every place and in every direction."""
    x, _, z, yaw, _ = poses.T
    down, right = np.mgrid[0:16, 0:24, 0:1][:2] / 4
    phases = np.stack([x + yaw / 9, z - yaw / 7, x - z + yaw / 5], axis=1) + np.random.default_rng(seed).uniform(
        0, 6, 3
    )
    waves = np.sin(down * [1, 2, 1.5] + right * [1.5, 1, 0.7] + phases[:, None, None])
    return np.round(120 + 80 * waves).astype(np.uint8)


def walk(actions: Sequence[int], turn: float = 18.0, blocked: Sequence[int] = ()) -> NDArray[np.float32]:
    """The pose after each action: a step of 1 ahead, also in turns; nothing in the blocked frames."""
    x, z, yaw = 0.0, 0.0, 0.0
    poses = []
    for frame, action in enumerate(actions):
        if frame not in blocked:
            yaw = (yaw + (0, -turn, turn)[action]) % 360
            x, z = x - np.sin(np.radians(yaw)), z + np.cos(np.radians(yaw))
        poses.append([x, 0, z, yaw, 0])
    return np.array(poses, np.float32)


def clip(actions: Sequence[int], seed: int, blocked: Sequence[int] = ()) -> Clip:
    poses = walk(actions, blocked=blocked)
    return Clip(frames=pictures(poses, seed), actions=np.array(actions, np.int64), poses=poses)


def straight(seed: int, frames: int = 48) -> Clip:
    """Ahead, with a few turns left and right again that differ from video to video."""
    actions = [FORWARD] * frames
    for place in range(2 + seed % 5, frames - 1, 6 + seed % 3):
        actions[place], actions[place + 1] = LEFT, RIGHT
    return clip(actions, seed)


def circles(seed: int, frames: int = 48) -> Clip:
    return clip([RIGHT] * frames, seed)


def clean() -> dict[str, Clip]:
    return {f"v{seed}": straight(seed) for seed in range(6)}


def write(
    folder: Path, clips: Mapping[str, Clip], splits: Mapping[str, Sequence[str]] | None = None, **settings: Any
) -> Path:
    first = next(iter(clips.values()))
    given: dict[str, Any] = {
        "fps": FPS,
        "size": first.frames.shape[1:3],
        "action_names": NAMES,
        "source": {"made": "here"},
    }
    writer = ClipWriter(folder, **given | {"lossless": True} | settings)
    for video, one in clips.items():
        writer.write(video, one)
    ids = list(clips)
    writer.finish(splits if splits is not None else {"train": ids[:-2], "test": ids[-2:]})
    return folder


def inspect(folder: Path, **settings: Any) -> Inspection:
    return inspect_clips(ClipDataset(folder), **settings)


def changed(one: Clip, **arrays: Any) -> Clip:
    return dataclasses.replace(one, **arrays)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("inspection") / "good", clean())


def test_counts_are_exact(good: Path) -> None:
    found = inspect(good)
    assert found.videos.frames.tolist() == [48] * 6
    assert found.splits[["videos", "frames", "hours"]].to_dict("index") == {
        "train": {"videos": 4, "frames": 192, "hours": 192 / 4 / 3600},
        "test": {"videos": 2, "frames": 96, "hours": 96 / 4 / 3600},
    }
    actions = np.concatenate([one.actions for one in clean().values()])
    assert found.actions.frames.tolist() == [(actions == action).sum() for action in range(3)]
    assert found.actions.share.sum() == pytest.approx(1)
    assert found.videos.bytes.sum() == sum(path.stat().st_size for path in good.glob("*/*"))
    assert found.travel is not None
    assert found.travel.step == pytest.approx(1, abs=1e-5)
    assert found.travel.turn == pytest.approx(18, abs=1e-4)
    assert found.videos.distance.tolist() == pytest.approx([47] * 6, abs=1e-3)


def test_actions_are_held_for_their_mean_run(tmp_path: Path) -> None:
    one = clip([0, 0, 0, 1, 0, 1, 1, 1, 1, 1, 2, 2], 0)
    found = inspect(write(tmp_path / "clips", {"a": one}, {"train": ["a"]}))
    assert found.actions[["frames", "held"]].to_numpy().tolist() == [[4, 2.0], [6, 3.0], [2, 2.0]]


def test_statistics_of_frames_are_those_of_the_sampled_frames(good: Path) -> None:
    found, data = inspect(good, frames_per_video=3), ClipDataset(good)
    assert found.pixels is not None
    assert found.pixels["frames"] == 18
    moments = sample_moments(48, 3)
    here = np.concatenate([data.frames(id, moments) for id in data.ids()]).astype(float)
    there = np.concatenate([data.frames(id, [m + 1 for m in moments]) for id in data.ids()]).astype(float)
    assert found.pixels["mean"] == pytest.approx(tuple(here.mean(axis=(0, 1, 2))))
    assert found.pixels["std"] == pytest.approx(tuple(here.std(axis=(0, 1, 2))))
    assert found.pixels["difference"] == pytest.approx(np.abs(here - there).mean())


def test_a_good_dataset_has_no_flags(good: Path) -> None:
    found = inspect(good)
    assert found.flags == ()
    assert inspection_text(found).endswith("No problems found.\n")


def test_circles_come_back_and_straight_ways_do_not(tmp_path: Path) -> None:
    ahead = clip([FORWARD] * 48, 3)
    found = inspect(write(tmp_path / "clips", {"round": circles(1), "ahead": ahead}, {"train": ["round", "ahead"]}))
    # Frame 16 is 4 steps along the circle, 3.76 as the crow flies, from where frame 0 was; frame 15 is 4.5 from there.
    assert found.videos.places["round"] == 32 / 48
    assert (
        found.videos.views["round"] == 28 / 48
    )  # only the same frame of an earlier circle looks in the same direction
    assert found.videos.places["ahead"] == found.videos.views["ahead"] == 0
    assert found.splits.places["train"] == pytest.approx((32 / 48 + 0) / 2)


def returns(poses: NDArray[np.float32], queries: int = 1000) -> pd.DataFrame:
    return find_returns(pd.DataFrame(poses, columns=list(POSE_NAMES)), some_travel(), queries)


def test_standing_still_is_not_coming_back_and_looking_around_is_for_views() -> None:
    poses = np.zeros((40, 5), np.float32)
    assert not returns(poses).to_numpy().any()
    poses[:, 3] = np.arange(40) * 18 % 360
    found = returns(poses)
    assert not found.place.any()
    assert found.view.tolist() == [frame >= 20 for frame in range(40)]


def some_travel() -> Travel:
    return Travel(plane=("x", "z"), step=1, turn=1, radius=4, gap=8, angle=15)


def test_returns_are_those_of_the_definition() -> None:
    rng, travel = np.random.default_rng(0), some_travel()
    poses = walk(rng.choice(3, 120, p=[0.4, 0.4, 0.2]), turn=31.0)
    found = returns(poses)

    def near(i: int, j: int) -> bool:
        return bool(np.linalg.norm(poses[i, :3].astype(float) - poses[j, :3]) <= travel.radius)

    def alike(i: int, j: int) -> bool:
        turn = abs((float(poses[i, 3]) - float(poses[j, 3]) + 180) % 360 - 180)
        return near(i, j) and turn <= travel.angle

    def reference(same: Callable[[int, int], bool], t: int) -> bool:
        return any(same(t, i) and any(not same(t, k) for k in range(i + 1, t)) for i in range(0, t - travel.gap + 1))

    assert found.place.tolist() == [reference(near, t) for t in range(120)]
    assert found.view.tolist() == [reference(alike, t) for t in range(120)]
    assert 0 < found.view.sum() < found.place.sum() < 120


def test_long_videos_are_asked_about_at_evenly_chosen_frames() -> None:
    found = returns(np.tile(circles(0, CIRCLE).poses, (100, 1)), queries=100)
    assert (len(found), found.index[0], found.index[-1]) == (100, 0, 1999)
    assert found.place.mean() == pytest.approx(0.99)


Made = dict[str, Clip]


def black(clips: Made) -> None:
    frames = clips["v1"].frames.copy()
    frames[:2] = 3
    clips["v1"] = changed(clips["v1"], frames=frames)


def blank(clips: Made) -> None:
    frames = clips["v1"].frames.copy()
    frames[20:] = [200, 100, 50] + np.arange(28)[:, None, None, None].astype(np.uint8) % 2 * 3
    clips["v1"] = changed(clips["v1"], frames=frames)


def frozen(clips: Made) -> None:
    frames = clips["v1"].frames.copy()
    frames[24:] = frames[24]
    clips["v1"] = changed(clips["v1"], frames=frames)


def stuck(clips: Made) -> None:
    clips["v1"] = clip(clips["v1"].actions.tolist(), 1, blocked=range(20, 32))


def jump(clips: Made) -> None:
    poses = clips["v1"].poses.copy()
    poses[30:, 0] += 50
    clips["v1"] = changed(clips["v1"], poses=poses)


def nan_poses(clips: Made) -> None:
    poses = clips["v1"].poses.copy()
    poses[30:33, 3] = np.nan
    clips["v1"] = changed(clips["v1"], poses=poses)


def duplicate(clips: Made) -> None:
    clips["v1"] = clips["v2"]


def near_duplicate(clips: Made) -> None:
    clips["v1"] = changed(clips["v2"], frames=clips["v2"].frames + np.uint8(2))


def single_frame(clips: Made) -> None:
    clips["v1"] = straight(1, 1)


def short(clips: Made) -> None:
    clips["v1"] = straight(1, 10)


@pytest.mark.parametrize(
    "spoil", [black, blank, frozen, stuck, jump, nan_poses, duplicate, near_duplicate, single_frame, short]
)
def test_each_defect_has_its_flag_and_no_other(spoil: Callable[[Made], None], tmp_path: Path) -> None:
    clips = clean()
    spoil(clips)
    found = inspect(write(tmp_path / "clips", clips))
    assert [flag.kind for flag in found.flags] == [spoil.__name__]
    assert found.flags[0].videos == (("v1", "v2") if "duplicate" in spoil.__name__ else ("v1",))
    assert "v1" in inspection_text(found)
    write_inspection(found, tmp_path / "page")


def test_short_moments_of_what_is_meant_are_no_defects(tmp_path: Path) -> None:
    clips = clean()
    clips["v1"] = clip(
        clips["v1"].actions.tolist(), 1, blocked=[10, 11, 30, 31, 32]
    )  # walks into something, turns away
    frames = clips["v2"].frames.copy()
    frames[16:18] = [[[[90, 90, 90]]], [[[99, 99, 99]]]]  # stands in front of a wall
    clips["v2"] = changed(clips["v2"], frames=frames)
    assert inspect(write(tmp_path / "clips", clips)).flags == ()


def test_a_copy_in_another_split_is_a_leak(tmp_path: Path) -> None:
    clips = clean()
    clips["v5"] = clips["v0"]
    found = {flag.kind: flag for flag in inspect(write(tmp_path / "clips", clips)).flags}
    assert found.keys() == {"duplicate", "leak"}
    assert found["leak"].videos == ("v0", "v5")
    assert "v0 = v5" in found["leak"].sentence


def test_flags_about_the_whole_dataset(tmp_path: Path) -> None:
    def kinds(name: str, clips: Made, splits: Mapping[str, Sequence[str]], **settings: Any) -> set[tuple[str, str]]:
        return {(f.kind, f.severity) for f in inspect(write(tmp_path / name, clips, splits, **settings)).flags}

    some = {video: clips for video, clips in clean().items() if video in ("v0", "v1")}
    assert kinds("only", some, {"train": ["v0", "v1"]}) == {("no_test", "remark")}
    assert kinds("none", some, {"test": ["v0", "v1"]}) == {("no_train", "problem")}
    assert kinds("empty", some, {"train": ["v0", "v1"], "test": []}) == {("empty_split", "remark")}
    every = {"train": ["v0"], "test": ["v1"]}
    assert kinds("names", some, every, action_names=[*NAMES, "jump"]) == {("unused_action", "remark")}
    ahead = {video: clip([FORWARD] * 62 + [LEFT, RIGHT], seed) for seed, video in enumerate(some)}
    assert kinds("ahead", ahead, every) == {("dominant_action", "problem")}
    still = {video: changed(one, poses=np.zeros_like(one.poses)) for video, one in some.items()}
    assert kinds("still", still, every) == {("motionless", "problem")}
    assert kinds("nothing", some, {}) == {("empty", "problem")}


def test_videos_of_no_split_are_flagged_and_counted(tmp_path: Path) -> None:
    index = write(tmp_path / "clips", clean()) / "dataset.json"
    value = json.loads(index.read_text())
    value["splits"]["train"].remove("v2")
    index.write_text(json.dumps(value))
    found = inspect(tmp_path / "clips")
    assert [(flag.kind, flag.severity, flag.videos) for flag in found.flags] == [("no_split", "remark", ("v2",))]
    assert found.splits.videos.to_dict() == {"train": 3, "test": 2, "(no split)": 1}


def test_unreadable_files_are_flagged_and_the_rest_is_measured(good: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "clips", clean())
    path = folder / "videos" / "v0.mp4"
    path.write_bytes(path.read_bytes()[:700])
    (folder / "videos" / "v1.mp4").unlink()
    (folder / "tables" / "v2.safetensors").write_bytes(b"damaged")
    found = inspect(folder)
    assert [flag.kind for flag in found.flags] == ["unreadable"]
    assert found.flags[0].videos == ("v0", "v1", "v2")
    assert "v0.mp4" in found.flags[0].sentence
    assert found.videos.frames.sum() == 6 * 48
    pd.testing.assert_series_equal(found.videos.loc["v3"], inspect(good).videos.loc["v3"])


def test_poses_and_actions_of_other_kinds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, two = (changed(straight(seed), poses=np.zeros((48, 0), np.float32)) for seed in range(2))
    both = {"train": ["a"], "test": ["b"]}
    plain = inspect(write(tmp_path / "plain", {"a": one, "b": two}, both, pose_names=[]))
    assert (plain.flags, plain.travel) == ((), None)
    assert "poses    none" in inspection_text(plain)

    def continuous(one: Clip) -> Clip:
        actions = np.stack([np.full(48, 0.5), rng.normal(1, 2, 48)], axis=1).astype(np.float32)
        return changed(one, actions=actions, poses=one.poses[:, [0, 2]])

    names: dict[str, Any] = {"action_names": ["gas", "wheel"], "action_type": "continuous"}
    clips = {"a": continuous(straight(0)), "b": continuous(straight(1))}
    found = inspect(write(tmp_path / "continuous", clips, both, pose_names=["lat", "lon"], **names))
    assert [flag.kind for flag in found.flags] == ["constant_component"]
    wheel = np.concatenate([one.actions[:, 1] for one in clips.values()]).astype(float)
    component = found.actions.loc["wheel"]
    assert (component["mean"], component["std"]) == pytest.approx((wheel.mean(), wheel.std()))
    assert (component["low"], component["high"]) == (wheel.min(), wheel.max())
    assert component["50%"] == pytest.approx(np.median(wheel))
    flat = inspect(write(tmp_path / "flat", clips, both, pose_names=["x", "y"], **names))
    assert flat.travel is not None
    assert flat.travel.plane == ("x", "y")
    assert flat.videos.views.isna().all()
    for each in (plain, found, flat):
        write_inspection(each, tmp_path / "page")

    without = {id: changed(one, actions=np.zeros((48, 0), np.float32)) for id, one in clips.items()}
    nothing = inspect(write(tmp_path / "without", without, both, pose_names=["x", "y"], **names | {"action_names": []}))
    assert nothing.flags == ()
    assert "actions  none" in inspection_text(nothing)


def test_stuck_with_continuous_actions(tmp_path: Path) -> None:
    def drive(seed: int, blocked: Sequence[int]) -> Clip:
        one = clip([FORWARD] * 48, seed, blocked)
        gas = np.ones((48, 1), np.float32)
        gas[40:] = 0  # halts, which is no defect
        poses = one.poses.copy()
        poses[40:] = poses[39]
        return changed(one, actions=gas, poses=poses)

    clips = {"a": drive(0, ()), "b": drive(1, range(10, 20)), "c": drive(2, ())}
    splits = {"train": ["a", "b"], "test": ["c"]}
    found = inspect(write(tmp_path / "clips", clips, splits, action_names=["gas"], action_type="continuous"))
    assert [(flag.kind, flag.videos) for flag in found.flags] == [("stuck", ("b",))]
    assert found.videos.longest_stuck["b"] == 10
    assert found.videos.stuck["b"] == 10 / 48


def test_one_video_of_one_frame(tmp_path: Path) -> None:
    found = inspect(write(tmp_path / "clips", {"a": straight(0, 1)}, {"train": ["a"]}))
    assert {flag.kind for flag in found.flags} >= {"single_frame", "no_test"}
    assert found.pixels is not None
    assert np.isnan(found.pixels["difference"])
    write_inspection(found, tmp_path / "page")
    inspection_text(found)


def test_a_dataset_from_before_hashes_has_its_copies_found(tmp_path: Path) -> None:
    clips = clean()
    clips["v1"] = clips["v2"]
    index = write(tmp_path / "clips", clips) / "dataset.json"
    value = json.loads(index.read_text())
    value["version"] = 1
    del value["action_type"]
    value["videos"] = {id: {"frames": entry["frames"]} for id, entry in value["videos"].items()}
    index.write_text(json.dumps(value))
    assert inspect(tmp_path / "clips").duplicates == (("v1", "v2"),)


def test_sampling_is_even_over_splits_and_takes_small_files_too(tmp_path: Path) -> None:
    groups = {"train": [f"train_{i}" for i in range(1000)], "test": [f"test_{i}" for i in range(40)]}
    chosen = sample_videos(groups, 200)
    assert sum(video.startswith("test") for video in chosen) == 25
    assert len(set(chosen)) == len(chosen) == 192 + 25
    assert {"train_0", "train_999", "test_0", "test_39"} <= set(chosen)
    assert sample_videos(groups, 2000) == [*groups["train"], *groups["test"]]
    clips = {f"v{seed}": straight(seed, 16) for seed in range(26)}
    clips["v11"] = changed(clips["v11"], frames=np.zeros_like(clips["v11"].frames))
    found = inspect(write(tmp_path / "clips", clips), sample=4)
    assert "v11" in found.sampled
    assert len(found.sampled) < 26
    assert [flag.kind for flag in found.flags] == ["black"]
    assert found.pixels is not None
    assert found.pixels["black"] == 0  # statistics are those of the evenly chosen videos
    others = len(found.sampled) - found.pixels["videos"]
    assert f"{found.pixels['videos']} of the 26 videos" in inspection_text(found).replace("\n ", "")
    assert 0 < others <= 20


def test_moments_are_spread_and_have_neighbours() -> None:
    assert sample_moments(212, 8) == [0, 16, 48, 80, 112, 144, 176, 208]
    assert sample_moments(5, 8) == [0, 1, 2, 3]
    assert sample_moments(1, 8) == [0]
    assert sample_moments(20, 3) == [0, 9, 18]


def test_settings_are_checked(good: Path) -> None:
    with pytest.raises(ValueError, match="at least 1; got 0 and 5"):
        inspect(good, frames_per_video=0, sample=5)


def test_progress_is_given_every_video(good: Path) -> None:
    given: list[list[str]] = []

    def track(ids: Sequence[str]) -> Sequence[str]:
        given.append(list(ids))
        return ids

    inspect(good, progress=track)
    assert given == [ClipDataset(good).ids()] * 2


def test_text_fits_a_terminal(tmp_path: Path) -> None:
    long = "a_very_long_name_" * 9
    clips = {f"{long}{seed}": straight(seed, 40 + seed) for seed in range(4)}
    names = [*NAMES, *(f"unused_{i}_" * 8 for i in range(40))]
    text = inspection_text(inspect(write(tmp_path / "clips", clips, action_names=names, source={"long": long})))
    assert max(map(len, text.splitlines())) <= 100
    assert "40 to 43 frames" in text


def test_the_page_holds_everything_and_escapes_what_is_given(tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    names = [evil, "left", "right"]
    folder = write(tmp_path / "<b>&clips", clean(), source={evil: evil}, action_names=names)
    path = write_inspection(inspect(folder), tmp_path / "page")
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "page" / "index.html"
    assert "<script" not in page
    assert "<b>&clips" not in page
    assert "&lt;b&gt;&amp;clips" in page
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page)
    assert all(re.match("data:image/(png|svg.xml);base64,", source) for source in re.findall(r'src="([^"]*)"', page))
    assert page.count("data:image/png") == 6 * 8
    assert page.count("data:image/svg+xml") > 6
    assert "{{" not in page
    assert "{%" not in page


def test_the_numbers_are_valid_json(good: Path, tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    write_inspection(inspect(good), tmp_path)
    value = json.loads((tmp_path / "inspection.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert (value["format"], value["version"]) == ("millivid-inspection", 2)
    assert [video["id"] for video in value["videos"]] == ClipDataset(good).ids()
    assert value["flags"] == []
    assert value["splits"][0]["videos"] == 4


def test_the_same_dataset_gives_the_same_files(good: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_inspection(inspect(good), tmp_path / name)
    for name in ("index.html", "inspection.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_error_leaves_what_was_there(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspect(good)
    (tmp_path / "index.html").write_text("before")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_inspection(found, tmp_path)
    assert (tmp_path / "index.html").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    unwritable = dataclasses.replace(found, shown={"v0": (None, None)})  # type: ignore[dict-item]
    with pytest.raises(UndefinedError):
        write_inspection(unwritable, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib", "pandas", "PIL"])
def test_without_the_extra_one_sentence_names_it_before_any_work(missing: str, good: Path) -> None:
    code = f"""
import sys
from millivid.data import ClipDataset, inspect_clips
sys.modules[{missing!r}] = None
try:
    inspect_clips(ClipDataset({str(good)!r}), progress=lambda ids: sys.exit("it began to measure"))
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install pandas matplotlib jinja2 pillow" in run.stdout


def test_importing_the_package_imports_no_extra() -> None:
    code = "import sys, millivid.data; print({'matplotlib', 'jinja2', 'pandas', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_each_file_is_read_once(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[tuple[str, str]] = Counter()
    for name in ("frames", "actions", "poses"):
        method = getattr(ClipDataset, name)

        def counted(self: ClipDataset, video: str, *args: Any, name: str = name, method: Any = method) -> Any:
            calls[name, video] += 1
            return method(self, video, *args)

        monkeypatch.setattr(ClipDataset, name, counted)
    inspect(good)
    assert calls == {(name, f"v{seed}"): 1 for name in ("frames", "actions", "poses") for seed in range(6)}


def test_what_the_recorder_records_has_no_flags(tmp_path: Path) -> None:
    data_gen = pytest.importorskip("millivid.data_gen")
    world = data_gen.VoxelConfig(size=(32, 32))
    config = data_gen.RecordConfig(world=world, train_videos=2, test_videos=1, frames=100, context=60)
    data_gen.record(config, tmp_path / "clips", processes=1, progress=False)
    found = inspect(tmp_path / "clips")
    assert found.flags == ()
    assert found.travel is not None
    assert found.travel.step == pytest.approx(0.15, abs=1e-3)
    assert found.travel.turn == pytest.approx(30, abs=1e-3)
