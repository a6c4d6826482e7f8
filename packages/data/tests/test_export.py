"""Frames as WebDataset shards: what people who train elsewhere read."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from millivid.data import Clip, ClipDataset, ClipWriter, DatasetError, encode_image, export_webdataset
from millivid.data.export import _sample_keys

FRAMES = {"a": 70, "b.c": 5, "d": 40}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    writer = ClipWriter(folder, fps=20, size=(16, 24), action_names=["x", "y"], source={}, lossless=True)
    for video, frames in FRAMES.items():
        writer.write(
            video,
            Clip(
                frames=rng.integers(0, 256, (frames, 16, 24, 3), np.uint8),
                actions=rng.integers(0, 2, frames),
                poses=rng.normal(size=(frames, 5)).astype(np.float32),
            ),
        )
    writer.finish({"train": ["a", "d"], "test": ["b.c"]})
    return ClipDataset(folder)


def decode(image: bytes) -> np.ndarray:
    with av.open(io.BytesIO(image)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_every_frame_is_a_sample(dataset: ClipDataset, tmp_path: Path) -> None:
    shards = export_webdataset(dataset, tmp_path, frames_per_shard=30)
    assert [path.name for path in shards] == [f"all-{number:06d}.tar" for number in range(4)]
    found = []
    for shard in shards:
        with tarfile.open(shard) as tar:
            contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        keys = list(dict.fromkeys(name.split(".", 1)[0] for name in contents))
        assert [*contents] == [f"{key}.{ending}" for key in keys for ending in ("png", "json")]
        for key in keys:
            about = json.loads(contents[f"{key}.json"])
            clip = dataset.read(about["video"], about["frame"], about["frame"] + 1)
            np.testing.assert_array_equal(decode(contents[f"{key}.png"]), clip.frames[0])
            assert about["action"] == clip.actions[0]
            np.testing.assert_array_equal(np.float32(about["pose"]), clip.poses[0])
            found.append((about["video"], about["frame"]))
    assert found == [(video, frame) for video in ("a", "d", "b.c") for frame in range(FRAMES[video])]
    index = json.loads((tmp_path / "dataset.json").read_text())
    assert list(index["shards"].values()) == [30, 30, 30, 25] and index["complete"]


def test_the_webdataset_library_reads_it(dataset: ClipDataset, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the library webdataset is not installed")
    shards = export_webdataset(dataset, tmp_path, split="test", image="jpg")
    samples = list(webdataset.WebDataset([str(path) for path in shards], shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"b_c-{frame:06d}" for frame in range(5)]
    for frame, sample in enumerate(samples):
        assert sample["json"]["frame"] == frame and decode(sample["jpg"]).shape == (16, 24, 3)


def test_a_stopped_export_goes_on_with_the_same_bytes(dataset: ClipDataset, tmp_path: Path) -> None:
    whole = export_webdataset(dataset, tmp_path / "whole", frames_per_shard=50)

    def stopping(shards: Sequence[int]) -> Iterable[int]:
        yield shards[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_webdataset(dataset, tmp_path / "x", frames_per_shard=50, progress=stopping)
    first = tmp_path / "x" / whole[0].name
    written = first.stat().st_mtime_ns
    for path, again in zip(whole, export_webdataset(dataset, tmp_path / "x", frames_per_shard=50), strict=True):
        assert path.read_bytes() == again.read_bytes()
    assert first.stat().st_mtime_ns == written
    with pytest.raises(DatasetError, match="something else.*frames_per_shard = 50 where 60"):
        export_webdataset(dataset, tmp_path / "x", frames_per_shard=60)
    with pytest.raises(DatasetError, match="found 'millivid-webdataset'"):
        ClipDataset(tmp_path / "x")


def test_jpg_is_near_and_smaller() -> None:
    ramp = np.linspace(0, 255, 64)[:, None] + np.zeros((64, 64))
    pixels = np.stack([ramp, ramp.T, 255 - ramp], axis=-1).astype(np.uint8)
    jpg = encode_image(pixels, "jpg")
    assert np.abs(decode(jpg).astype(int) - pixels).max() < 12
    np.testing.assert_array_equal(decode(encode_image(pixels, "png")), pixels)


def test_what_cannot_be_exported(dataset: ClipDataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no split 'val'; it has \['test', 'train'\]"):
        export_webdataset(dataset, tmp_path, split="val")
    with pytest.raises(ValueError, match="image must be png or jpg; got 'gif'"):
        export_webdataset(dataset, tmp_path, image="gif")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frames_per_shard is 0; it must be a whole number of at least 1"):
        export_webdataset(dataset, tmp_path, frames_per_shard=0)
    assert not list(tmp_path.iterdir())


def test_samples_of_different_videos_have_different_names(tmp_path: Path) -> None:
    long, frames = "x" * 120, np.zeros((2, 16, 16, 3), np.uint8)
    writer = ClipWriter(tmp_path / "clips", fps=20, size=(16, 16), action_names=["x"], source={})
    for video in ("a.b", "a_b", long):
        writer.write(video, Clip(frames=frames, actions=np.zeros(2, np.int64), poses=np.zeros((2, 5), np.float32)))
    writer.finish({"train": ["a.b", "a_b", long]})
    (shard,) = export_webdataset(ClipDataset(tmp_path / "clips"), tmp_path / "out")
    with tarfile.open(shard) as tar:
        names = tar.getnames()
    assert len(set(names)) == len(names) == 12 and f"{long}-000001.png" in names


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    assert len({key.lower() for key in _sample_keys(["Walk", "walk", "run"]).values()}) == 3


def test_a_damaged_video_is_not_exported(dataset: ClipDataset, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset.folder, tmp_path / "clips")
    for kind, name in (("videos", "a.mp4"), ("tables", "a.safetensors")):
        path = folder / kind / name
        content = path.read_bytes()
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
        with pytest.raises(DatasetError, match=f"{name}: its content has changed since it was written"):
            export_webdataset(ClipDataset(folder), tmp_path / "shards")
        assert not list((tmp_path / "shards").glob("*.tar"))
        path.write_bytes(content)


def test_a_split_cannot_be_a_path(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path / "clips", fps=20, size=(16, 16), action_names=["x"], source={})
    clip = Clip(
        frames=np.zeros((2, 16, 16, 3), np.uint8), actions=np.zeros(2, np.int64), poses=np.zeros((2, 5), np.float32)
    )
    writer.write("a", clip)
    writer.finish({"../evil": ["a"]})
    with pytest.raises(DatasetError, match=r"split '\.\./evil' cannot be a file name"):
        export_webdataset(ClipDataset(tmp_path / "clips"), tmp_path / "out", split="../evil")
    assert not (tmp_path / "out").exists()
