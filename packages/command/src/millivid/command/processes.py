"""Work shared by processes that end with their parent, obey Ctrl-C through it alone, and may be killed at any time."""

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial, partialmethod
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from millivid.command.guard import open_streams

Job = TypeVar("Job")
MINUTE = 60.0
"""Seconds between lines of progress where there is no terminal to draw a bar on."""


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_in_processes(
    prepare: Callable[[], Callable[[Job], object]], jobs: Sequence[Job], processes: int, done: Callable[[], object]
) -> None:
    """Do every job, in any order.

    prepare: makes what does a job; called once in each process. Must be picklable for more than one. jobs: picklable; each
    has to be safe to be killed and done again. processes: how many work at the same time; 1 works in this one. More are
    spawned, so a script that calls this needs ``if __name__ == "__main__":``. done: called here after every job. Raises
    ChildProcessError where a process was killed, for lack of memory perhaps, and else what a job raised; the others under
    way are given up.
    """
    if processes <= 1:
        work = prepare()
        for job in jobs:
            work(job)
            done()
        return
    _in_pool([partial(_work, prepare, job) for job in jobs], min(processes, len(jobs)), done)


def run_beside(calls: Sequence[Callable[[], object]], at_once: int, threads: int | None = 1) -> None:
    """Run calls in processes of their own, `at_once` beside each other, in order, each with one progress line.

    calls: picklable, such as ``partial(function, config)``. threads: of torch and its like, in each process; None for as many
    as they take.
    Raises what the first call that fails raises. The others then get SIGTERM, as they do on Ctrl-C here, so that a training
    saves what it has; see `work_in_processes`.
    """
    before = os.environ.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # a library reads it once, while it is imported
    try:
        for first in range(0, len(calls), at_once):  # a pool each, so that no call inherits what another left
            wave = calls[first : first + at_once]
            _in_pool([partial(_call, row, call) for row, call in enumerate(wave)], len(wave), lambda: None)
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
        if sys.stderr.isatty():
            sys.stderr.write("\n" * min(at_once, len(calls)))


def _in_pool(calls: Sequence[Callable[[], object]], processes: int, done: Callable[[], object]) -> None:
    context = multiprocessing.get_context("spawn")  # forking is unsafe once threads run, and none off Linux
    before = set(multiprocessing.active_children())
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(theirs,))
    try:
        with _interrupts_held_back():
            futures = [pool.submit(_do, call) for call in calls]
        for future in as_completed(futures):
            future.result()
            done()
        pool.shutdown(wait=True)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process ended unexpectedly, perhaps for lack of memory. What is written is kept: run the same command "
            "again, with fewer processes if it happens again."
        ) from error
    finally:
        # After an error or Ctrl-C, in the middle of a job.
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        ours.close()
        theirs.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that are started here never see Ctrl-C, not even while they import; this one sees it afterwards."""
    in_main = threading.current_thread() is threading.main_thread()
    interrupts: list[int] = []
    # The mask is what the new processes inherit; it is the handler that holds this one's interrupts back, since a
    # signal may come in by any other thread.
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number)) if in_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


def _start(parent: Connection) -> None:
    open_streams()
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


_at_work = False


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the pool sends it again when it sees another process end
    if not _at_work:  # the pool would catch the exception, and begin the next job
        os._exit(1)
    sys.exit(1)  # unlike the signal's default, this lets the job close what it holds


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # until the other end is closed, by the parent or by its death
    os._exit(1)


def _do(call: Callable[[], object]) -> None:
    global _at_work
    try:
        try:
            _at_work = True
            call()
        finally:
            _at_work = False
    except (SystemExit, KeyboardInterrupt):  # else the pool takes it for the call's result, and begins the next one
        os._exit(1)


_job_done_by: Callable[[Any], object] | None = None


def _work(prepare: Callable[[], Callable[[Job], object]], job: Job) -> None:
    global _job_done_by
    if _job_done_by is None:  # not in the initializer, whose errors do not reach the parent
        _job_done_by = prepare()
    _job_done_by(job)


def _call(row: int, call: Callable[[], object]) -> None:
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which is missed where a process is killed
    tqdm.display = partialmethod(_show, row=row)  # type: ignore[assignment, method-assign]
    call()


def _show(bar: Any, *_: object, row: int, **__: object) -> None:
    """Draw a progress bar in a row below the cursor by one write, which other processes cannot cut in two."""
    bar.leave = False  # else it begins a new line when it is done
    text = str(bar)
    if sys.stderr.isatty():
        text = "\n" * row + f"\r{text}\x1b[K\r" + f"\x1b[{row}A" * (row > 0)
    elif bar.n >= (bar.total or math.inf) or time.monotonic() > getattr(bar, "shown", -math.inf) + MINUTE:
        bar.shown, text = time.monotonic(), text + "\n"
    else:
        return
    sys.stderr.flush()
    with suppress(OSError):
        os.write(sys.stderr.fileno(), text.encode(errors="replace"))
