"""What a benchmark's figures belong to: hardware, versions and commit."""

import os
import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def describe_machine(device: str) -> dict[str, object]:
    """The processor or GPU, the threads used, the versions, and the commit of the working tree."""
    return {
        "hardware": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1] for line in info.read_text().splitlines() if "model name" in line]
        if info.is_file()
        else []
    )
    return (names[0] if names else platform.processor() or platform.machine()).strip()


def commit() -> str:
    """The short hash of HEAD, marked when files that are kept in the repository differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
