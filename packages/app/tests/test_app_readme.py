"""The README's walk through the commands, run in order as it stands but small."""

import re
from pathlib import Path

import pytest

from millivid.app.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
SMALLER = {
    "data": ("train_videos=3", "test_videos=2", "processes=1"),
    "train": ("training.steps=2",),
    "generate": ("steps=1",),
}


def test_the_walk_ends_in_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines():
        program, *words = line.split()
        assert program == "millivid"
        assert main([word for word in words if "train_videos" not in word] + [*SMALLER.get(words[0], ())]) == 0, line
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "plan.png").is_file()


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert "frames after the context" in capsys.readouterr().out
