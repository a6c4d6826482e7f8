"""Encoding gives the same files whatever the number of processes, and however often they are killed."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("millivid.training", reason="encoding is in the extra [train]")
pytest.importorskip("millivid.data", reason="encoding is in the extra [train]")

from millivid.data import Clip, ClipDataset, ClipWriter, DatasetError, LatentDataset
from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig
from millivid.tokenizer.encode import EncodeConfig, encode_dataset

VIDEOS, FRAMES = 12, 24
SCRIPT = """
import multiprocessing, sys, threading, time
from pathlib import Path
from millivid.tokenizer.encode import EncodeConfig, encode_dataset

def tell():
    while not multiprocessing.active_children():
        time.sleep(0.001)
    print("started", flush=True)

if __name__ == "__main__":
    threading.Thread(target=tell, daemon=True).start()
    data, tokenizer, out = map(Path, sys.argv[1:4])
    try:
        encode_dataset(EncodeConfig(data=data, tokenizer=tokenizer, out=out, batch=1, processes=int(sys.argv[4])))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, a tokenizer, and the latents that one process makes of them, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("given")
    writer = ClipWriter(folder / "clips", fps=20, size=(32, 32), action_names=["x", "y"], source={"made": "here"})
    rng, ids = np.random.default_rng(0), [f"v{index:02d}" for index in range(VIDEOS)]
    for id in ids:
        frames = rng.integers(0, 256, (FRAMES, 32, 32, 3), dtype=np.uint8)
        writer.write(
            id, Clip(frames=frames, actions=rng.integers(0, 2, FRAMES), poses=np.ones((FRAMES, 5), np.float32))
        )
    writer.finish({"train": ids[2:], "test": ids[:2]})
    torch.manual_seed(0)
    config = TokenizerConfig(image_size=(32, 32), patch_size=(8, 8), num_levels=2, width=64, depth=2, num_heads=2)
    tokenizer = HierarchicalTokenizer(config)
    for parameter in tokenizer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "encode.py").write_text(SCRIPT)
    encode(folder, folder / "latents")
    return folder


def encode(given: Path, out: Path, processes: int = 1, data: Path | None = None) -> None:
    config = EncodeConfig(
        data=data or given / "clips", tokenizer=given / "tokenizer", out=out, batch=1, processes=processes
    )
    encode_dataset(config)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def whole_files_only(given: Path, out: Path) -> int:
    """How many videos are there, none of them half a file."""
    found = {name: content for name, content in files(out / "latents").items() if name.endswith("safetensors")}
    found = {name: content for name, content in found.items() if not name.startswith(".")}
    expected = files(given / "latents" / "latents")
    assert all(content == expected[name] for name, content in found.items())
    return len(found)


