"""A finished dataset is what was written, or the files that are not are named."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from millivid.data import DatasetError, LatentDataset, LatentWriter, Verification

GRIDS = ((4, 4), (2, 2))
VIDEOS = ("a", "b", "c")
SPLITS = {"train": ["a", "b"], "test": ["c"]}


def make_writer(folder: Path) -> LatentWriter:
    return LatentWriter(
        folder, fps=20, action_names=["x", "y"], grids=GRIDS, channels=6, tokenizer={"fingerprint": "z"}
    )


def write(writer: LatentWriter, video: str, frames: int = 30) -> None:
    rng = np.random.default_rng(ord(video))
    levels = [rng.normal(size=(frames, *grid, 6)) for grid in GRIDS]
    writer.write(video, levels, rng.integers(0, 2, frames), np.zeros((frames, 5), np.float32))


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    writer = make_writer(tmp_path / "latents")
    for video in VIDEOS:
        write(writer, video)
    assert writer.written() == set(VIDEOS)
    return tmp_path / "latents"


@pytest.fixture
def folder(unfinished: Path) -> Path:
    make_writer(unfinished).finish(SPLITS)
    return unfinished


def file(folder: Path, video: str) -> Path:
    return folder / "latents" / f"{video}.safetensors"


def flip(path: Path, at: int = -100) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_the_index_holds_the_hash_of_every_file(folder: Path) -> None:
    videos = json.loads((folder / "dataset.json").read_text())["videos"]
    for video in VIDEOS:
        assert videos[video] == {"frames": 30, "sha256": hashlib.sha256(file(folder, video).read_bytes()).hexdigest()}
    assert sorted(path.name for path in (folder / "latents").iterdir()) == [f"{video}.safetensors" for video in VIDEOS]
    seen: list[str] = []

    def progress(ids: Sequence[str]) -> Sequence[str]:
        seen.extend(ids)
        return ids

    assert LatentDataset(folder).verify(progress) == Verification(videos=3, frames=90, hashes=3)
    assert seen == list(VIDEOS)


def swap(folder: Path) -> None:
    first, second = file(folder, "b").read_bytes(), file(folder, "c").read_bytes()
    file(folder, "b").write_bytes(second)
    file(folder, "c").write_bytes(first)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: flip(file(folder, "b")), r"b\.safetensors: its content has changed since it was written"),
        (lambda folder: flip(file(folder, "b"), 10), r"b\.safetensors"),
        (lambda folder: file(folder, "b").unlink(), r"b\.safetensors: no such file"),
        (lambda folder: file(folder, "b").write_bytes(b""), r"b\.safetensors: cannot be read"),
        (swap, r"2 of 3 files are missing or damaged: b\.safetensors, c\.safetensors\. The first: .*b\.safetensors: its"),
        (lambda folder: write(make_writer(folder), "b", 29), r"b\.safetensors: 'level_0' has shape \[29, 4, 4, 6\], but"),
    ],
)  # fmt: skip
def test_a_file_that_changed_is_named(folder: Path, damage: Callable[[Path], None], told: str) -> None:
    damage(folder)
    with pytest.raises(DatasetError, match=told):
        LatentDataset(folder).verify()


def test_many_bad_files_are_counted(tmp_path: Path) -> None:
    writer, videos = make_writer(tmp_path), [chr(ord("a") + i) for i in range(14)]
    for video in videos:
        write(writer, video)
    writer.finish({"train": videos})
    for video in videos[:13]:
        flip(file(tmp_path, video))
    with pytest.raises(DatasetError, match=r"13 of 14 files .*: a\.safetensors, .*, j\.safetensors and 3 more\. The"):
        LatentDataset(tmp_path).verify()


def test_damage_between_writing_and_finishing_is_noticed(unfinished: Path) -> None:
    whole = file(unfinished, "b").read_bytes()
    flip(file(unfinished, "b"))
    with pytest.raises(DatasetError, match=r"b\.safetensors: its content has changed.*delete it and make it again"):
        make_writer(unfinished).finish(SPLITS)
    with pytest.raises(DatasetError, match="unfinished"):
        LatentDataset(unfinished)
    file(unfinished, "b").unlink()
    writer = make_writer(unfinished)
    assert not writer.done("b")
    write(writer, "b")
    assert file(unfinished, "b").read_bytes() == whole
    assert writer.finish(SPLITS) == LatentDataset(unfinished).verify()


def test_damage_after_finishing_is_noticed_when_it_is_finished_again(folder: Path) -> None:
    index = (folder / "dataset.json").read_bytes()
    make_writer(folder).finish(SPLITS)
    assert (folder / "dataset.json").read_bytes() == index
    flip(file(folder, "c"))
    with pytest.raises(DatasetError, match=r"c\.safetensors: its content has changed"):
        make_writer(folder).finish(SPLITS)
    assert (folder / "dataset.json").read_bytes() == index
    write(make_writer(folder), "c")  # a video may be written anew
    make_writer(folder).finish(SPLITS)
    assert (folder / "dataset.json").read_bytes() == index


def test_every_video_has_the_frames_that_are_expected(unfinished: Path) -> None:
    for frames in ({"a": 30, "b": 31, "c": 30}, {"a": 30, "c": 30}):
        with pytest.raises(DatasetError, match=r"b\.safetensors: holds 30 frames, but (31|none) are expected"):
            make_writer(unfinished).finish(SPLITS, frames=frames)
    assert make_writer(unfinished).finish(SPLITS, frames=dict.fromkeys(VIDEOS, 30)).frames == 90


def test_datasets_from_before_there_were_hashes(folder: Path) -> None:
    index = folder / "dataset.json"
    value = json.loads(index.read_text())
    for entry in value["videos"].values():
        del entry["sha256"]
    index.write_text(json.dumps(value))
    data = LatentDataset(folder)
    assert data.index.sha256 == {} and data.read("a", 0).shape == (30, 4, 4, 6)
    assert data.verify() == Verification(videos=3, frames=90, hashes=0)
    file(folder, "a").write_bytes(file(folder, "a").read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"a\.safetensors"):
        data.verify()


def test_several_may_finish_at_the_same_time(unfinished: Path) -> None:
    leftover = unfinished / "latents" / ".writing-1-a.safetensors"
    indices = set()
    for _ in range(10):
        leftover.write_bytes(b"half")
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: make_writer(unfinished).finish(SPLITS), range(4)))
        assert found == [Verification(videos=3, frames=90, hashes=3)] * 4
        indices.add((unfinished / "dataset.json").read_bytes())
    assert len(indices) == 1
    assert sorted(path.name for path in unfinished.rglob("*") if path.is_file()) == [
        "a.safetensors", "b.safetensors", "c.safetensors", "dataset.json",
    ]  # fmt: skip
