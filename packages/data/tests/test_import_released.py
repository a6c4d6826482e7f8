"""The release becomes our datasets; damaged files are named, or left out, and never half imported."""

import json
import os
import random
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from millivid.data import (
    ClipDataset,
    DatasetError,
    LatentDataset,
    PyramidFile,
    encode_image,
    import_released_clips,
    import_released_latents,
    released_splits,
    write_video,
)

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "data"
GRIDS = ((4, 8), (2, 4), (1, 2))


def release(folder: Path, index: dict[str, int]) -> Path:
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "000").mkdir()
    return folder


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    source = release(tmp_path / "raw", {"000/000": 6, "000/001": 5})
    for key, count in (("000/000", 6), ("000/001", 5)):
        write_video(source / f"{key}.mp4", rng.integers(0, 256, (count, 16, 24, 3), np.uint8), fps=20)
        columns = rng.normal(size=(count, 6)).astype(np.float32)
        columns[:, 0] = rng.integers(0, 3, count)
        np.save(source / f"{key}.npy", columns)
    return source


def latents(tmp_path: Path, count: int = 3) -> Path:
    source = release(tmp_path / "latents", {f"000/{i:03d}": 20 for i in range(count)})
    for i in range(count):
        shutil.copy(GOLDEN / "small.pyramid", source / "000" / f"{i:03d}.pyramid")
    return source


def test_the_split_is_the_releases() -> None:
    keys = [f"{i:03d}/{j:03d}" for i in range(3) for j in range(100)]
    shuffled = sorted(keys)
    random.Random(0).shuffle(shuffled)
    assert released_splits(keys[::-1], 0.01) == {"train": shuffled[3:], "test": shuffled[:3]}


def test_videos(videos: Path, tmp_path: Path) -> None:
    assert import_released_clips(videos, tmp_path / "clips", test_fraction=0.5, lossless=True) == {}
    data = ClipDataset(tmp_path / "clips")
    assert {*data.ids("train"), *data.ids("test")} == {"000_000", "000_001"}
    assert len(data.ids("test")) == 1
    columns = np.load(videos / "000" / "001.npy")
    clip = data.read("000_001")
    assert np.array_equal(clip.poses, columns[:, 1:])
    assert np.array_equal(clip.actions, columns[:, 0].astype(int))
    assert clip.frames.shape == (5, 16, 24, 3)


def test_latents_are_exact(tmp_path: Path) -> None:
    source = latents(tmp_path)
    settings = {"grids": GRIDS, "channels": 6, "fingerprint": "f"}
    assert import_released_latents(source, tmp_path / "out", **settings) == {}  # type: ignore[arg-type]
    data = LatentDataset(tmp_path / "out")
    file = PyramidFile(GOLDEN / "small.pyramid", 20, GRIDS, 6)
    for level in range(3):
        assert np.array_equal(data.read("000_002", level).astype(np.float32), file.levels[level][:])


def test_a_long_video_is_never_whole_in_memory(tmp_path: Path) -> None:
    frames = 40_000
    source = release(tmp_path / "latents", {"000/000": frames})
    path = source / "000" / "000.pyramid"
    with open(path, "wb") as file:
        file.truncate(720 * frames)
    tracemalloc.start()
    import_released_latents(source, tmp_path / "out", grids=GRIDS, channels=6, fingerprint="f")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert LatentDataset(tmp_path / "out").num_frames("000_000") == frames
    assert peak < path.stat().st_size / 4


def test_a_value_that_is_no_number_is_named_wherever_it_is(tmp_path: Path) -> None:
    source = latents(tmp_path, 2)
    (source / "index.json").write_text(json.dumps({"000/000": 20, "000/001": 600}))
    content = bytearray(720 * 600)
    content[528 * 500 : 528 * 500 + 2] = b"\xc0\x7f"  # level 0 of frame 500: NaN in bfloat16
    (source / "000" / "001.pyramid").write_bytes(content)
    settings = {"grids": GRIDS, "channels": 6, "fingerprint": "f"}
    with pytest.raises(DatasetError, match=r"001\.pyramid.*level 0.*NaN"):
        import_released_latents(source, tmp_path / "out", **settings)  # type: ignore[arg-type]
    assert not list((tmp_path / "out" / "latents").glob("*001*"))
    assert list(import_released_latents(source, tmp_path / "out", errors="skip", **settings)) == ["000/001"]  # type: ignore[arg-type]


def test_images_without_tables(tmp_path: Path) -> None:
    source = release(tmp_path / "frames", {"000/000": 5})
    shutil.copy(GOLDEN / "small.frames", source / "000" / "000.frames")
    import_released_clips(source, tmp_path / "out", lossless=True)
    data = ClipDataset(tmp_path / "out")
    assert data.index.action_names == ("unknown",)
    assert data.read("000_000").frames.shape == (5, 6, 9, 3)


