"""A folder of anyone's videos becomes a dataset; what cannot be taken as it is, is named."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from millivid.data import POSE_NAMES, ClipDataset, DatasetError, inspect_clips, released_splits, source_video
from millivid.data.importing import side_tracks
from millivid.data.importing.import_videos import import_videos

Array = NDArray[np.uint8]


def numbered(count: int, height: int = 48, width: int = 64) -> Array:
    """Frames of one colour each, that tells which frame it is."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 5, (count, height, width, 3))


def numbers(frames: Array) -> list[int]:
    """Which of the numbered frames these are."""
    return np.round(frames.mean((1, 2, 3)) / 5).astype(int).tolist()


def make(
    path: Path,
    frames: Array,
    *,
    rate: int | Fraction = 10,
    codec: str = "libx264rgb",
    pixels: str = "rgb24",
    times: Sequence[int] | None = None,
    rotation: float | None = None,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    sound: bool = False,
    cover: bool = False,
    **options: str,
) -> Path:
    """Write a video. times: of the frames, in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"qp": "0", **options} if codec == "libx264rgb" else options
    with av.open(str(path), "w") as container:
        if cover:
            picture = container.add_stream("png", rate=1)
            assert isinstance(picture, VideoStream)
            picture.width, picture.height, picture.pix_fmt = 8, 8, "rgb24"
            picture.disposition = 1024  # type: ignore[assignment]
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write display matrices")
            stream.set_display_rotation(rotation, hflip=mirrored)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=16000) if sound else None
        if cover:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((8, 8, 3), 255, np.uint8))))
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
            frame.pts = times[index] if times else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 16000, 0
            container.mux([*audio.encode(silence), *audio.encode()])  # type: ignore[attr-defined]
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def read(out: Path, video: str) -> Array:
    return ClipDataset(out).read(video).frames


def test_every_frame_of_an_even_video_is_kept_as_it_is(raw: Path, out: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 37, 51, 3), np.uint8)  # odd sizes too
    make(raw / "a.mp4", frames)
    make(raw / "sub folder" / "é.MKV", frames, rate=Fraction(30000, 2997))  # within 1 %; times in whole milliseconds
    (raw / "notes.txt").write_text("no video")
    make(raw / ".hidden.mp4", frames)
    report = import_videos(raw, out, lossless=True)
    data = ClipDataset(out)
    assert data.ids() == [*data.ids("train"), *data.ids("test")]
    assert sorted(data.ids()) == ["a", "sub_folder__"]
    assert np.array_equal(read(out, "a"), frames)
    assert np.array_equal(read(out, "sub_folder__"), frames)
    assert (data.index.fps, data.index.size) == (10, (37, 51))
    assert (data.index.action_type, data.index.action_names, data.index.pose_names) == ("continuous", (), ())
    clip = data.read("a")
    assert clip.actions.shape == clip.poses.shape == (12, 0)
    assert (report.videos, report.frames, report.complete, dict(report.notes)) == (2, 24, True, {})
    assert report.lines()[0] == "2 of 2 files imported as 2 videos, 24 frames in all"
    assert data.verify().videos == 2
    assert data.index.source["imported_from"] == "videos"
    written = [*out.glob("*.json"), *(out / "imported").glob("*.json")]
    assert len(written) == 3 and not any(str(raw) in path.read_text() for path in written)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mov", "mjpeg", "yuvj420p"),
        ("a.mkv", "ffv1", "bgra"),
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.ts", "libx264", "yuv444p"),
        ("a.flv", "flv", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.h264", "libx264", "yuv420p"),
        ("a.avi", "libx264", "yuv420p"),  # with B-frames, whose order an AVI does not tell
    ],
)
def test_containers_and_codecs(name: str, codec: str, pixels: str, raw: Path, out: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    make(raw / name, numbered(20), codec=codec, pixels=pixels, rate=25, **options)
    report = import_videos(raw, out)
    data = ClipDataset(out)
    assert not report.skipped
    assert data.index.fps == 25
    assert np.abs(read(out, "a").mean((1, 2, 3)) - 5 * np.arange(20)).max() < (12 if codec == "gif" else 3)


def test_full_range_and_colour_are_respected(raw: Path, out: Path) -> None:
    colour = np.full((3, 48, 64, 3), (250, 20, 128), np.uint8)
    make(raw / "full.mov", colour, codec="mjpeg", pixels="yuvj444p", qmin="1", qmax="1")
    make(raw / "limited.mkv", colour, codec="ffv1", pixels="yuv444p")
    import_videos(raw, out, lossless=True)
    for video in ("full", "limited"):
        assert np.abs(read(out, video).astype(int) - colour).max() <= 4


@pytest.mark.parametrize(("rotation", "mirrored"), [(90, False), (-90, False), (180, False), (90, True), (0, True)])
def test_videos_are_turned_upright(rotation: int, mirrored: bool, raw: Path, out: Path) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)
    # A player turns what is stored counterclockwise, then swaps left and right.
    stored = np.rot90(upright[:, :, ::-1] if mirrored else upright, -rotation // 90, axes=(1, 2))
    make(raw / "a.mp4", stored, rotation=rotation, mirrored=mirrored)
    report = import_videos(raw, out, lossless=True)
    assert np.array_equal(read(out, "a"), upright)
    assert report.notes["a.mp4"] == ("turned upright, as its header says",)


def test_pixels_that_are_not_square(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(3, 30, 40), aspect=Fraction(2, 1))
    report = import_videos(raw, out)
    assert ClipDataset(out).index.size == (30, 80)
    assert report.notes["a.mp4"] == ("its pixels are 2:1; stretched to square ones",)


def test_an_uneven_rate_becomes_an_even_one(raw: Path, out: Path) -> None:
    times = [0, 100, 150, 400, 500, 900, 950, 1000]
    make(raw / "even.mp4", numbered(5))
    for suffix in ("mp4", "mkv"):
        make(raw / f"uneven_{suffix}.{suffix}", numbered(8), times=times)
    report = import_videos(raw, out, lossless=True)
    # At each tenth of a second the last frame that has come. The frame of 0.95 s is never that.
    expected = [0, 1, 2, 2, 3, 4, 4, 4, 4, 5, 7]
    for suffix in ("mp4", "mkv"):
        assert numbers(read(out, f"uneven_{suffix}")) == expected
        assert "of 8 frames 1 were dropped" in report.notes[f"uneven_{suffix}.{suffix}"][0]
    assert numbers(read(out, "even")) == [0, 1, 2, 3, 4]
    assert "even.mp4" not in report.notes


def test_other_rates(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(8, 16, 16), rate=30)
    make(raw / "b.mp4", numbered(3, 16, 16), rate=5)
    make(raw / "c.mkv", numbered(50, 16, 16), rate=Fraction(10000, 1001))
    import_videos(raw, out, fps=10, lossless=True)
    assert numbers(read(out, "a")) == [0, 3, 6]
    assert numbers(read(out, "b")) == [0, 0, 1, 1, 2, 2]
    assert numbers(read(out, "c")) == list(range(50))
    assert ClipDataset(out).index.fps == 10


def test_a_picture_that_stands_still_for_long_is_noted(raw: Path, out: Path) -> None:
    make(raw / "a.mkv", numbered(6, 16, 16), times=[0, 100, 200, 2300, 2400, 2500])
    report = import_videos(raw, out, fps=10, lossless=True)
    assert numbers(read(out, "a")) == [0, 1, *[2] * 21, 3, 4, 5]
    assert report.notes["a.mkv"][-1].startswith("no new frame for 2.10 s after 0.20 s")


def test_sound_and_covers_are_left_out(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(5), sound=True)
    make(raw / "b.mp4", numbered(5), cover=True)
    report = import_videos(raw, out, lossless=True)
    assert numbers(read(out, "a")) == numbers(read(out, "b")) == [0, 1, 2, 3, 4]
    assert report.notes == {"a.mp4": ("sound left out",)}


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("crop", [[9, 9, 0, 0]] * 2),  # all of the height, the middle of the width
        ("pad", [[9, 9, 0, 0]]),
        ("stretch", [[9, 9, 0, 0]] * 2),
    ],
)
def test_fit(fit: Any, expected: list[list[int]], raw: Path, out: Path) -> None:
    picture = np.zeros((2, 40, 160, 3), np.uint8)
    picture[:, :, :80] = 200
    make(raw / "a.mp4", picture)
    import_videos(raw, out, size=(40, 80), fit=fit, lossless=True)
    found = read(out, "a")[0, ..., 0].astype(int)
    assert found.shape == (40, 80)
    rows = found[10:30] if fit == "pad" else found
    assert (rows[1:-1, :36] > 190).all() and (rows[:, 44:] < 10).all()
    if fit == "pad":
        assert not found[:9].any() and not found[31:].any()
    assert (len(expected) == 1) == (fit == "pad")


def test_shrinking_does_not_alias(raw: Path, out: Path) -> None:
    checkerboard = (np.indices((400, 640)).sum(0) % 2 * 255).astype(np.uint8)
    make(raw / "a.mp4", np.broadcast_to(checkerboard[None, ..., None], (2, 400, 640, 3)))
    for index, size in enumerate([(100, 160), (133, 213), (37, 61)]):
        import_videos(raw, out.with_name(f"out{index}"), size=size, lossless=True)
        found = ClipDataset(out.with_name(f"out{index}")).read("a").frames
        assert abs(found.mean() - 127.5) < 1 and found.std() < 2


def test_transparent_pixels_are_black(raw: Path, out: Path) -> None:
    with av.open(str(raw.parent / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgra"
        image = np.full((32, 32, 4), 200, np.uint8)
        image[..., 3] = np.repeat([0, 255], 16)
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(image, "rgba").reformat(format="bgra")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    raw.mkdir()
    shutil.move(raw.parent / "a.mkv", raw)
    import_videos(raw, out, lossless=True)
    found = read(out, "a")
    assert not found[:, :, :16].any() and (found[:, :, 16:] == 200).all()


def test_sizes_that_differ_need_a_size(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(2, 48, 64))
    make(raw / "b.mp4", numbered(2, 64, 48))
    with pytest.raises(DatasetError, match=r"a\.mp4 has frames of 48x64.*b\.mp4 of 64x48; give size="):
        import_videos(raw, out)
    assert not out.exists()
    import_videos(raw, out, size=(24, 24))
    assert len(ClipDataset(out)) == 2


def damaged(raw: Path) -> Iterator[str]:
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), np.uint8)
    (raw / "text.mp4").write_text("this is no video\n" * 100)
    (raw / "empty.mp4").touch()
    (raw / "link.mp4").symlink_to("nowhere.mp4")
    yield from ("text.mp4", "empty.mp4", "link.mp4")
    for name, options in {
        "cut.mp4": {"codec": "libx264", "pixels": "yuv420p", "movflags": "faststart"},
        "cut.mkv": {"codec": "libx264", "pixels": "yuv420p"},
        "cut.avi": {"codec": "mpeg4", "pixels": "yuv420p"},
        "cut.webm": {"codec": "libvpx", "pixels": "yuv420p"},
        "noindex.mp4": {"codec": "libx264", "pixels": "yuv420p"},
    }.items():
        content = make(raw / name, noise, **options).read_bytes()  # type: ignore[arg-type]
        (raw / name).write_bytes(content[: len(content) * 6 // 10])
        yield name
    content = make(raw / "hole.mp4", noise, codec="libx264", pixels="yuv420p", g="10").read_bytes()
    middle = len(content) // 2
    (raw / "hole.mp4").write_bytes(content[:middle] + bytes(3000) + content[middle + 3000 :])
    make(raw / "one.mp4", numbered(1))
    yield from ("hole.mp4", "one.mp4")


def test_damage_is_named_and_left_out(raw: Path, out: Path) -> None:
    make(raw / "good.mp4", numbered(4))
    bad = sorted(damaged(raw))
    report = import_videos(raw, out)
    assert list(report.skipped) == bad
    assert ClipDataset(out).ids() == ["good"]
    assert not list(out.rglob(".writing-*"))
    assert ClipDataset(out).verify().videos == 1
    for name, why in report.skipped.items():
        assert why.startswith(f"{name}: ") and "\n" not in why
    assert "cut off" in report.skipped["cut.mkv"] and "at least 2" in report.skipped["one.mp4"]
    for name in bad:
        (out.parent / name).mkdir()
        shutil.copy(raw / name, out.parent / name, follow_symlinks=False)
        with pytest.raises(DatasetError, match=name.replace(".", r"\.")):
            import_videos(out.parent / name, out.parent / "other", size=(8, 8), fps=10, errors="raise")
    with pytest.raises(DatasetError, match=r"none of the 1 videos could be imported; the first: text\.mp4"):
        import_videos(out.parent / "text.mp4", out.parent / "another", size=(8, 8), fps=10)


def test_names_that_collide(raw: Path, out: Path) -> None:
    for name in (
        "a/b.mp4",
        "a_b.mp4",
        "x.mp4",
        "x.avi",
        "Y.mp4",
        "y.mkv",
        "日本.mp4",
        "中国.mp4",
        "-z .mp4",
        "q" * 200 + ".mkv",
    ):
        codec, pixels = ("mpeg4", "yuv420p") if name.endswith("avi") else ("libx264rgb", "rgb24")
        make(raw / name, numbered(2, 16, 16), codec=codec, pixels=pixels)
    report = import_videos(raw, out)
    ids = ClipDataset(out).ids()
    assert len(ids) == 10 and len({id.casefold() for id in ids}) == 10
    assert "_z_" in ids
    assert len([id for id in ids if id.startswith("a_b-")]) == 2
    assert {name for name, notes in report.notes.items() if notes[0].startswith("called ")} == {
        video.relative_to(raw).as_posix() for video in raw.rglob("*.*") if video.name != "-z .mp4"
    }


def test_names_that_are_no_text(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(2, 16, 16))
    try:
        shutil.copy(raw / "a.mp4", os.fsencode(raw) + b"/\xff.mp4")
        shutil.copy(os.devnull, os.fsencode(raw) + b"/\xfe.mp4")
        shutil.copy(os.devnull, raw / "two\nlines\x1b.mp4")
    except OSError:
        pytest.skip("this file system has no such names")
    report = import_videos(raw, out)
    assert sorted(ClipDataset(out).ids()) == ["_xff", "a"]
    for name in ("\\xfe.mp4", "two\\x0alines\\x1b.mp4"):
        assert report.skipped[name].startswith(f"{name}: cannot be read")


def test_folders_that_go_round(raw: Path, out: Path) -> None:
    make(raw / "a" / "v.mp4", numbered(2, 16, 16))
    (raw / "a" / "up").symlink_to(raw, target_is_directory=True)
    (raw / "b").symlink_to(raw / "a", target_is_directory=True)
    import_videos(raw, out)
    assert sorted(ClipDataset(out).ids()) == ["a_v", "b_v"]


def test_folders_are_splits_if_all_are(raw: Path, out: Path) -> None:
    make(raw / "train" / "a.mp4", numbered(2, 16, 16))
    make(raw / "train" / "sub" / "b.mp4", numbered(2, 16, 16))
    make(raw / "Val" / "c.mp4", numbered(2, 16, 16))
    import_videos(raw, out)
    assert ClipDataset(out).index.splits == {"train": ("a", "sub_b"), "test": (), "val": ("c",)}
    make(raw / "elsewhere" / "d.mp4", numbered(2, 16, 16))
    import_videos(raw, out.with_name("other"), test_fraction=0.5)
    data = ClipDataset(out.with_name("other"))
    assert data.index.splits == {
        name: tuple(ids)
        for name, ids in released_splits(["Val_c", "elsewhere_d", "train_a", "train_sub_b"], 0.5).items()
    }


def test_pieces(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(11, 16, 16))
    make(raw / "b.mp4", numbered(9, 16, 16))
    for name, count in (("a", 11), ("b", 9)):
        np.save(raw / f"{name}.actions.npy", np.arange(count))
    report = import_videos(raw, out, frames=4, test_fraction=0.5, lossless=True)
    data = ClipDataset(out)
    assert sorted(data.ids()) == ["a_000", "a_001", "a_002", "b_000", "b_001"]
    assert {len({id[0] for id in data.ids(split)}) for split in ("train", "test")} == {1}  # a video is in one split
    assert numbers(read(out, "a_002")) == [8, 9, 10] == data.actions("a_002").tolist()
    assert report.notes["b.mp4"] == ("its last frame is left out: a piece has at least 2",)
    assert (report.videos, report.frames) == (5, 19)


def test_categorical_actions_and_poses(raw: Path, out: Path) -> None:
    for name, words in (("a", ["up", "down", "up"]), ("b", ["left", "down", "left"])):
        make(raw / f"{name}.mp4", numbered(3))
        lines = ["frame;pitch;yaw;z;y;x;action", *(f"{i};5;4;3;2;{i};{word}" for i, word in enumerate(words))]
        (raw / f"{name}.mp4.csv").write_text("\n".join(lines))
    (raw / "stray.csv").touch()
    report = import_videos(raw, out)
    data = ClipDataset(out)
    assert (data.index.action_type, data.index.action_names) == ("categorical", ("down", "left", "up"))
    assert data.actions("b").tolist() == [1, 0, 1]
    assert data.index.pose_names == POSE_NAMES
    assert data.poses("a").tolist() == [[i, 2, 3, 4, 5] for i in range(3)]
    assert "columns that were not used: 'frame'" in report.remarks
    assert "tables that stand beside no video: stray.csv" in report.remarks
    with pytest.raises(DatasetError, match="'left', which is none of the actions down, up.*line 2"):
        import_videos(raw, out.with_name("o"), action_names=["down", "up"], errors="raise")


def test_whole_numbers_are_categories_and_fractions_are_not(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(3))
    make(raw / "b.mp4", numbered(3))
    np.save(raw / "a.actions.npy", np.array([0, 2, 1]))
    np.save(raw / "b.actions.npy", np.array([0, 0, 4], np.uint8))
    import_videos(raw, out)
    assert ClipDataset(out).index.action_names == ("0", "1", "2", "3", "4")
    import_videos(raw, out.with_name("named"), action_names=list("vwxyz"))
    assert ClipDataset(out.with_name("named")).index.action_names == tuple("vwxyz")
    with pytest.raises(
        DatasetError, match=r"a\.mp4: its actions are the whole numbers 0 to 2, but action_names= has 2"
    ):
        import_videos(raw, out.with_name("few"), action_names=["v", "w"])
    np.save(raw / "b.actions.npy", np.array([0.0, 0.5, 4]))
    import_videos(raw, out.with_name("mixed"))
    data = ClipDataset(out.with_name("mixed"))
    assert (data.index.action_type, data.index.action_names) == ("continuous", ("action",))
    assert data.actions("a").tolist() == [[0], [2], [1]]
    np.save(raw / "b.actions.npy", np.array([0, -1, 4]))
    with pytest.raises(
        DatasetError, match=r"b\.mp4: its actions are the whole numbers -1 to 4.*0 to 4095 are expected"
    ):
        import_videos(raw, out.with_name("negative"))


def test_vectors(raw: Path, out: Path) -> None:
    for name in ("csv", "parquet", "structured", "plain", "separate"):
        make(raw / f"{name}.mp4", numbered(2))
    rows = [(0.5, 1.0, 7.0), (-0.5, 0.0, 8.0)]
    (raw / "csv.csv").write_text("pose_height,action_turn,action_jump\n7,.5,true\n8,-.5,FALSE\n")
    named = np.array(rows, dtype=[("action.turn", "f8"), ("action.jump", "f4"), ("pose.height", "f2")])
    np.save(raw / "structured.npy", named)
    np.save(raw / "plain.npy", np.array(rows))
    np.save(raw / "separate.poses.npy", np.array([[7.0], [8.0]]))
    (raw / "separate.actions.csv").write_text("turn,jump\n.5,1\n-.5,0\n")
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet files are read with pyarrow, an extra")
    table = {"action_turn": [0.5, -0.5], "action_jump": [True, False], "pose_height": [7, 8]}
    parquet.write_table(__import__("pyarrow").table(table), raw / "parquet.parquet")
    report = import_videos(raw, out, columns=["action_turn", "action_jump", "pose_height"])
    assert report.skipped == {
        "separate.mp4": "separate.mp4: has the poses 0 instead of height, unlike csv.mp4 and most others"
    }
    data = ClipDataset(out)
    assert (data.index.action_type, data.index.action_names, data.index.pose_names) == (
        "continuous",
        ("turn", "jump"),
        ("height",),
    )
    for video in data.ids():
        assert data.actions(video).tolist() == [[0.5, 1], [-0.5, 0]]
        assert data.poses(video).tolist() == [[7], [8]]


def test_columns_can_be_chosen(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(2))
    (raw / "a.csv").write_text("x,key,speed,lat,lon\n0,w,1.5,2,3\n0,s,2.5,4,5\n")
    with pytest.raises(DatasetError, match="none of its columns .x, key, speed, lat, lon. is 'action'"):
        import_videos(raw, out, errors="raise")
    import_videos(raw, out, action_columns=["key"], pose_columns=["lon", "lat"])
    data = ClipDataset(out)
    assert data.index.action_names == ("s", "w") and data.index.pose_names == ("lon", "lat")
    assert data.poses("a").tolist() == [[3, 2], [5, 4]]
    import_videos(raw, out.with_name("o"), action_columns=["speed", "x"], pose_columns=[])
    assert ClipDataset(out.with_name("o")).actions("a").tolist() == [[1.5, 0], [2.5, 0]]
    with pytest.raises(DatasetError, match=r"a\.csv: has no column 'alt' that pose_columns= asks for"):
        import_videos(raw, out.with_name("p"), pose_columns=["alt"], errors="raise")


def test_rows_follow_the_frames(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(9, 16, 16), rate=30)
    (raw / "a.csv").write_text("action\n" + "\n".join(map(str, range(9))))
    make(raw / "timed.mp4", numbered(9, 16, 16), rate=30)
    times = [f"{time / 10:.1f},{time}" for time in range(-1, 5)]  # ten a second, from before the video to after it
    (raw / "timed.csv").write_text("time,action\n" + "\n".join(times).replace(",-1", ",5"))
    import_videos(raw, out, fps=10, lossless=True)
    data = ClipDataset(out)
    assert data.actions("a").tolist() == [0, 3, 6] == numbers(read(out, "a"))
    assert data.actions("timed").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("action\n1\n2\n", "a.csv: has 2 rows, but the video has 3 frames"),
        ("action\n1\n2\n3\n4\n", "a.csv: has 4 rows, but the video has 3 frames"),
        (
            "time,action\n0,1\n0.1,2\n5,1\n0.2,3\n",
            r"a.csv: column 'time' does not grow: 5.0 is followed by 0.2 \(line 5\)",
        ),
        (
            "time,action\n1,1\n1.1,2\n1.2,3\n",
            "a.csv: its times go from 1.000 s to 1.200 s, but the video's frames from 0 to",
        ),
        ("time,action\n0,1\n0.01,2\n", "a.csv: its times go from 0.000 s to 0.010 s"),
        ("action_x,action_y\n1,2\n3,\n4,5\n", r"a.csv: column 'action_y' is empty \(line 3\)"),
        ("action,action_x\n1,2\n", "a.csv: has both 'action' and 'action_x'; give action_columns="),
    ],
)
def test_tables_that_do_not_fit_are_named(table: str, what: str, raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(3))
    make(raw / "b.mp4", numbered(3))
    (raw / "a.csv").write_text(table)
    (raw / "b.csv").write_text(table if what.startswith("x") else "action\n1\n2\n0\n")
    with pytest.raises(DatasetError, match=what):
        import_videos(raw, out, errors="raise")
    report = import_videos(raw, out)
    assert list(report.skipped) == ["a.mp4"]
    assert ClipDataset(out).ids() == ["b"]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([(100 * i, i) for i in range(20)], "its times go from 0.000 s to 1900.000 s"),
        ([(0.6 * i, i) for i in range(20)], "its times go from 0.000 s to 11.400 s"),
        ([(0.1 * i - 5, i) for i in range(70)], "its times go from -5.000 s"),
        (
            [(-0.15, 0), *((0.2 + 0.1 * i, i) for i in range(18))],
            "its times have a hole: for the frame at 0.000 s the nearest row is the one at -0.150 s",
        ),
        (
            [(0.1 * i, i) for i in range(20) if not 6 < i < 14],
            "its times have a hole: for the frame at 1.000 s .*one at 0.600 s",
        ),
    ],
)
def test_times_that_cannot_be_the_videos(rows: list[tuple[float, int]], what: str, raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(20, 16, 16))
    (raw / "a.csv").write_text("timestamp,action\n" + "".join(f"{time},{value}.5\n" for time, value in rows))
    with pytest.raises(DatasetError, match=f"a.csv: {what}.*time_tolerance="):
        import_videos(raw, out, size=(16, 16), fps=10)
    with pytest.raises(DatasetError, match="time_tolerance is -1; expected float >= 0"):
        import_videos(raw, out, time_tolerance=-1)
    if "hole: for the frame at 1" in what:  # what was left out is tried again
        import_videos(raw, out, size=(16, 16), fps=10, time_tolerance=0.4)
        assert ClipDataset(out).actions("a").ravel().tolist() == [
            *(i + 0.5 for i in range(7)), *[6.5] * 4, *[14.5] * 3, *(i + 0.5 for i in range(14, 20))
        ]  # fmt: skip


ODD = ("1.000.5", "1 000", "30%", "−1.5", "1.5D3", "٣", "１", "1'000", "1+0j", "b'jump'", "jump\u200b")


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("frame;action\n0;0,0\n1;0,1\n2;0,2\n", "'action' holds '0,0', neither a word nor a number.*line 2"),
        *(
            (
                f"action\njump\njump\n{cell}\n",
                f"'action' holds {re.escape(repr(cell))}, neither a word nor a number.*line 4",
            )
            for cell in ODD
        ),
        ("action\njump\n0.5\njump\n", "'action' holds '0.5', a number among words.*line 3"),
        ("action\n1\n2\nn/a\n", "'action' holds 'n/a', no number, but others are.*line 4"),
        ("action\n[0.1 0.2]\n[0.3 0.4]\n[0.1 0.2]\n", r"'action' holds '\[0.1 0.2\]', neither.*line 2"),
        ('action\njump\n"a\nb"\njump\n', r"'action' holds 'a\\nb', neither.*line 4"),
        ("frame_index,action\n0,1\n2,1\n1,1\n", "'frame_index' holds 2 where 1 is expected.*line 3"),
        ("episode_index,action\n4,1\n4,1\n5,1\n", "'episode_index' begins another of 2 episodes.*line 4"),
    ],
)
def test_actions_that_are_neither_words_nor_numbers(table: str, what: str, raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(3, 16, 16))
    (raw / "a.csv").write_text(table)
    with pytest.raises(DatasetError, match=f"a.csv: column {what}"):
        import_videos(raw, out)


def test_a_table_of_lerobot(raw: Path, out: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet files are read with pyarrow, an extra")
    make(raw / "a.mp4", numbered(3, 16, 16))
    columns = {
        "action": [[0.5, 1.0], [1.5, 2.0], [2.5, 3.0]],
        "observation.state": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "observation.image": [b"1", b"2", b"3"],
        "timestamp": [0.0, 0.1, 0.2],
        "frame_index": [0, 1, 2],
        "episode_index": [7, 7, 7],
    }
    parquet.write_table(__import__("pyarrow").table(columns), raw / "a.parquet")
    report = import_videos(raw, out)
    data = ClipDataset(out)
    assert (data.index.action_type, data.index.action_names, data.index.pose_names) == ("continuous", ("0", "1"), ())
    assert data.actions("a").tolist() == columns["action"]
    assert "columns that were not used: 'frame_index', 'episode_index', 'observation.state', 'observation.image'" in (
        report.remarks
    )
    import_videos(raw, out.with_name("o"), action_columns=["action"], pose_columns=["observation.state"])
    assert ClipDataset(out.with_name("o")).poses("a").tolist() == columns["observation.state"]
    with pytest.raises(DatasetError, match="column 'observation.image' holds binary, which is no number"):
        import_videos(raw, out.with_name("p"), pose_columns=["observation.image"])


def test_numbers_too_large_for_their_steps_are_noted(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(20, 16, 16))
    rows = "".join(f"{4512345.12 + 0.01 * i:.2f},{0.01 * i},{1 + 1e-15 * i},0,0\n" for i in range(20))
    (raw / "a.csv").write_text("x,y,z,yaw,pitch\n" + rows)
    (note,) = import_videos(raw, out).notes["a.mp4"]
    assert note.startswith("columns x: ") and "subtract an origin" in note


def test_names_are_compared_in_one_form(raw: Path, out: Path) -> None:
    make(raw / "caf\u00e9.mp4", numbered(2, 16, 16))
    (raw / "cafe\u0301.csv").write_text("to\u0301uch\nha\u0301\nh\u00e1\n")
    import_videos(raw, out, action_columns=["t\u00f3uch"])
    assert ClipDataset(out).index.action_names == ("h\u00e1",)
    make(raw / "cafe\u0301.mp4", numbered(2, 16, 16))
    with pytest.raises(DatasetError, match="differ in their bytes only"):
        import_videos(raw, out)


def test_two_tables_for_one_video(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(2))
    (raw / "a.csv").write_text("action\n1\n2\n")
    np.save(raw / "a.actions.npy", np.array([1, 2]))
    with pytest.raises(DatasetError, match=r"a\.mp4: has a\.csv and also a\.actions\.npy; keep one kind"):
        import_videos(raw, out, errors="raise")
    (raw / "a.actions.npy").rename(raw / "a.npy")
    with pytest.raises(DatasetError, match=r"a\.mp4: has two tables, a\.csv and a\.npy; keep one"):
        import_videos(raw, out, errors="raise")
    (raw / "a.csv").unlink()
    with pytest.raises(DatasetError, match=r"a\.npy: is an array of 1 columns without names; give columns="):
        import_videos(raw, out, errors="raise")


def test_videos_without_what_the_others_have(raw: Path, out: Path) -> None:
    tables = {
        "a": "action_x,action_y\n1,2\n3,4\n",
        "b": "action_y,action_x\n2,1\n4,3\n",
        "odd": "action_x,action_z\n1,2\n3,4\n",
        "none": "",
    }
    for name, text in tables.items():
        make(raw / f"{name}.mp4", numbered(2))
        if text:
            (raw / f"{name}.csv").write_text(text)
    report = import_videos(raw, out)
    assert report.skipped == {
        "none.mp4": "none.mp4: has no actions, unlike a.mp4 and most others",
        "odd.mp4": "odd.mp4: has the actions x, z instead of x, y, unlike a.mp4 and most others",
    }
    data = ClipDataset(out)
    assert data.actions("a").tolist() == data.actions("b").tolist() == [[1, 2], [3, 4]]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def several(raw: Path) -> None:
    for index in range(5):
        make(raw / f"v{index}.mp4", numbered(6 + index, 16, 16))
    (raw / "bad.mp4").write_text("no video")


def test_an_import_that_was_killed_goes_on(raw: Path, out: Path) -> None:
    several(raw)

    def killed(names: list[str]) -> Iterable[str]:
        yield from names[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_videos(raw, out, frames=4, progress=killed)
    with pytest.raises(DatasetError, match="unfinished dataset"):
        ClipDataset(out)
    first = (out / "videos" / "v1_000.mp4").stat().st_mtime_ns
    report = import_videos(raw, out, frames=4)
    assert (out / "videos" / "v1_000.mp4").stat().st_mtime_ns == first
    assert report == import_videos(raw, out.with_name("whole"), frames=4)
    assert snapshot(out) == snapshot(out.with_name("whole"))
    assert report == import_videos(raw, out, frames=4)  # nothing left to do
    with pytest.raises(DatasetError, match=r"source\.frames = 4 where 5 was asked for"):
        import_videos(raw, out, frames=5)


def test_shards_make_what_one_call_makes(raw: Path, out: Path) -> None:
    several(raw)
    reports = [import_videos(raw, out, share=(index, 3)) for index in (2, 0, 1)]
    assert [report.missing for report in reports] == [4, 2, 0]
    assert reports[2] == import_videos(raw, out.with_name("whole"))
    assert snapshot(out) == snapshot(out.with_name("whole"))


def test_a_folder_that_has_changed(raw: Path, out: Path) -> None:
    several(raw)
    import_videos(raw, out, frames=4)
    (raw / "v0.mp4").unlink()
    make(raw / "a.mp4", numbered(3, 16, 16), rate=20)  # the first now; the dataset stays at 10 frames per second
    make(raw / "v1.mp4", numbered(3, 16, 16))  # had 7 frames, and one piece more
    make(raw / "bad.mp4", numbered(3, 16, 16))
    import_videos(raw, out, frames=4)
    data = ClipDataset(out)
    assert sorted(data.ids()) == [
        "a_000",
        "bad_000",
        "v1_000",
        "v2_000",
        "v2_001",
        "v3_000",
        "v3_001",
        "v4_000",
        "v4_001",
        "v4_002",
    ]
    assert data.num_frames("v1_000") == 3 and data.index.fps == 10
    assert data.verify().hashes == 10
    (raw / "v2.mp4").write_text("broken now")
    assert list(import_videos(raw, out, frames=4).skipped) == ["v2.mp4"]
    assert ClipDataset(out).verify().videos == 8


def test_settings_and_folders_that_cannot_be(raw: Path, out: Path) -> None:
    with pytest.raises(DatasetError, match=r"raw does not exist"):
        import_videos(raw, out)
    raw.mkdir()
    with pytest.raises(DatasetError, match=r"raw holds no videos"):
        import_videos(raw, out)
    video = make(raw / "a.mp4", numbered(2, 16, 16))
    with pytest.raises(DatasetError, match=r"a\.mp4 is a file; a folder of videos is expected"):
        import_videos(video, out)
    with pytest.raises(DatasetError, match="lies inside of the source"):
        import_videos(raw, raw / "out")
    for settings, what in [
        ({"size": (0, 4)}, r"size is \(0, 4\)"),
        ({"size": 64}, r"size is 64; expected array"),
        ({"fit": "cover"}, "fit is 'cover'; use crop or pad or stretch"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": "fast"}, "fps is 'fast'; expected float"),
        ({"columns": ["a", "b", "a"]}, "columns: the names a, b, a are not all different"),
        ({"action_names": "left"}, "action_names is 'left'; expected array"),
        ({"frames": 1}, "frames is 1"),
        ({"test_fraction": 2}, "test_fraction is 2"),
        ({"errors": "ignore"}, "errors is 'ignore'"),
        ({"share": (2, 2)}, r"share is \(2, 2\)"),
        ({"action_names": ["a"]}, "there are no actions; leave it out"),
    ]:
        with pytest.raises(DatasetError, match=what):
            import_videos(raw, out, **settings)  # type: ignore[arg-type]
    assert not out.exists()
    out.mkdir()
    (out / "something").touch()
    with pytest.raises(DatasetError, match="holds something else"):
        import_videos(raw, out)


def test_the_records_are_readable(raw: Path, out: Path) -> None:
    several(raw)
    import_videos(raw, out)
    record = json.loads((out / "imported" / "bad.json").read_text())
    assert record["file"] == "bad.mp4" and record["skipped"].startswith("bad.mp4: cannot be read as a video")
    (out / "imported" / "v1.json").write_text("{")
    with pytest.raises(DatasetError, match=r"v1\.json: is no valid JSON.*delete it"):
        import_videos(raw, out)


def test_a_clock_that_does_not_begin_at_zero_is_no_damage(raw: Path, out: Path) -> None:
    later = [2000 + 100 * index for index in range(20)]
    make(raw / "late.mkv", numbered(20), times=later)
    report = import_videos(raw, out)
    assert not report.skipped and report.frames == 20


def test_lists_of_other_files_are_not_followed(raw: Path, out: Path) -> None:
    make(raw / "real.mp4", numbered(5))
    (raw / "list.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    (raw / "notes.txt").write_text("")
    report = import_videos(raw, out)
    assert report.videos == 1 and "list of other files" in report.skipped["list.mp4"]
    assert any("do not end as videos do: notes.txt" in remark for remark in report.remarks)


def unreadable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the operating system would do it, also for root."""
    scandir, stat = os.scandir, os.stat

    def refuse(path: Any) -> None:
        if isinstance(path, (str, os.PathLike)) and Path(path) == place:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path=".": refuse(path) or scandir(path))
    monkeypatch.setattr(os, "stat", lambda path, **how: refuse(path) or stat(path, **how))


