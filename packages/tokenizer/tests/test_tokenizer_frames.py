"""Training frames: the same from memory and from the videos, and what is done about videos that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("millivid.training", reason="examples are read in the extra [train]")
pytest.importorskip("millivid.data", reason="examples are read in the extra [train]")

from millivid.data import Clip, ClipDataset, ClipWriter, DatasetError
from millivid.tokenizer.frames import FrameExamples, load_pool
from millivid.training import Processes, TrainingConfig
from millivid.training.loader import load_shares

FRAMES = {"a": 20, "b": 150, "c": 7}


@pytest.fixture
def dataset(tmp_path: Path) -> ClipDataset:
    random = np.random.default_rng(0)
    names = ["forward"]
    writer = ClipWriter(tmp_path, fps=20, size=(16, 16), action_names=names, source={}, lossless=True)
    for id, frames in FRAMES.items():
        pixels = random.integers(0, 256, (frames, 16, 16, 3), np.uint8)
        writer.write(
            id, Clip(frames=pixels, actions=np.zeros(frames, np.int64), poses=np.zeros((frames, 5), np.float32))
        )
    writer.finish({"train": ["a", "b", "c"]})
    return ClipDataset(tmp_path)


def test_frames_from_videos_are_those_in_memory(dataset: ClipDataset) -> None:
    pool = load_pool(dataset, ["a", "b", "c"], 1000, hidden=True)
    from_memory, from_disk = FrameExamples(dataset, 3, pool), FrameExamples(dataset, 3)
    assert len(from_memory) == len(from_disk) == sum(FRAMES.values())
    for index in (0, 19, 20, 21, 169, 170, 176):
        (a, *drawn), (b, *same) = (
            examples.example(index, torch.Generator().manual_seed(index)) for examples in (from_memory, from_disk)
        )
        assert torch.equal(a, b)
        assert drawn == same
    frames, levels, seeds = from_disk.collate(
        [from_disk.example(n, torch.Generator().manual_seed(n)) for n in range(40)]
    )
    assert frames.shape == (40, 3, 16, 16)
    assert set(levels.tolist()) == {0, 1, 2} and len(set(seeds.tolist())) == 40


def test_a_pool_is_spread_evenly(dataset: ClipDataset) -> None:
    pool = load_pool(dataset, ["a", "b", "c"], 60, hidden=True)
    assert len(pool) == 7 + 50 + 3  # every third frame
    assert torch.equal(pool[8], torch.from_numpy(dataset.read("b").frames[3]))


def damage(dataset: ClipDataset, id: str) -> None:
    file = dataset.folder / "videos" / f"{id}.mp4"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])


def test_a_damaged_video_is_named_or_passed_over(dataset: ClipDataset, capsys: pytest.CaptureFixture[str]) -> None:
    damage(dataset, "b")
    with pytest.raises(DatasetError, match=r"b.mp4"):
        load_pool(dataset, ["a", "b", "c"], 1000, hidden=True)
    assert len(load_pool(dataset, ["a", "b", "c"], 1000, skip_unreadable=True, hidden=True)) == 27
    assert "passed over: " in capsys.readouterr().err
    with pytest.raises(DatasetError):
        load_pool(dataset, ["b"], 1000, skip_unreadable=True, hidden=True)


def test_training_goes_on_beside_a_damaged_video(dataset: ClipDataset) -> None:
    damage(dataset, "b")  # 150 of 177 frames
    config = TrainingConfig(steps=5, batch_size=8, unreadable="skip")
    shares = list(load_shares(FrameExamples(dataset, 3), config, Processes()))
    assert [len(share.batches[0][0]) for share in shares] == [8] * 5
    assert all("b.mp4" in error for share in shares for error in share.passed_over)
    assert sum(len(share.passed_over) for share in shares) > 40