@pytest.mark.parametrize("damage", ["missing", "truncated", "actions", "count", "table"])
def test_damage_is_named_or_left_out(damage: str, videos: Path, tmp_path: Path) -> None:
    video, table = videos / "000" / "001.mp4", videos / "000" / "001.npy"
    columns = np.load(table)
    if damage == "missing":
        video.unlink()
    elif damage == "truncated":
        video.write_bytes(video.read_bytes()[:200])
    elif damage == "actions":
        columns[2, 0] = 7
        np.save(table, columns)
    elif damage == "count":
        (videos / "index.json").write_text('{"000/000": 6, "000/001": 9}')
    else:
        np.save(table, columns[:, :4])
    with pytest.raises(DatasetError, match=r"000.001"):
        import_released_clips(videos, tmp_path / "clips")
    assert list(import_released_clips(videos, tmp_path / "clips", errors="skip")) == ["000/001"]
    assert ClipDataset(tmp_path / "clips").ids() == ["000_000"]


def test_truncated_latents(tmp_path: Path) -> None:
    source = latents(tmp_path)
    path = source / "000" / "001.pyramid"
    path.write_bytes(path.read_bytes()[:-100])
    settings = {"grids": GRIDS, "channels": 6, "fingerprint": "f"}
    with pytest.raises(DatasetError, match="001.pyramid has 14300 bytes"):
        import_released_latents(source, tmp_path / "out", **settings)  # type: ignore[arg-type]
    assert list(import_released_latents(source, tmp_path / "out", errors="skip", **settings)) == ["000/001"]  # type: ignore[arg-type]
    assert not list((tmp_path / "out").rglob(".writing-*"))
    settings["channels"] = 5
    with pytest.raises(DatasetError, match="none of the 3"):
        import_released_latents(source, tmp_path / "other", errors="skip", **settings)  # type: ignore[arg-type]


def test_a_folder_that_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not the index of a release"):
        import_released_clips(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"../000": 6}, r"the key '../000', whose part '\.\.' cannot be a file name"),
        ({"/000": 6}, "whose part '' cannot be a file name"),
        ({"000/000": 6, "000_000": 6}, "would have the same id"),
        ({"000/000": "6"}, "expected int, got str"),
        ({"000/000": 0}, "expected int >= 1"),
        ({"000/000": 10**12}, "expected int <"),
        ({"000/000": 6.5}, "expected int, got float"),
        ({}, "lists no videos"),
        ([], "expected object, got array"),
    ],
)
def test_an_index_that_cannot_be_is_refused(index: dict[str, int], message: str, tmp_path: Path, videos: Path) -> None:
    (videos / "index.json").write_text(json.dumps(index))
    with pytest.raises(DatasetError, match=message):
        import_released_clips(videos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def spoil_npy(path: Path, how: str) -> None:
    columns = np.load(path)
    if how == "archive":
        with open(path, "wb") as file:
            np.savez(file, columns)
    elif how == "more":
        path.write_bytes(path.read_bytes() + b"abc")
    elif how == "huge":
        path.write_bytes(path.read_bytes().replace(b"(6, 6), }" + b" " * 11, b"(1000000000000, 6), }"))
    elif how == "unbalanced":
        path.write_bytes(path.read_bytes().replace(b"(6, 6)", b"((6, 6"))
    elif how == "nan":
        columns[2, 3] = np.nan
        np.save(path, columns)
    elif how == "objects":
        np.save(path, columns.astype(object))
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif how == "device":
        path.unlink()
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("how", ["archive", "more", "huge", "unbalanced", "nan", "objects", "pipe", "device"])
def test_a_table_that_is_none_is_left_out_and_named(how: str, videos: Path, tmp_path: Path) -> None:
    spoil_npy(videos / "000/000.npy", how)
    left_out = import_released_clips(videos, tmp_path / "out", errors="skip")
    assert list(left_out) == ["000/000"] and "000/000.npy" in left_out["000/000"]


def test_nan_in_the_poses_of_latents_is_named(tmp_path: Path) -> None:
    source = latents(tmp_path, 2)
    path = source / "000/000.pyramid"
    content = bytearray(path.read_bytes())
    content[-4:] = np.float32("nan").tobytes()
    path.write_bytes(content)
    left_out = import_released_latents(
        source, tmp_path / "out", grids=GRIDS, channels=6, fingerprint="f", errors="skip"
    )
    assert "000.pyramid has poses that are NaN" in left_out["000/000"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "neither PNG, JPEG nor WebP"),
        (encode_image(np.zeros((8, 8, 3), np.uint8), "png"), "images of different sizes"),
    ],
)
def test_what_is_no_image_is_not_opened_as_anything_else(second: bytes, message: str, tmp_path: Path) -> None:
    source = release(tmp_path / "raw", {"000/000": 2, "000/001": 1})
    first = encode_image(np.zeros((16, 16, 3), np.uint8), "png")
    for key, images in (("000/000", [first, second]), ("000/001", [first])):
        ends = np.cumsum([len(image) for image in images]).astype("<u8")
        (source / f"{key}.frames").write_bytes(ends.tobytes() + b"".join(images))
    left_out = import_released_clips(source, tmp_path / "out", errors="skip")
    assert message in left_out["000/000"]
