"""Building: with a compiler, without, with one that fails; and what `status` says of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import millivid.kernels
from millivid.kernels import loading, status
from millivid.kernels.schemas import DIGEST

CSRC = Path(__file__).parents[1]


def build(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("setuptools", minversion="77")
    words = ["build", "--build-base", str(folder / "base"), "--build-lib", str(folder / "lib")]
    return subprocess.run(
        [sys.executable, "setup.py", "-q", *words], cwd=CSRC, env=os.environ | settings, capture_output=True, text=True
    )


def reasons(folder: Path) -> dict[str, str]:
    kept = json.loads((folder / "lib" / "millivid" / "kernels" / "build.json").read_text())
    assert kept["build"] == {}
    return kept["not_built"]


def test_left_out_when_asked(tmp_path: Path) -> None:
    ran = build(tmp_path, MILLIVID_KERNELS="0")
    assert ran.returncode == 0, ran.stderr
    assert reasons(tmp_path) == dict.fromkeys(("cpu", "cuda"), "it was left out by MILLIVID_KERNELS=0 when building")
    assert (tmp_path / "lib" / "millivid" / "kernels" / "packing.py").is_file()
    assert not list((tmp_path / "lib").rglob("*.so"))


def test_without_a_compiler_the_torch_versions_are_installed(tmp_path: Path) -> None:
    older = tmp_path / "lib" / "millivid" / "kernels" / "_cpu.abi3.so"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"of an earlier build, with a compiler")
    ran = build(tmp_path, CXX="no-such-compiler", MILLIVID_KERNELS="auto")
    assert ran.returncode == 0, ran.stderr
    assert not older.exists()
    assert "no C++ compiler was found" in reasons(tmp_path)["cpu"] and "no-such-compiler" in reasons(tmp_path)["cpu"]


def test_a_missing_compiler_is_an_error_where_compiled_operations_are_asked_for(tmp_path: Path) -> None:
    ran = build(tmp_path, CXX="no-such-compiler", MILLIVID_KERNELS="1")
    assert ran.returncode != 0 and "MILLIVID_KERNELS is 1, but no C++ compiler was found" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("mode", ["auto", "1"])
def test_a_compiler_that_fails(tmp_path: Path, mode: str) -> None:
    compiler = tmp_path / "failing-g++"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *-dumpversion*|*-dumpfullversion*|*-v*) exec g++ "$@";; esac\nexit 1\n'
    )
    compiler.chmod(0o755)
    ran = build(tmp_path, CXX=str(compiler), CC=str(compiler), MILLIVID_KERNELS=mode)
    if mode == "1":
        assert ran.returncode != 0
    else:
        assert ran.returncode == 0, ran.stderr
        assert "could not be compiled" in reasons(tmp_path)["cpu"]
        assert "MILLIVID_KERNELS=1 pip install -v" in reasons(tmp_path)["cpu"]
    assert not list((tmp_path / "lib").rglob("_cpu*.so"))


def test_a_mode_that_does_not_exist(tmp_path: Path) -> None:
    ran = build(tmp_path, MILLIVID_KERNELS="yes")
    assert ran.returncode != 0 and "MILLIVID_KERNELS is 'yes'; expected 0" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_status_at_the_command_line() -> None:
    command = [sys.executable, "-m", "millivid.kernels"]
    ran = subprocess.run(
        command, env=os.environ | {"MILLIVID_KERNELS": "0"}, capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("torch ")
    assert lines[1] == "cpu    not in use: switched off by MILLIVID_KERNELS=0"
    assert lines[2] == "cuda   not in use: switched off by MILLIVID_KERNELS=0"


def test_build_info_is_complete_where_something_was_built() -> None:
    build = status().build
    if build is None:
        pytest.skip("nothing was built: " + status().libraries[0].why)
    assert build["torch_target"] == "2.11" and build["torch"] and build["compiler"]
    assert build["schemas"] == DIGEST


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the installed package."""
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    monkeypatch.delenv("MILLIVID_KERNELS", raising=False)
    return tmp_path


def write_build(folder: Path, schemas: str | None = None, **not_built: str) -> None:
    kept = {"build": {"schemas": schemas} if schemas else {}, "not_built": not_built}
    (folder / "build.json").write_text(json.dumps(kept))


def found_cpu() -> loading.Library:
    return loading.find().libraries[0]


def test_why_nothing_is_loaded(installed: Path) -> None:
    assert "it was not built" in found_cpu().why
    write_build(installed, cpu="the compiler fell asleep")
    assert found_cpu() == loading.Library(name="cpu", loaded=False, why="the compiler fell asleep")
    assert loading.find().build is None


def test_a_library_for_other_operations_is_not_loaded(installed: Path) -> None:
    (installed / "_cpu.abi3.so").write_bytes(b"")
    write_build(installed, schemas="of another version")
    assert not found_cpu().loaded and "was built for other operations" in found_cpu().why


def test_a_broken_library_is_named(installed: Path) -> None:
    (installed / "_cpu.abi3.so").write_bytes(b"this is no library")
    write_build(installed, schemas=DIGEST)
    assert not found_cpu().loaded and found_cpu().why.startswith("_cpu.abi3.so cannot be loaded by torch")


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        ("8.0;9.0+PTX", (8, 6), True),
        ("8.0;9.0+PTX", (9, 0), True),
        ("8.0;9.0+PTX", (12, 0), True),
        ("8.0;9.0+PTX", (7, 5), False),
        ("8.6", (8, 0), False),
        ("8.0 9.0a", (10, 0), False),
    ],
)
def test_a_gpu_that_the_library_was_not_built_for(
    architectures: str, capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert loading._unfit_devices(architectures) == ([] if runs else [f"Some GPU ({capability[0]}.{capability[1]})"])


def test_public_names() -> None:
    assert all(hasattr(millivid.kernels, name) for name in millivid.kernels.__all__)
