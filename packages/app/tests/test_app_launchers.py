"""The real models under both launchers, on two processes, against `millivid train` on one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from millivid.app.cli import main

COMMON = "training.steps=6 training.batch_size=4 training.warmup=0 training.ema=0 training.precision=fp32"
RUNS = {
    "diffusion": f"experiment=tiny_millivid data=latents {COMMON}",
    # noise on latents is in standard deviations of what a process has of the batch
    "tokenizer": f"experiment=tiny data=clips frames_in_memory=0 latent_noise=0 {COMMON}",
}


LIMIT = 1e-5
"""Of the difference of a weight after six steps; the order of sums makes about a tenth of it."""


def launched(
    launcher: str, module: str, *words: str, cwd: Path, hosts: Path | None = None
) -> subprocess.CompletedProcess:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    launch = {
        "deepspeed": ["deepspeed", "--no_local_rank", "--num_accelerators=2", f"--master_port={port}", "--module"],
        "hostfile": ["deepspeed", f"--hostfile={hosts}", "--no_local_rank", f"--master_port={port}", "--module"],
        "torchrun": ["torchrun", "--nproc-per-node=2", f"--master-port={port}", "-m"],
    }[launcher]
    program = str(Path(sys.executable).with_name(launch[0]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    if hosts is not None:
        environment["PATH"] = f"{hosts.parent}:{environment['PATH']}"
    return subprocess.run(
        [program, *launch[1:], module, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def two_machines(folder: Path) -> Path:
    """A hostfile of two machines that are this one, beside the commands by which deepspeed reaches them."""
    for name in ("pdsh", "ssh"):
        program = folder / name
        program.write_text((Path(__file__).parent / "cluster" / "pdsh.py").read_text())
        program.chmod(0o755)
    (folder / "hosts").write_text("one slots=1\ntwo slots=1\n")
    return folder / "hosts"


@pytest.mark.parametrize(
    ("launcher", "model", "more"),
    [
        ("deepspeed", "diffusion", "training.zero=2 training.micro_batch_size=1"),
        ("hostfile", "diffusion", "training.zero=1 training.workers=1"),
        ("torchrun", "tokenizer", "training.zero=3 training.checkpoint_activations=true"),
    ],
)
def test_two_processes_train_what_one_trains(walk: Path, tmp_path: Path, launcher: str, model: str, more: str) -> None:
    if "zero" in more:
        pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    words = RUNS[model].split()
    module = f"millivid.{model}.train"
    hosts = two_machines(tmp_path) if launcher == "hostfile" else None
    done = launched(launcher, module, *words, f"out={tmp_path}/two", *more.split(), cwd=walk, hosts=hosts)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done: ") == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(walk)
        assert main(["train", model, *words, f"out={tmp_path}/one"]) == 0
    one, two = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    assert one.keys() == two.keys()
    apart = {name: (one[name] - two[name]).abs().max().item() for name in one}
    assert max(apart.values()) < LIMIT, {name: value for name, value in apart.items() if value >= LIMIT}


def test_a_mistake_is_told_once_per_process_and_without_traceback(tmp_path: Path) -> None:
    done = launched("torchrun", "millivid.diffusion.train", "data=nowhere", f"out={tmp_path}/x", cwd=tmp_path)
    assert done.returncode != 0
    assert "millivid.diffusion.train: nowhere" in done.stderr
    assert 'millivid/diffusion/train.py"' not in done.stderr
