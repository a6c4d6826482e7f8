"""Many processes: the same training on every stage of ZeRO, under both launchers, stopped and killed at any moment."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from millivid.command import leave_processes
from millivid.training import deepspeed_engine, join_processes, train
from millivid.training.checkpoint import newest_checkpoint, read_checkpoint

from .toy import Toy, settings

HERE = Path(__file__).parent
SECONDS = 300
needs_deepspeed = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import deepspeed"], capture_output=True).returncode != 0,
    reason="deepspeed is not installed",
)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def command(launcher: str, script: str, *words: object) -> list[str]:
    launchers = {
        "python": [sys.executable],
        "torchrun": [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node=2",
            f"--master-port={free_port()}",
        ],
        "deepspeed": [
            str(Path(sys.executable).with_name("deepspeed")),
            *("--no_local_rank", "--num_accelerators=2", f"--master_port={free_port()}"),
        ],
    }
    return [*launchers[launcher], str(HERE / script), *map(str, words)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}


def start(launcher: str, script: str, *words: object) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(launcher, script, *words), env=ENVIRONMENT, start_new_session=True, **pipes)


def rows(launcher: str, script: str, *words: object) -> list[dict]:
    done = start(launcher, script, *words)
    out, err = done.communicate(timeout=SECONDS)
    assert done.returncode == 0, err[-3000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


# A bfloat16 product is rounded to 8 bits, and rounded otherwise when a batch is split; Muon keeps the sign of what is small.
LIMITS = {"fp32": {"loss": 2e-6, "weights": 1e-5}, "bf16": {"loss": 0.02, "weights": 0.04}}


@needs_deepspeed
@pytest.mark.parametrize("launcher", ["python", "torchrun"])
def test_every_stage_trains_as_torchs_own_optimizers_do(tmp_path: Path, launcher: str) -> None:
    table = rows(launcher, "agreement.py", tmp_path)
    assert {(row["stage"], row["precision"]) for row in table} == {
        (stage, precision) for stage in (None, 0, 1, 2, 3) for precision in ("fp32", "bf16")
    }
    for row in table:
        assert row["processes"] == {"python": 1, "torchrun": 2}[launcher]
        assert row["steps"] == 20
        assert row["moved"] > 0.1
        limits = LIMITS[row["precision"]]
        assert row["loss"] < limits["loss"], row
        assert row["weights"] < limits["weights"], row


@needs_deepspeed
def test_parameters_under_the_wrong_rule_or_in_another_place_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, alone = deepspeed_engine._layout, join_processes("cpu", group=True)

    def swapped(*given: object) -> tuple[dict, dict[str, str]]:
        partitions, rules = layout(*given)
        return partitions, {**rules, "head.weight": "adamw"}

    with monkeypatch.context() as patch:
        patch.setattr(deepspeed_engine, "_layout", swapped)
        with pytest.raises(RuntimeError, match=r"Muon and AdamW would not update what they should: \['head.weight'\]"):
            train(Toy(), settings(zero=2), tmp_path / "rule", progress=False, processes=alone)
    with monkeypatch.context() as patch:
        patch.setattr(deepspeed_engine, "contiguous_spans", lambda start, numel, size: ((0, 0, numel),))
        with pytest.raises(RuntimeError, match="does not keep parameters where millivid-training looks for them"):
            train(Toy(), settings(zero=1), tmp_path / "place", progress=False, processes=alone)
    leave_processes()


@needs_deepspeed
def test_resuming_changes_no_bit_and_goes_on_with_other_processes_and_stages(tmp_path: Path) -> None:
    alone, together = rows("python", "resuming.py", tmp_path), rows("torchrun", "resuming.py", tmp_path)
    assert [row["stage"] for row in alone] == [None, 3]
    assert [row["stage"] for row in together] == [None, 0, 1, 2, 3]
    for row in [*alone, *together]:
        assert row["same"] == 0, row
        others = {name: value for name, value in row.items() if name not in ("stage", "same")}
        assert all(value < 1e-5 for value in others.values()), row
    assert len(others) == 6  # the last stage with two processes went on from all others


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(newest_checkpoint(out))["model"]


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("launcher", "zero", "number"),
    [("torchrun", "", signal.SIGTERM), pytest.param("deepspeed", "zero=2", signal.SIGINT, marks=needs_deepspeed)],
)
def test_a_signal_to_all_saves_and_stops_all(tmp_path: Path, launcher: str, zero: str, number: signal.Signals) -> None:
    """As a terminal's Ctrl-C and a cluster's SIGTERM reach the launcher and the processes."""
    cut = tmp_path / "cut"
    slowly = ("crawl=0.05", "steps=40", "checkpoint_every=1000", "workers=1")
    run = start(launcher, "toy.py", cut, *slowly, *zero.split())
    wait_for(lambda: list(cut.glob("logs/*")))
    time.sleep(1)
    os.killpg(run.pid, number)
    _, err = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "the run is saved" in err, err[-3000:]
    assert read_checkpoint(newest_checkpoint(cut))["step"] < 40
    if launcher == "torchrun":
        rows(launcher, "toy.py", cut, "steps=40")
        rows(launcher, "toy.py", tmp_path / "whole", "steps=40")
        a, b = weights(cut), weights(tmp_path / "whole")
        assert all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize(
    ("launcher", "zero", "dead"), [("torchrun", "", 0), pytest.param("deepspeed", "zero=2", 1, marks=needs_deepspeed)]
)
def test_a_dead_process_ends_the_others(tmp_path: Path, launcher: str, zero: str, dead: int) -> None:
    out = tmp_path / "out"
    words = ("steps=10000", f"die={dead}", "checkpoint_every=2", *zero.split())
    run = start(launcher, "toy.py", out, *words)
    _, err = run.communicate(timeout=120)
    assert run.returncode != 0
    assert read_checkpoint(newest_checkpoint(out))["step"] == 4
    assert "a fault in MilliVid" not in err and list(tmp_path.iterdir()) == [out], err[-3000:]


def test_a_process_whose_partner_was_killed_says_so(tmp_path: Path) -> None:
    words = command("python", "toy.py", tmp_path / "out", "steps=10000", "die=1", "checkpoint_every=2")
    group = {**ENVIRONMENT, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    runs = [
        subprocess.Popen(words, env={**group, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    _, err = runs[0].communicate(timeout=120)
    runs[1].communicate(timeout=120)
    assert [run.returncode for run in runs] == [2, -signal.SIGKILL]
    assert "another process of this run has ended" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_an_example_that_one_process_cannot_read_stops_all_and_saves(tmp_path: Path) -> None:
    run = start("torchrun", "toy.py", tmp_path, "steps=100", "refuse=17")
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode != 0
    assert err.count("video_17.mp4 is damaged (to pass over examples that cannot be read") == 2
    assert "millivid/training" not in err
    assert newest_checkpoint(tmp_path) is not None


def test_killed_at_twenty_moments_a_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    (row,) = rows("python", "killing.py", tmp_path / "kill", 20)
    assert row["kills"] == 20
    assert row["in a save"] > 0
    assert row["steps"] > 20
    assert row["same"]


def test_a_batch_that_does_not_divide_is_told_in_one_sentence(tmp_path: Path) -> None:
    run = start("torchrun", "toy.py", tmp_path / "x", "batch_size=7")
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode != 0
    assert "training.batch_size is 7, which 2 processes cannot share equally; 6 and 8 would do" in err
    assert "millivid/training" not in err  # the only traceback is the launcher's own
