"""Kills a run at random moments, every other time in a save: `python killing.py FOLDER KILLS`. Prints what it saw as JSON.

Every attempt is a child that inherits what is imported here, so that an attempt begins to train at once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from toy import Toy, ToyModel, settings

from millivid.training import train
from millivid.training.checkpoint import newest_checkpoint, read_checkpoint

STEPS = 100_000


def attempt(out: Path, steps: int) -> int:
    """Train in a child; returns its process number."""
    out.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if not child:
        task = Toy()
        torch.manual_seed(0)
        task.model = ToyModel(width=200)  # a checkpoint of 4 MB, so that most moments are in the middle of a save
        train(task, settings(steps=steps, ema=0.9, checkpoint_every=1), out, progress=False)
        os._exit(0)
    return child


def wait_for_a_save(out: Path) -> None:
    """Until a checkpoint has been begun."""
    end = time.monotonic() + 20
    while not list(out.glob("checkpoints/.writing-*")) and time.monotonic() < end:
        time.sleep(0.0005)


def main(folder: Path, kills: int) -> None:
    moments, seen = random.Random(0), {"kills": 0, "in a save": 0, "before the first": 0}
    folder.mkdir(parents=True)
    train(Toy(), settings(steps=1), folder, progress=False)  # imports what children would import one by one
    killed = folder / "killed"
    done = 0
    while seen["kills"] < kills:
        child = attempt(killed, STEPS)
        time.sleep(moments.uniform(0.3, 1.0))
        if seen["kills"] % 2:
            wait_for_a_save(killed)
            time.sleep(moments.uniform(0, 0.005))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        seen["kills"] += 1
        files = list((killed / "checkpoints").glob("*")) if (killed / "checkpoints").is_dir() else []
        orphans = [file for file in files if file.suffix == ".pt" and not file.with_suffix(".json").exists()]
        seen["in a save"] += bool(orphans or any(file.name.startswith(".writing-") for file in files))
        newest = newest_checkpoint(killed)
        seen["before the first"] += newest is None
        step = 0 if newest is None else int(newest.stem.removeprefix("step_"))
        assert step >= done, f"from step {done} back to {step}"
        done = step
    steps = done + 3
    assert os.waitpid(attempt(killed, steps), 0)[1] == 0
    whole = folder / "whole"
    assert os.waitpid(attempt(whole, steps), 0)[1] == 0
    states = [read_checkpoint(newest_checkpoint(out)) for out in (killed, whole)]
    weights = [{**state["model"], **state["optimizer"]["average"]} for state in states]
    same = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    print(json.dumps({**seen, "steps": steps, "same": same}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
