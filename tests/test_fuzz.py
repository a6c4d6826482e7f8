"""Spoiled files and odd words of commands: `tests/fuzz/fuzzing.py` finds nothing that must not be, and would."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FUZZING = Path(__file__).parent / "fuzz" / "fuzzing.py"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", ["0/2", "1/2"])
def test_each_is_read_right_or_refused_in_one_sentence(share: str) -> None:
    cases = os.environ.get("MILLIVID_FUZZ_CASES", "4")
    done = subprocess.run(
        [sys.executable, FUZZING, f"share={share}", f"cases={cases}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FUZZING.parent)
    spec = importlib.util.spec_from_file_location("fuzzing", FUZZING)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzzing", module)
    spec.loader.exec_module(module)
    return module


def _raise(error: BaseException) -> str:
    raise error


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (lambda: "as before", "right"),
        (lambda: "another", "different"),
        (lambda: _raise(ValueError("data/x.json: is damaged; restore it")), "sentence"),
        (lambda: _raise(ValueError("is damaged")), "unclear"),
        (lambda: _raise(ValueError("data/x.json: is damaged\nbadly")), "unclear"),
        (lambda: _raise(KeyError("x")), "traceback"),
        (lambda: "x" * (1 << 40), "memory"),
        (lambda: os.kill(os.getpid(), 9), "killed"),
        (lambda: time.sleep(60), "killed"),
    ],
)
def test_what_must_not_be_is_found(
    fuzzing: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Callable[[], str], found: str
) -> None:
    monkeypatch.setattr(fuzzing, "SECONDS", 1)
    (tmp_path / "base" / "data").mkdir(parents=True)
    (tmp_path / "base" / "data" / "x.json").write_text('{"a": 1}')
    target = fuzzing.Target(name="read", files="data/x.json", needs=("data",), run=run)
    (tmp_path / "case").mkdir()
    outcome = fuzzing.run_case(tmp_path / "base", fuzzing.Case(target, "data/x.json", 0), 1, tmp_path / "case")
    assert fuzzing.judge(*outcome, exact=True, expected="as before") == found


def test_every_command_is_tried(fuzzing: ModuleType) -> None:
    from millivid.app.cli import COMMANDS

    whole_journeys = {"demo", "play", "reproduce"}  # they call the others, or go on until they are stopped
    others = {"env", "export onnx", "export web"}  # which has no words; these take half a minute whatever the words
    assert set(fuzzing.COMMANDS) == set(COMMANDS) - whole_journeys - others - {"import reference"}