def start(given: Path, out: Path, processes: int, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, given / "encode.py", given / "clips", given / "tokenizer", out, str(processes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_a_video(out: Path) -> None:
    while not list(out.glob("latents/v*.safetensors")):
        time.sleep(0.002)


def test_what_is_encoded_is_verified(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encode(given, tmp_path / "x", processes=2)
    assert files(tmp_path / "x") == files(given / "latents")
    output = capsys.readouterr()
    assert output.out == f"encoded {VIDEOS} videos, {VIDEOS * FRAMES} frames, verified\n"
    assert f"{VIDEOS}/{VIDEOS}" in output.err
    data, clips = LatentDataset(tmp_path / "x"), ClipDataset(given / "clips")
    assert data.verify().hashes == VIDEOS
    assert data.index.frames == clips.index.frames and data.index.splits == clips.index.splits
    tokenizer = HierarchicalTokenizer.from_pretrained(given / "tokenizer")
    with torch.no_grad():
        pyramid = tokenizer.encode(torch.from_numpy(clips.read("v03").frames).permute(0, 3, 1, 2).float() / 255)
    assert len(pyramid) == len(data.index.grids)
    for level, expected in enumerate(pyramid):
        np.testing.assert_allclose(data.read("v03", level), expected, atol=2e-3)


def test_the_number_of_threads_changes_nothing(given: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        encode(given, tmp_path / "x")
    finally:
        torch.set_num_threads(threads)
    assert files(tmp_path / "x") == files(given / "latents")


def test_a_worker_that_is_killed(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"

    def kill_one() -> None:
        wait_for_a_video(out)
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(ChildProcessError, match="a process ended unexpectedly.*run the same command again"):
        encode(given, out, processes=2)
    killer.join()
    assert not multiprocessing.active_children()
    assert 0 < whole_files_only(given, out) < VIDEOS
    with pytest.raises(DatasetError, match="unfinished"):
        LatentDataset(out)
    done = {path: path.stat().st_mtime_ns for path in out.glob("latents/v*.safetensors")}
    encode(given, out, processes=2)
    assert files(out) == files(given / "latents")
    assert all(path.stat().st_mtime_ns == then for path, then in done.items())


def test_a_command_that_is_killed_takes_its_workers_with_it(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    running = start(given, out, processes=2)
    wait_for_a_video(out)
    running.kill()
    running.communicate(timeout=60)  # until nobody has its output open, so until the workers ended
    assert 0 < whole_files_only(given, out) < VIDEOS
    encode(given, out)
    assert files(out) == files(given / "latents")


@pytest.mark.parametrize("when", ["at the start", "after a video"])
def test_ctrl_c_stops_all_workers_without_a_word(given: Path, tmp_path: Path, when: str) -> None:
    out = tmp_path / "x"
    running = start(given, out, processes=2)
    assert running.stdout is not None and running.stdout.readline() == "started\n"
    if when == "after a video":
        wait_for_a_video(out)
    os.killpg(running.pid, signal.SIGINT)
    output = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in output and "Error" not in output
    assert whole_files_only(given, out) < VIDEOS


def test_commands_of_a_launcher_share_the_work(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    running = [start(given, out, 1, RANK=str(rank), WORLD_SIZE="3", LOCAL_RANK=str(rank)) for rank in range(3)]
    output = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], output
    assert files(out) == files(given / "latents")
    assert any("encoded 12 videos, 288 frames, verified" in out for out, _ in output)
    assert ["encode:" in err for _, err in output] == [True, False, False]


def test_who_ends_last_finishes(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said, complete in (
        (1, "rank 1 is done; the others are at work on 6 videos", False),
        (0, "encoded 12 videos", True),
        (1, "", True),
    ):
        monkeypatch.setenv("RANK", str(rank))
        encode(given, out)
        output = capsys.readouterr().out
        assert output.startswith(said) and bool(output) == bool(said)
        assert json.loads((out / "dataset.json").read_text())["complete"] is complete
    assert files(out) == files(given / "latents")


def test_damage_is_named(given: Path, tmp_path: Path) -> None:
    out, clips = tmp_path / "x", tmp_path / "clips"
    (clips / "videos").mkdir(parents=True)
    for name, content in files(given / "clips").items():
        (clips / name).parent.mkdir(exist_ok=True)
        (clips / name).write_bytes(content)
    video = clips / "videos" / "v07.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"v07\.mp4: its content has changed"):  # from another process
        encode(given, out, processes=2, data=clips)
    video.write_bytes(whole)
    latents = min(out.glob("latents/v*.safetensors"))
    content = bytearray(latents.read_bytes())
    content[-2000] ^= 64
    latents.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{latents.name}: its content has changed.*delete it"):
        encode(given, out, data=clips)
    latents.unlink()
    encode(given, out, data=clips)
    assert files(out) == files(given / "latents")


def test_settings_that_cannot_work() -> None:
    with pytest.raises(
        ValueError, match="processes is -1; it must be a whole number from 0 to 1,024, where 0 is one per core"
    ):
        EncodeConfig(processes=-1)
    with pytest.raises(ValueError, match="processes is 4 with device=cuda; it is for the CPU"):
        EncodeConfig(processes=4, device="cuda")
