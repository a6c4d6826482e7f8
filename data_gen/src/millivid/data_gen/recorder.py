"""Recording a dataset with many processes: it may be killed at any time and goes on where it was."""

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from millivid.command import available_cores, work_in_processes
from millivid.data import Clip, ClipWriter, DatasetError
from millivid.files.values import check_number

from .agent import distance_covered
from .record_config import RecordConfig, video_actions, world_seed
from .world import World, world_class


def record(
    config: RecordConfig,
    out: str | Path,
    processes: int | None = None,
    progress: bool = True,
    share: tuple[int, int] = (0, 1),
) -> int:
    """Record a clip dataset into the folder ``out``; returns how many videos other shares have yet to write.

    Videos that are there already are kept, so that the same call after an interruption finishes the dataset. What is
    written depends on ``config`` alone: neither the number of processes or shares nor interruptions change a byte.

    out: the dataset's folder; new, empty, or begun with an equal config. processes: how many videos are recorded at the
    same time; None for one per core. Above 1, a script that calls this needs ``if __name__ == "__main__":`` around the
    call. progress: whether to show a progress bar. share: (number, count): record every ``count``-th video only, from
    ``number`` on. Calls with the other numbers, on other machines perhaps, record the rest into the same folder; the one
    that ends last finishes the dataset, and returns 0.

    Raises DatasetError where the folder holds something else; ImportError where the world needs something that is not
    installed; ChildProcessError where a process ended, for lack of memory perhaps (what is recorded is kept); KeyboardInterrupt
    on Ctrl-C: videos that are written are kept, those under way are given up.
    """
    if processes is not None:
        check_number(processes, "processes", 1, whole=True)
    number, count = share
    if not 0 <= number < count:
        raise ValueError(f"share {number} of {count} does not exist; they are numbered 0 to {count - 1}")
    writer = ClipWriter(
        out,
        fps=config.fps,
        size=config.world.size,
        action_names=world_class(config.world.world).action_names,
        source=config.source(),
        lossless=config.lossless,
    )
    listed = writer.splits()  # a video that was deleted from a finished dataset is made again
    ids = listed or config.ids()
    jobs = [id for split in ids.values() for id in split][number::count]
    open_jobs = [id for id in jobs if not writer.done(id)]
    processes = min(processes or available_cores(), max(len(open_jobs), 1))
    with (
        ExitStack() as held,
        tqdm(
            total=len(jobs) * config.frames,
            initial=(len(jobs) - len(open_jobs)) * config.frames,
            unit="frame",
            unit_scale=True,
            desc="recording" if count == 1 else f"recording, share {number} of {count}",
            disable=not progress,
        ) as bar,
    ):
        prepare = partial(_prepare, config, writer, held if processes == 1 else None)
        work_in_processes(prepare, open_jobs, processes, partial(bar.update, config.frames))
    if writer.complete():
        writer.tidy()  # nothing was to be done, or another share was quicker
        return 0
    written = writer.written()
    missing = sum(id not in written for split in ids.values() for id in split)
    if not missing:
        try:
            writer.finish(listed or _choose(config, writer, ids))
        except DatasetError:
            if not writer.complete():
                raise
            writer.tidy()  # another share was quicker, and has deleted candidates by now
    return missing


def record_video(world: World, config: RecordConfig, split: str, index: int) -> Clip:
    """One video of the dataset, as a clip in memory."""
    plan = getattr(world, "plan_actions", None)
    if plan is not None:
        world.reset(world_seed(config.seed, split, index))
    actions = video_actions(config, split, index, plan)
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


def _choose(config: RecordConfig, writer: ClipWriter, ids: dict[str, list[str]]) -> dict[str, list[str]]:
    """The splits, with those of the candidates for the test in which the agent covers the greatest distance."""
    covered = [distance_covered(writer.poses(id)[:, [0, 2]]) for id in ids["test"]]
    best = np.argsort(covered, kind="stable")[::-1][: config.test_videos]
    return {"train": ids["train"], "test": [ids["test"][place] for place in sorted(best)]}


def _prepare(config: RecordConfig, writer: ClipWriter, held: ExitStack | None) -> Callable[[str], None]:
    """What records a video. held: closes the world; None: it is closed when the process ends."""
    world = world_class(config.world.world)(config.world)
    if held is None:
        atexit.register(world.close)
    else:
        held.callback(world.close)

    def work(id: str) -> None:
        listed = writer.splits()
        unwanted = listed is not None and not any(id in split for split in listed.values())
        if unwanted or writer.done(id):  # the same command may be at work elsewhere
            return
        try:
            clip = record_video(world, config, *config.split_and_index(id))
        except (ValueError, ChildProcessError) as error:
            raise type(error)(f"video {id} cannot be recorded: {error}") from error
        writer.write(id, clip)

    return work
