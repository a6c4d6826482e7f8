"""`millivid play` from the command line: one sentence for what cannot be."""

import socket
import sys
from pathlib import Path

import pytest
import torch

from millivid.app.cli import main
from millivid.app.pipeline import VideoPipeline
from millivid.data import ClipDataset
from millivid.play import in_a_world

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("model=here", "model and tokenizer belong together"),
        ("start=video.mp4", "start and actions belong together"),
        ("fps=0", "fps is 0"),
        ("port=70000", "port is 70000"),
        ("sessions=0", "sessions is 0"),
        ("steps=1", "steps is 1"),
        ("seed=-1", "seed is -1"),
        ("keep=10", "keep is 10"),
        ("start=missing.mp4 actions=forward*84", "missing.mp4"),
        ("model=nowhere tokenizer=nowhere", "nowhere"),
        ("device=tpu", "device=tpu cannot be used"),
        ("solver=magic", "magic"),
    ],
)
def test_mistakes(words: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["play", "open=false", "port=0", f"out={tmp_path}/out", *words.split()]) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told and len(told.splitlines()) == 1, told
    assert not list(tmp_path.iterdir())


def test_without_its_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "millivid.play.play", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["play"]) == 2
    assert "needs uvicorn, which is not installed; pip install '.[play]'" in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["play", "open=false", f"port={port}"]) == 2
    told = capsys.readouterr().err
    assert f"port {port} is taken; give port=0 for any that is free" in told


def test_the_readmes_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _, python = README.read_text().split("```python\n")
    exec(compile(python.split("```")[0], "README.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 16 and told[0] == "frame 84 (64, 64, 3)"


def test_the_guides_example_runs(
    minds: dict[str, VideoPipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = README.parents[2] / "docs" / "play.md"
    code = guide.read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    begun = in_a_world(minds["millivid"].info, 0)
    frames = torch.from_numpy(begun.frames).permute(0, 3, 1, 2).float() / 255
    known = {"pipeline": minds["millivid"], "frames": frames, "actions": torch.from_numpy(begun.actions)}
    exec(compile(code, "docs/play.md", "exec"), known)
    assert len(ClipDataset(tmp_path / "walk").read("walk")) == 90
