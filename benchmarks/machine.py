"""What a benchmark's figures belong to: hardware, versions and commit."""

import os
import platform
from pathlib import Path

import torch

from millivid.training import provenance


def describe_machine(device: str) -> dict[str, object]:
    """The processor or GPU, the threads used, the versions, and the commit of the working tree."""
    return {
        "hardware": torch.cuda.get_device_name() if device == "cuda" else provenance.processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
    }


def commit() -> str:
    """The short hash of HEAD, marked when files that are kept in the repository differ from it."""
    found = provenance.commit(Path(__file__).resolve())
    return "unknown" if found is None else found.replace(found[:40], found[:7])
