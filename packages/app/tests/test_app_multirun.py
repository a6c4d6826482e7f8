"""Commands as SLURM jobs: the script that is submitted, and a training run by it on a cluster that is this machine."""

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from millivid.app.cli import main
from millivid.command.multirun import expand

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the cluster's commands, first in PATH."""
    home = tmp_path / "cluster"
    home.mkdir()
    for name in ("sbatch", "srun", "scontrol", "sacct"):
        program = home / name
        program.write_text((Path(__file__).parent / "cluster" / "slurm.py").read_text())
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["millivid"])
    return home


WORDS = "train diffusion experiment=tiny_millivid training.steps=3 training.batch_size=4 training.precision=fp32"
WHERE = "--multirun hydra/launcher=submitit_slurm hydra.launcher.nodes=1 hydra.launcher.gpus_per_node=2"
MORE = "hydra.launcher.tasks_per_node=2 hydra.launcher.timeout_min=90 hydra.launcher.partition=big"


def test_a_job_of_two_tasks_trains_what_one_process_does(
    walk: Path, tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = f"data={walk}/latents"
    assert main([*WORDS.split(), data, f"out={tmp_path}/job", *WHERE.split(), *MORE.split()]) == 0
    script = (cluster / "script.sh").read_text()
    assert script.startswith("#!/bin/bash")
    for line in ("nodes=1", "ntasks-per-node=2", "gpus-per-node=2", "partition=big", "time=90", "signal=USR2@120"):
        assert f"#SBATCH --{line}\n" in script, line
    assert re.search(r"srun .*-u -m submitit.core._submit", script)
    launch = json.loads((tmp_path / "job" / "run.json").read_text())["launches"][0]
    assert launch["processes"] == 2
    assert main([*WORDS.split(), data, f"out={tmp_path}/alone"]) == 0
    job, alone = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("job", "alone"))
    assert all(torch.allclose(job[name], alone[name], atol=1e-5) for name in alone)


def test_several_values_are_several_jobs_in_folders_of_their_own() -> None:
    assert expand(["train", "tokenizer", "out=runs", "training.lr=1e-3,3e-4", "model.width=[1,2]"]) == [
        ["train", "tokenizer", "out=runs/training.lr=0.001", "training.lr=0.001", "model.width=[1,2]"],
        ["train", "tokenizer", "out=runs/training.lr=0.0003", "training.lr=0.0003", "model.width=[1,2]"],
    ]
    assert expand(["train", "out=a"]) == [["train", "out=a"]]


def test_words_that_cannot_be_read_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "diffusion", "--multirun", "training.lr=[1,"]) == 2
    assert "the setting 'training.lr=[1,' cannot be read" in capsys.readouterr().err


def test_jobs_are_checked_before_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    encode = ["encode", "data=d", "tokenizer=t", "out=it's"]
    for words, sentence in (
        (["encode", "-m"], "data is not set; add data=..."),
        ([*encode, "-m", "hydra/launcher=submitit_slurm"], "this machine has no srun"),
        ([*encode, "-m", "hydra/launcher=nowhere"], "the words 'hydra/launcher=nowhere' cannot be"),
        ([*encode, "-m", "batch=range(1,1000000000000)"], "makes more than 10,000 jobs; take fewer values"),
        ([*encode, "--multirun"], "d does not exist"),
    ):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert sentence in line
    assert list(tmp_path.iterdir()) == []
