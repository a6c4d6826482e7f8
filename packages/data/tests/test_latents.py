"""Latent datasets: slices from disk equal slices of what was written; statistics equal those of all latents at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from millivid.data import DatasetError, LatentDataset, LatentWriter
from millivid.data.latent_statistics import StatisticsSum

GRIDS = ((4, 4), (2, 2), (1, 1))
SETTINGS: dict[str, Any] = {
    "fps": 20,
    "action_names": ["forward", "left", "right"],
    "grids": GRIDS,
    "channels": 6,
    "tokenizer": {"fingerprint": "abc123", "name": "test"},
}


def pyramid(seed: int, frames: int) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    scale = np.array([1, 0.5, 2, 1, 0, 3], np.float32)  # channel 4 never changes
    return [
        (rng.normal(size=(frames, *grid, 6)) * scale + level).astype(np.float32) for level, grid in enumerate(GRIDS)
    ]


def write(writer: LatentWriter, video: str, seed: int, frames: int) -> None:
    poses = np.full((frames, 5), seed, np.float32)
    writer.write(video, pyramid(seed, frames), np.arange(frames) % 3, poses)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = LatentWriter(tmp_path / "latents", **SETTINGS)
    for seed, video in enumerate(("a", "b", "c")):
        write(writer, video, seed, 20 + seed)
    writer.finish({"train": ["a", "b"], "test": ["c"]})
    return tmp_path / "latents"


class TooShort:
    """Claims more frames than its slices give."""

    def __init__(self, latents: NDArray[np.float32]) -> None:
        self.latents, self.shape = latents, (2 * len(latents), *latents.shape[1:])

    def __getitem__(self, frames: slice) -> NDArray[np.float32]:
        return self.latents[frames]


def test_slices_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    writer = LatentWriter(tmp_path, **SETTINGS)
    levels = [TooShort(level) for level in pyramid(0, 6)]
    with pytest.raises(
        DatasetError, match=r"level 0, frames 0 to 11: shape \[12, 4, 4, 6\] is expected; got \[6, 4, 4, 6\]"
    ):
        writer.write("a", levels, np.zeros(12, np.int64), np.zeros((12, 5), np.float32))
    assert not writer.done("a")


def test_any_length_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    writer, levels = LatentWriter(tmp_path, **SETTINGS), pyramid(3, 600)
    writer.write("long", levels, np.arange(600) % 3, np.zeros((600, 5), np.float32))
    table = load_file(tmp_path / "latents" / "long.safetensors")
    assert table["actions"].tolist() == [frame % 3 for frame in range(600)] and table["poses"].shape == (600, 5)
    for level, latents in enumerate(levels):
        assert np.array_equal(table[f"level_{level}"], latents.astype(np.float16))


def test_slices_equal_slices_of_the_whole(folder: Path) -> None:
    data = LatentDataset(folder)
    assert (len(data), data.ids("train"), data.num_frames("c")) == (3, ["a", "b"], 22)
    assert data.index.grids == GRIDS
    assert data.index.tokenizer["fingerprint"] == "abc123"
    written = [level.astype(np.float16) for level in pyramid(1, 21)]
    for level in range(len(GRIDS)):
        latents = data.read("b", level)
        assert latents.dtype == np.float16
        np.testing.assert_array_equal(latents, written[level])
        for start, stop in ((0, 21), (3, 9), (20, 21), (7, 7)):
            np.testing.assert_array_equal(data.read("b", level, start, stop), written[level][start:stop])
    np.testing.assert_array_equal(data.actions("b", 4, 8), [1, 2, 0, 1])
    np.testing.assert_array_equal(data.poses("b"), np.ones((21, 5), np.float32))


def test_statistics_are_those_of_the_training_latents(folder: Path) -> None:
    statistics = LatentDataset(folder).index.statistics
    for level in range(3):
        every = np.concatenate([pyramid(seed, 20 + seed)[level].astype(np.float16).reshape(-1, 6) for seed in (0, 1)])
        np.testing.assert_allclose(statistics.mean[level], every.astype(np.float64).mean(0), rtol=1e-6, atol=1e-7)
        expected = np.maximum(every.astype(np.float64).std(0), 1e-6)
        np.testing.assert_allclose(statistics.std[level], expected, rtol=1e-6)
    np.testing.assert_allclose(statistics.std[:, 4], 1e-6)  # the floor


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("std", 0.0, "standard deviations finite and at least 1e-06"),
        ("std", -1.0, "standard deviations finite"),
        ("std", 1e-300, "standard deviations finite"),
        ("mean", 1e300, "means must be finite"),
        ("mean", None, "expected lists of numbers"),
        ("mean", "9", "expected lists of numbers"),
        (None, None, r"statistics are of \[2, 6\] levels and channels, but the latents have \[3, 6\]"),
    ],
)
def test_statistics_that_cannot_be_are_refused(folder: Path, name: str | None, value: object, message: str) -> None:
    content = json.loads((folder / "dataset.json").read_text())
    for key, rows in content["statistics"].items():
        if name is None:
            rows.pop()
        elif key == name:
            rows[0][0] = value
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        LatentDataset(folder)


def test_merging_is_exact_for_large_offsets() -> None:
    """Where sums of squares would cancel: values near 1000 that differ by 0.001."""
    rng = np.random.default_rng(0)
    parts = [1000 + 0.001 * rng.normal(size=(frames, 1, 1, 2)) for frames in (3, 50, 7)]
    total = StatisticsSum()
    for part in parts:
        total.add([part])
    np.testing.assert_allclose(total.statistics().std[0], np.concatenate(parts).reshape(-1, 2).std(0), rtol=1e-6)


def test_continuing(tmp_path: Path) -> None:
    out = tmp_path / "latents"
    write(LatentWriter(out, **SETTINGS), "a", 0, 5)
    with pytest.raises(DatasetError, match="unfinished"):
        LatentDataset(out)
    with pytest.raises(DatasetError, match=r"holds something else.*tokenizer\.fingerprint = 'abc123' where 'other'"):
        LatentWriter(out, **{**SETTINGS, "tokenizer": {"fingerprint": "other", "name": "test"}})
    writer = LatentWriter(out, **SETTINGS)
    assert writer.done("a")
    assert not writer.done("b")
    with pytest.raises(DatasetError, match="'b', which is not in the dataset"):
        writer.finish({"train": ["a", "b"]})
    write(writer, "b", 1, 6)
    writer.finish({"train": ["a", "b"]})
    assert LatentDataset(out).ids() == ["a", "b"]


def test_latents_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    writer = LatentWriter(tmp_path / "latents", **SETTINGS)
    actions, poses = np.zeros(5, np.int64), np.zeros((5, 5), np.float32)
    levels = pyramid(0, 5)
    with pytest.raises(DatasetError, match="3 levels are expected; got 2"):
        writer.write("a", levels[:2], actions, poses)
    with pytest.raises(DatasetError, match=r"level 1: shape \[5, 2, 2, 6\] is expected; got \[4, 2, 2, 6\]"):
        writer.write("a", [levels[0], levels[1][1:], levels[2]], actions, poses)
    with pytest.raises(DatasetError, match="level 0: latents hold NaN, infinity"):
        writer.write("a", [levels[0] * 1e6, *levels[1:]], actions, poses)
    with pytest.raises(DatasetError, match=r"categorical actions are int64 \[5\]; got int64 \[6\]"):
        writer.write("a", levels, np.zeros(6, np.int64), poses)
    with pytest.raises(DatasetError, match="fingerprint"):
        LatentWriter(tmp_path / "other", **{**SETTINGS, "tokenizer": {}})
    assert not writer.done("a")


def test_damaged_files_and_wrong_levels(folder: Path) -> None:
    data = LatentDataset(folder)
    with pytest.raises(DatasetError, match="levels 0 to 2; got level 3"):
        data.read("a", 3)
    path = folder / "latents" / "a.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read"):
        data.read("a", 0)
