"""Work in processes: all of it is done, and an error or a signal ends it at once."""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from millivid.data import available_cores, work_in_processes


def prepare(folder: Path) -> Callable[[str], None]:
    def work(job: str) -> None:
        (folder / f"{job}-begun").touch()
        if job == "bad":
            while not list(folder.glob("slow*-begun")):
                time.sleep(0.01)
            raise ValueError("job bad cannot be done")
        if job.startswith("slow"):
            try:
                time.sleep(60)
            finally:
                (folder / f"{job}-closed").touch()

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
