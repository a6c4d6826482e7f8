"""A folder is for one command at a time, and a killed one does not keep it."""

import subprocess
import sys
from pathlib import Path

import pytest

from millivid.files import FolderInUseError, locked

HOLD = """
import os, sys, time
from pathlib import Path
from millivid.files import locked
with locked(Path(sys.argv[1]), shared="shared" in sys.argv):
    if "fork" not in sys.argv:
        print("held", flush=True)
    elif os.fork() == 0:
        print("held", flush=True)
        time.sleep(2)  # outlives its parent
        os._exit(0)
    sys.stdin.read()
"""


def hold(folder: Path, *words: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_and_a_kill_frees_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "out"
    with hold(out, "fork") as first:
        with pytest.raises(FolderInUseError, match="another command is at work in .*/runs/out; wait until it ends"):
            locked(out).__enter__()
        first.kill()
        first.wait()
        with locked(out), locked(out.parent / "." / "out"):  # what it holds already, it may hold again
            assert list(out.iterdir()) == []
    with locked(tmp_path / "another" / "out"):
        assert (tmp_path / "another" / "out").is_dir()
    assert not (tmp_path / "another").exists()  # a folder in which nothing was written goes again


def test_those_who_share_do_so_among_themselves(tmp_path: Path) -> None:
    with hold(tmp_path, "shared") as first:
        with locked(tmp_path, shared=True):
            pass
        with pytest.raises(FolderInUseError):
            locked(tmp_path).__enter__()
        first.communicate("")
    assert tmp_path.is_dir()


def test_what_cannot_be_held_is_gone_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with locked(tmp_path / "file"), locked(tmp_path / "file" / "below"):
        assert (tmp_path / "file").is_file()