@pytest.mark.parametrize(
    "what", ["folder", "video", "table", "link", "link to a folder", "link of a table", "unmounted"]
)
def test_what_cannot_be_looked_at_is_not_gone(what: str, raw: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(raw / "a.mp4", numbered(3, 16, 16))
    make(raw / "sub" / "c.mp4", numbered(3, 16, 16))
    for name in ("a.csv", "sub/c.csv"):
        (raw / name).write_text("action\n1\n2\n0\n")
    import_videos(raw, out)
    before = snapshot(out)
    place = raw / {"video": "sub/c.mp4", "link": "sub/c.mp4", "table": "sub/c.csv", "link of a table": "sub/c.csv"}.get(
        what, "sub"
    )
    if what.startswith("link"):
        place.rename(raw.with_name("moved"))
        place.symlink_to("nowhere")
    elif what == "unmounted":
        place.rename(raw.with_name("moved"))
        place.mkdir()
    else:
        unreadable(place, monkeypatch)
    for folder in [out] if what in ("link", "unmounted") else [out, out.with_name("first")]:
        with pytest.raises(DatasetError, match=str(place)):
            import_videos(raw, folder)
    assert snapshot(out) == before and not out.with_name("first").exists()


def test_a_changed_dataset_is_unfinished_until_it_is_finished_again(raw: Path, out: Path) -> None:
    for name in ("a", "b"):
        make(raw / f"{name}.mp4", numbered(5))
    import_videos(raw, out)
    make(raw / "a.mp4", numbered(9))
    make(raw / "b.mp4", numbered(11))

    def stopping(names: Iterable[str]) -> Iterator[str]:
        for index, name in enumerate(names):
            if index == 1:
                raise KeyboardInterrupt
            yield name

    with pytest.raises(KeyboardInterrupt):
        import_videos(raw, out, progress=stopping)
    with pytest.raises(DatasetError, match="unfinished"):
        ClipDataset(out)
    import_videos(raw, out)
    assert dict(ClipDataset(out).index.frames) == {"a": 9, "b": 11}
    assert ClipDataset(out).verify().hashes == 2


def test_a_clip_that_was_deleted_is_imported_again(raw: Path, out: Path) -> None:
    for name in ("a", "b"):
        make(raw / f"{name}.mp4", numbered(5))
    import_videos(raw, out)
    video = out / "videos" / "b.mp4"
    before = video.read_bytes()
    video.unlink()
    import_videos(raw, out)
    assert video.read_bytes() == before and ClipDataset(out).verify().videos == 2


def test_nothing_is_left_of_an_import_of_nothing(raw: Path, out: Path) -> None:
    raw.mkdir()
    (raw / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match="none of the 1 videos could be imported; the first: a.mp4"):
        import_videos(raw, out, size=(8, 8), fps=10)
    make(raw / "a.mp4", numbered(5))
    (raw / "a.csv").write_text("action\n1\nnan\n")
    with pytest.raises(DatasetError, match=r"none of the 1 videos could be imported; the first: a\.csv"):
        import_videos(raw, out)
    (raw / "a.csv").unlink()
    assert import_videos(raw, out, size=(16, 16)).videos == 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"fps": 1e-9}, r"fps is 1e-09; expected float >= 0\.01"),
        ({"size": (4, 100_000)}, r"size is \(4, 100000\); expected int <= 8192 at \[1\]"),
    ],
)
def test_settings_beyond_what_videos_can_be(setting: dict[str, Any], expected: str, raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(5))
    with pytest.raises(DatasetError, match=expected):
        import_videos(raw, out, **setting)


