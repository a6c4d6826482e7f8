"""The package imports lightly, and its README's example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_importing_it_needs_no_extra() -> None:
    code = (
        "import sys, millivid.eval as e; "
        "heavy = {'av', 'matplotlib', 'PIL', 'skimage', 'jax', 'millivid.data'} & set(sys.modules); "
        "assert not heavy, heavy; assert all(hasattr(e, n) for n in e.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_namespace_stays_open() -> None:
    assert not (ROOT / "src" / "millivid" / "__init__.py").exists()


def test_the_readme_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("av", "matplotlib", "PIL", "jinja2"):
        pytest.importorskip(module, reason=f"the example writes a report, which needs {module}")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "report" / "index.html").is_file()
