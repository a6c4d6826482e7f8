"""Work in processes: all of it is done, and an error or a signal ends it at once."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tqdm import tqdm

from millivid.command import available_cores, run_beside, work_in_processes


def prepare(folder: Path) -> Callable[[str], None]:
    def work(job: str) -> None:
        if not job.startswith("slow"):
            (folder / f"{job}-begun").touch()
        else:
            try:
                (folder / f"{job}-begun").touch()
                time.sleep(60)
            finally:
                if (folder / f"{job}-begun").exists():
                    (folder / f"{job}-closed").touch()
        if job == "bad":
            while not list(folder.glob("slow*-begun")):
                time.sleep(0.01)
            raise ValueError("job bad cannot be done")

    return work


@pytest.mark.parametrize("processes", [1, 2])
def test_every_job_is_done(tmp_path: Path, processes: int) -> None:
    done: list[None] = []
    work_in_processes(partial(prepare, tmp_path), list("abcdefg"), processes, lambda: done.append(None))
    assert len(done) == 7 and len(list(tmp_path.iterdir())) == 7
    assert available_cores() >= 1


def test_an_error_ends_the_others_and_begins_no_more(tmp_path: Path) -> None:
    jobs = ["bad", "slow0", "slow1", "slow2", "slow3"]
    began = time.monotonic()
    with pytest.raises(ValueError, match="job bad cannot be done"):
        work_in_processes(partial(prepare, tmp_path), jobs, 2, lambda: None)
    assert time.monotonic() - began < 50  # not the minute that a slow one takes
    begun = {path.name.removesuffix("-begun") for path in tmp_path.glob("slow*-begun")}
    assert begun and {path.name.removesuffix("-closed") for path in tmp_path.glob("*-closed")} == begun
    assert "slow3" not in begun


def test_an_interrupt_ends_them(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "slow1-begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have background jobs ignore it
    try:
        thread.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            work_in_processes(partial(prepare, tmp_path), ["slow0", "slow1", "slow2"], 2, lambda: None)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 50 and not (tmp_path / "slow2-begun").exists()


def count_slowly(folder: Path, name: str) -> None:
    bar = tqdm(total=3, desc=name, mininterval=0)
    for _ in range(3):
        time.sleep(0.2)
        bar.update()
    (folder / name).write_text(os.environ.get("OMP_NUM_THREADS", "as it is"))
    if name == "bad":
        raise ValueError("bad cannot be done")


def test_calls_beside_each_other_run_in_processes_of_their_own(tmp_path: Path) -> None:
    before = os.environ.get("OMP_NUM_THREADS")
    run_beside([partial(count_slowly, tmp_path, name) for name in "abc"], at_once=2, threads=3)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys("abc", "3")
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_the_first_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad cannot be done"):
        run_beside([partial(count_slowly, tmp_path, name) for name in ("bad", "never")], at_once=1)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_each_has_a_line_of_progress_that_no_other_writes_on(tmp_path: Path) -> None:
    """Of what two calls draw on a terminal, interpreted as a terminal does."""
    reader, terminal = pty.openpty()
    script = tmp_path / "beside.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from functools import partial; from pathlib import Path\n"
        "from millivid.command import run_beside; from test_command_processes import count_slowly\n"
        "if __name__ == '__main__':\n"
        "    run_beside([partial(count_slowly, Path(sys.argv[2]), n) for n in ('first', 'second')], at_once=2)\n"
    )
    running = subprocess.Popen([sys.executable, script, Path(__file__).parent, tmp_path], stderr=terminal)
    os.close(terminal)
    drawn = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(reader, 4096):
            drawn += part
    assert running.wait() == 0
    rows: dict[int, set[str]] = {}
    row = 0
    for part in re.split(r"(\x1b\[\d*[AK]|[\r\n])", drawn.decode()):
        if part == "\n":
            row += 1
        elif part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif ":" in part:
            rows.setdefault(row, set()).add(part.split(":")[0])
    assert rows == {0: {"first"}, 1: {"second"}}
