"""The data commands: shares as jobs, verification, inspection and export, as somebody who types them meets them."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from millivid.app.cli import main
from millivid.command import parse_share
from millivid.data import LatentDataset

TINY = [
    "world=voxel",
    "world.size=[16,16]",
    "world.world_size=48",
    "train_videos=3",
    "test_videos=1",
    "test_candidates=2",
    "frames=12",
    "context=4",
]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "clips"
    assert main(["data", "generate", f"out={folder}", *TINY, "processes=1"]) == 0
    return folder


def test_shares_as_jobs_record_the_same_dataset(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["millivid"])
    words = (
        f"data generate out={tmp_path}/clips processes=1 share=0/2,1/2 --multirun hydra/launcher=submitit_local".split()
    )
    assert main([*words, *TINY]) == 0
    assert digests(tmp_path / "clips") == digests(clips)


def test_a_share_alone_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "generate", f"out={tmp_path}/clips", *TINY, "processes=1"]
    assert main([*words, "share=1/2"]) == 0
    assert "share 1/2 is done; 3 videos of other shares are missing" in capsys.readouterr().out
    for wrong in ("2/2", "half", "1", "-1/2", "1/0"):
        assert main([*words, f"share={wrong}"]) == 2
        assert f"share is '{wrong}'; write number/count" in capsys.readouterr().err
    assert parse_share("63/64") == (63, 64)


def test_verify_reads_clips_and_latents(
    clips: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "verify", str(clips)]) == 0
    assert "4 videos, 48 frames, all hashed: as recorded" in capsys.readouterr().out
    assert main(["data", "verify", f"data={walk}/latents"]) == 0
    videos = len(LatentDataset(walk / "latents"))
    assert f"{videos} videos, " in capsys.readouterr().out
    assert main(["data", "verify", f"data={tmp_path}"]) == 2
    assert "holds no dataset.json, so it is no dataset" in capsys.readouterr().err
    video = clips / "videos" / "train_00001.mp4"
    whole = video.read_bytes()
    try:
        video.write_bytes(whole[:500] + b"?" + whole[501:])
        assert main(["data", "verify", f"data={clips}"]) == 2
        assert "train_00001.mp4: its content has changed" in capsys.readouterr().err
        video.unlink()  # as it says: delete it and make it again
        assert main(["data", "generate", f"out={clips}", *TINY, "processes=1"]) == 0
        assert video.read_bytes() == whole
    finally:
        video.write_bytes(whole)


def test_inspect_prints_and_writes_a_page(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", f"data={clips}", f"out={tmp_path}/page"]) == 0
    told = capsys.readouterr().out
    assert "videos   4" in told and "forward" in told
    page = (tmp_path / "page" / "index.html").read_text()
    assert "train_00002" in page
    assert main(["data", "inspect", f"data={tmp_path}/page"]) == 2


def test_export_writes_shards(clips: Path, tmp_path: Path) -> None:
    assert main(["data", "export", f"data={clips}", f"out={tmp_path}/tar", "split=train", "frames_per_shard=30"]) == 0
    assert [path.name for path in sorted(tmp_path.glob("tar/*.tar"))] == ["train-000000.tar", "train-000001.tar"]
    assert json.loads((tmp_path / "tar" / "dataset.json").read_text())["shards"]["train-000001.tar"] == 6


def test_worlds_and_their_settings_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        ("world=voxle", "there is no world 'voxle'; did you mean 'voxel'?"),
        ("world=voxel world.sise=[32,32]", "there is no setting world.sise; did you mean world.size?"),
        ("world=voxel world.step=7", "world.step is 7.0; it must be a finite number from 0.01 to 1.0"),
        ("experiment=tiny context=0", "context"),
        ("experiment=tiny fps=0", "fps"),
        ("experiment=tiny test_candidates=0", "test_candidates is 0; it must be a whole number from 1 to 99,999"),
    ):
        assert main(["data", "generate", f"out={tmp_path}/x", *words.split()]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
