"""The commands of the root README, run as they stand but small."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make in this environment, which counts as set up."""
    words = ("make", "-o", f"{sys.prefix}/demo-ready", "-o", f"{sys.prefix}/ready", f"VENV={sys.prefix}", *words)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_the_readme_shows_these_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("make")]
    assert [line.split("#")[0].strip() for line in lines] == [
        "make demo",
        "make play",
        "make test",
        "make check",
        "make test-tokenizer",
    ]


def test_make_demo(tmp_path: Path) -> None:
    words = ("demo", f"DEMO=out={tmp_path / 'demo'} test_videos=4")
    done = make(*words)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    baselines = {"framepack", "full_resolution"}
    assert set(metrics["runs"]) == {"millivid", *baselines, "true latents", "shuffled frames"}
    for horizon in ("medium", "long"):  # the README's claim, of the shipped weights on a few held-out videos
        psnr, lpips = (
            {name: run[metric]["horizons"][horizon]["value"] for name, run in metrics["runs"].items()}
            for metric in ("psnr", "lpips")
        )
        assert all(psnr["millivid"] > psnr[name] + 1 and lpips["millivid"] < lpips[name] for name in baselines)
    assert "<video" in (tmp_path / "demo" / "index.html").read_text()
    made = [*(tmp_path / "demo" / "stages").rglob("*.mp4")]
    before = [path.stat().st_mtime_ns for path in made]
    done = make(*words)
    assert done.returncode == 0, done.stderr
    assert made and [path.stat().st_mtime_ns for path in made] == before, "a second run must reuse what is there"


def test_make_play() -> None:
    words = ("make", "-o", f"{sys.prefix}/demo-ready", f"VENV={sys.prefix}", "play", "PLAY=open=false port=0")
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("walk at http://127.0.0.1:") for line in lines)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)


def test_make_test() -> None:
    done = make("test", "TEST=--collect-only -q -n 0")
    assert done.returncode == 0, done.stdout
    assert "test_commands.py" in done.stdout


def test_make_check() -> None:
    done = make("check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "kernels", "data_gen"])
def test_make_test_of_one_package(name: str) -> None:
    done = make(f"test-{name}")
    assert done.returncode == 0, done.stdout + done.stderr
