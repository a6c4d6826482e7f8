"""The README's code runs, and importing the package drags in nothing but numpy."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import millivid.rollout

PACKAGE = Path(__file__).parents[1]
README = (PACKAGE / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_readme_code(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "readme.py").write_text(BLOCKS[number])
    runpy.run_path(str(tmp_path / "readme.py"), run_name="readme")
    printed = capsys.readouterr().out
    assert printed in README  # what the README shows is what the code prints
    assert printed.startswith("Cost(") == (number == 0)


def test_public_names_are_documented() -> None:
    for name in millivid.rollout.__all__:
        assert getattr(millivid.rollout, name).__doc__, name


def test_import_is_light() -> None:
    code = "import sys, millivid.rollout; print([m for m in ('torch', 'matplotlib', 'PIL') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_namespace_has_no_init() -> None:
    assert not (PACKAGE / "src" / "millivid" / "__init__.py").exists()
    assert len((PACKAGE / "src" / "millivid" / "rollout" / "__init__.py").read_text().splitlines()) <= 30
