"""The operations' tests again: without compiled operations, and with the CUDA kernels run on the CPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch._C import _dispatch_dump

from millivid.kernels import status

HERE = Path(__file__).parent
TESTS = [str(HERE / f"test_kernels_{name}.py") for name in ("ops", "modulation", "packing")]


def run_tests(settings: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    ran = subprocess.run(command, env=environment | settings, capture_output=True, text=True, cwd=HERE.parents[1])
    assert ran.returncode == 0 and " passed" in ran.stdout, ran.stdout[-3000:] + ran.stderr[-3000:]


def test_a_compiled_library_is_in_use_where_status_says_so() -> None:
    cpu = status().libraries[0]
    registered = any(line.startswith("CPU:") for line in _dispatch_dump("millivid::pack_tokens").splitlines())
    assert cpu.name == "cpu" and registered == (cpu.loaded or "MILLIVID_TEST_LIBRARY" in os.environ)


def test_without_compiled_operations() -> None:
    run_tests({"MILLIVID_KERNELS": "0"})


def test_the_cuda_kernels_on_the_cpu(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler (g++)")
    library = tmp_path / "emulated.so"
    subprocess.run([sys.executable, str(HERE / "build_variant.py"), "emulated", str(library)], check=True)
    run_tests({"MILLIVID_KERNELS": "0", "MILLIVID_TEST_LIBRARY": str(library)})
