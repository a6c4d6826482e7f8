"""The models reproduce the authors' numbers with the compiled operations, and without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from millivid.kernels import status

ROOT = Path(__file__).parents[1]


def test_they_are_in_use_wherever_there_is_a_compiler() -> None:
    """So that all other tests of the models are tests of them."""
    cpu = status().libraries[0]
    if not cpu.loaded and shutil.which("g++") is None:
        pytest.skip(f"no C++ compiler (g++), and {cpu.why}")
    assert cpu.loaded or os.environ.get("MILLIVID_KERNELS") == "0", cpu.why


def test_golden_numbers_without_them() -> None:
    tests = [
        f"packages/diffusion/tests/test_diffusion_{name}.py" for name in ("golden", "framepack", "sampler", "model")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    ran = subprocess.run(command, cwd=ROOT, env=environment | {"MILLIVID_KERNELS": "0"}, capture_output=True, text=True)
    assert ran.returncode == 0 and " passed" in ran.stdout, ran.stdout[-3000:]