@pytest.mark.parametrize("kept", [source_video.KEPT_BYTES, 0])
def test_a_video_is_opened_once_and_a_table_read_once(
    kept: int, raw: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    make(raw / "a.ts", frames, codec="libx264", pixels="yuv420p")
    make(raw / "b.mp4", frames, codec="libx264", pixels="yuv420p")
    for name in ("a", "b"):
        (raw / f"{name}.csv").write_text("action\n" + "1\n" * 20)
    import_videos(raw, out.with_name("expected"), size=(48, 64), fps=10, lossless=True)
    opened: list[str] = []
    av_open, read_table = av.open, side_tracks.read_table
    monkeypatch.setattr(source_video, "KEPT_BYTES", kept)
    monkeypatch.setattr(av, "open", lambda path, *rest, **more: opened.append(path) or av_open(path, *rest, **more))
    monkeypatch.setattr(
        side_tracks, "read_table", lambda path, *rest: opened.append(str(path)) or read_table(path, *rest)
    )
    import_videos(raw, out, size=(48, 64), fps=10, lossless=True)
    times = 1 if kept else 2  # a video that is too large to be kept is read once to check it and once to decode it
    found = {name: opened.count(str(raw / name)) for name in ("a.ts", "b.mp4", "a.csv", "b.csv")}
    assert found == {"a.ts": times, "b.mp4": times, "a.csv": 1, "b.csv": 1}
    assert snapshot(out) == snapshot(out.with_name("expected"))


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_split_of_several_videos_is_empty_unless_asked_for(
    fraction: float, count: int, raw: Path, out: Path
) -> None:
    for index in range(count):
        make(raw / f"v{index}.mp4", numbered(2, 16, 16))
    (raw / "bad.mp4").write_text("no video")
    import_videos(raw, out, test_fraction=fraction)
    sizes = {name: len(ids) for name, ids in ClipDataset(out).index.splits.items()}
    assert sum(sizes.values()) == count
    if count > 1:
        assert (sizes["test"] > 0, sizes["train"] > 0) == (fraction > 0, fraction < 1)


def image(path: Path, pixels: Array, **settings: Any) -> Path:
    pillow = pytest.importorskip("PIL.Image", reason="images are read with Pillow, an extra")
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow.fromarray(pixels).save(path, **settings)
    return path


def test_a_folder_of_images_is_a_dataset(raw: Path, out: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), np.uint8)
    image(raw / "a.png", pixels[0])
    image(raw / "sub" / "b.WEBP", pixels[1], lossless=True)
    image(raw / "c.tif", pixels[2])
    (raw / "a.csv").write_text("action\n1\n")
    report = import_videos(raw, out, lossless=True)
    data = ClipDataset(out)
    assert {id: data.num_frames(id) for id in data.ids()} == dict.fromkeys(("a", "sub_b", "c"), 1)
    for index, id in enumerate(("a", "sub_b", "c")):
        assert np.array_equal(read(out, id)[0], pixels[index])
    assert (data.index.fps, data.index.action_names, data.index.pose_names) == (1, (), ())
    assert data.index.source["imported_from"] == "images"
    assert len(data.ids("test")) == 1
    assert report.remarks == ("not looked at, for they do not end as videos do: a.csv",)
    assert "single_frame" not in {flag.kind for flag in inspect_clips(data).flags}
    before = snapshot(out)
    import_videos(raw, out, lossless=True)
    assert snapshot(out) == before


