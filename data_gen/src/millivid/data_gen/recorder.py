"""Recording a dataset with many processes: it may be killed at any time and goes on where it was."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from millivid.data import Clip, ClipWriter

from .record_config import RecordConfig, video_actions, world_seed
from .voxel import VoxelWorld
from .world import World

_worker: tuple[RecordConfig, World, ClipWriter] | None = None


def record(config: RecordConfig, out: str | Path, processes: int | None = None, progress: bool = True) -> None:
    """Record a clip dataset into the folder ``out``.

    Videos that are there already are kept, so that the same call after an interruption finishes the dataset. What
    is recorded depends on ``config`` alone, bit for bit, whatever the number of processes.

    Args:
        config: what to record.
        out: the dataset folder: new, empty, or begun by the same config.
        processes: how many processes record; None: one per processor core. With more than one, a script that calls
            this has to do so under ``if __name__ == "__main__":``, as always with Python's multiprocessing.
        progress: show a bar with the rate in frames per second and the time left.

    Raises:
        millivid.data.DatasetError: ``out`` holds something else.
        ChildProcessError: a recording process ended, for lack of memory perhaps; what is recorded is kept.
        KeyboardInterrupt: on Ctrl-C, once the videos under way are written; what is recorded is kept.
    """
    writer = _make_writer(config, out)
    jobs = [(split, index) for split, ids in config.ids().items() for index in range(len(ids))]
    open_jobs = [(split, index) for split, index in jobs if not writer.done(config.video_id(split, index))]
    processes = min(processes or os.cpu_count() or 1, max(len(open_jobs), 1))
    with tqdm(
        total=len(jobs) * config.frames,
        initial=(len(jobs) - len(open_jobs)) * config.frames,
        unit="frame",
        unit_scale=True,
        desc="recording",
        disable=not progress,
    ) as bar:
        run = _run_here if processes == 1 else _run_in_processes
        for _ in run(config, out, open_jobs, processes):
            bar.update(config.frames)
    writer.finish(config.ids())


def record_video(world: World, config: RecordConfig, split: str, index: int) -> Clip:
    """One video of the dataset, as a clip in memory."""
    actions = video_actions(config, split, index)
    enter_world(world, config, split, index, actions)
    observations = [world.step(int(action)) for action in actions]
    return Clip(
        frames=np.stack([observation.frame for observation in observations]),
        actions=actions,
        poses=np.stack([observation.pose for observation in observations]),
    )


def enter_world(world: World, config: RecordConfig, split: str, index: int, actions: NDArray[np.int64]) -> None:
    """Go to the start of a video's world, as it was when all its ``actions``, int64 [frame], were recorded."""
    world.reset(world_seed(config.seed, split, index), actions if config.clear_path else None)


def _make_writer(config: RecordConfig, out: str | Path) -> ClipWriter:
    return ClipWriter(
        out,
        fps=config.fps,
        size=config.world.size,
        action_names=VoxelWorld.action_names,
        source=config.source(),
        lossless=config.lossless,
    )


def _run_here(config: RecordConfig, out: str | Path, jobs: list[tuple[str, int]], _: int) -> Iterator[None]:
    world, writer = VoxelWorld(config.world), _make_writer(config, out)
    for split, index in jobs:
        writer.write(config.video_id(split, index), record_video(world, config, split, index))
        yield


def _run_in_processes(
    config: RecordConfig, out: str | Path, jobs: list[tuple[str, int]], processes: int
) -> Iterator[None]:
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),  # forking is unsafe once threads run, and none off Linux
        initializer=_start_worker,
        initargs=(config, out),
    )
    try:
        for future in as_completed([pool.submit(_work, split, index) for split, index in jobs]):
            future.result()
            yield
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a recording process ended unexpectedly, perhaps for lack of memory. What is recorded is kept: run the "
            "same command again, with fewer processes if it happens again."
        ) from error
    finally:
        # After an error or Ctrl-C: no new videos, but those under way are written.
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(config: RecordConfig, out: str | Path) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = config, VoxelWorld(config.world), _make_writer(config, out)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)  # the parent was killed: files are atomic, so nothing is lost but the video under way


def _work(split: str, index: int) -> None:
    assert _worker is not None
    config, world, writer = _worker
    writer.write(config.video_id(split, index), record_video(world, config, split, index))
