"""The benchmarks run, and the tables that READMEs show are those of the figures that are kept."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/dit.py` as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("dit", ROOT / "benchmarks" / "dit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dit", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("training", [True, False])
def test_the_video_models_benchmark(dit: ModuleType, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dit.SIZES, "S", {"width": 48, "depth": 2, "num_heads": 2})
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # takes a minute
    case = dit.Case(size="S", windows=(1, 1, 2, 2), history=0, training=training, dtype="float32")
    result = dit.measure(case, "cpu", rounds=1)
    assert (result["tokens"], result["cells"], result["rounds"]) == (256 + 64 + 32 + 8, 6, 1)
    opponent, ours = result["variants"]["per token"], result["variants"]["per cell"]
    assert opponent["time_ratio"] == opponent["memory_ratio"] == 1
    assert ours["seconds"] > 0 and 0 < ours["memory_ratio"] < (0.7 if training else 1.1)
    assert dit.table([result]).count("\n") == 5


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks" / "results").glob("dit-*.json")), ids=lambda path: path.stem
)
def test_the_table_in_the_readme_is_that_of_the_kept_figures(dit: ModuleType, path: Path) -> None:
    kept = json.loads(path.read_text())
    text = (ROOT / "packages" / "diffusion" / "README.md").read_text()
    assert dit.table(kept["results"]) in text
    for what in ("hardware", "torch", "commit"):
        assert str(kept["machine"][what]) in text