def test_images_beside_videos_are_not_looked_at(raw: Path, out: Path) -> None:
    make(raw / "a.mp4", numbered(3))
    image(raw / "a.jpg", numbered(1)[0])
    report = import_videos(raw, out)
    assert ClipDataset(out).ids() == ["a"]
    assert report.remarks[-1] == "not looked at, for they do not end as videos do: a.jpg"


def test_images_are_fitted_and_turned_as_videos_are(raw: Path, out: Path) -> None:
    colour = np.zeros((40, 80, 3), np.uint8)
    colour[:, 40:] = 200
    turned = np.rot90(colour)  # as a camera stores it that was held on its side
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x112] = 6
    image(raw / "turned.png", np.ascontiguousarray(turned), exif=exif)
    image(raw / "upright.png", colour)
    image(raw / "grey.png", colour[..., 0].astype(np.uint16) * 257)
    image(raw / "transparent.png", np.dstack([np.full_like(colour, 200), (colour[..., 0] > 0).astype(np.uint8) * 255]))
    import_videos(raw, out.with_name("whole"), lossless=True)
    for id in ("turned", "upright", "grey", "transparent"):
        assert np.array_equal(read(out.with_name("whole"), id)[0], colour), id
    import_videos(raw, out, size=(20, 20), fit="pad", lossless=True)
    for id in ("turned", "upright", "grey", "transparent"):
        found = read(out, id)[0].astype(int)
        assert not found[:5].any() and not found[15:].any() and (found[6:14, 12:] > 190).all()


def test_images_that_cannot_be_read_are_named(raw: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = image(raw / "good.png", numbered(1)[0] + np.arange(64, dtype=np.uint8)[:, None])
    (raw / "cut.png").write_bytes(good.read_bytes()[:-30])
    (raw / "text.jpg").write_text("no image")
    image(raw / "deep.tif", np.zeros((48, 64), np.float32))
    image(raw / "small.png", numbered(1)[0, :9])
    with pytest.raises(DatasetError, match=r"deep\.tif has frames of 48x64.*small\.png of 9x64; give size="):
        import_videos(raw, out)
    report = import_videos(raw, out, size=(16, 16))
    assert list(report.skipped) == ["cut.png", "deep.tif", "text.jpg"]
    assert "cannot be read as an image" in report.skipped["cut.png"] and "\n" not in report.skipped["text.jpg"]
    assert "has pixels of 32 bits" in report.skipped["deep.tif"]
    assert sorted(ClipDataset(out).ids()) == ["good", "small"]
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(DatasetError, match="pip install pillow"):
        import_videos(raw, out.with_name("other"), size=(16, 16))
