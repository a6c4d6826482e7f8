"""Work shared by processes that end with their parent, obey Ctrl-C through it alone, and may be killed at any time."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, TypeVar

Job = TypeVar("Job")


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_in_processes(
    prepare: Callable[[], Callable[[Job], object]], jobs: Sequence[Job], processes: int, done: Callable[[], object]
) -> None:
    """Do every job, in any order.

    Args:
        prepare: makes what does a job; called once in each process. Must be picklable for more than one.
        jobs: picklable; each has to be safe to be killed and done again.
        processes: how many work at the same time; 1 works in this one. More are spawned, so a script that calls this
            needs ``if __name__ == "__main__":``.
        done: called here after every job.

    Raises:
        ChildProcessError: a process was killed, for lack of memory perhaps.
        Exception: what a job raised; the others under way are given up.
    """
    if processes <= 1:
        work = prepare()
        for job in jobs:
            work(job)
            done()
        return
    context = multiprocessing.get_context("spawn")  # forking is unsafe once threads run, and none off Linux
    before = set(multiprocessing.active_children())
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(theirs,))
    try:
        with _interrupts_held_back():
            futures = [pool.submit(_work, prepare, job) for job in jobs]
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
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(1)  # unlike the signal's default, this lets the job close what it holds


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # until the other end is closed, by the parent or by its death
    os._exit(1)


_job_done_by: Callable[[Any], object] | None = None


def _work(prepare: Callable[[], Callable[[Job], object]], job: Job) -> None:
    global _job_done_by
    if _job_done_by is None:  # not in the initializer, whose errors are not told to the parent
        _job_done_by = prepare()
    try:
        _job_done_by(job)
    except SystemExit:  # else the pool takes it for the job's result, and begins the next one
        os._exit(1)
