"""The README's examples run as they stand, but small."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_walk_ends_in_a_report(walk: Path) -> None:
    assert "<video" in (walk / "report" / "index.html").read_text()
    assert (walk / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["finished 4 more frames"] * 2 + ["finished 2 more frames"]
