"""Resumes the toy under every stage: `torchrun resuming.py FOLDER`. Prints deviations of the weights as JSON.

"same": half, resumed, against straight on, with as many processes and the same stage. "other": the half of another
process count or stage, taken from `FOLDER/half`, which a first run without arguments of this kind leaves there.
"""

import json
import shutil
import sys
from pathlib import Path

from torch import Tensor
from toy import Toy, settings

from millivid.command import leave_processes
from millivid.training import join_processes, train
from millivid.training.processes import Processes

STAGES = {1: (None, 3), 2: (None, 0, 1, 2, 3)}
STEPS = 10


def run(out: Path, steps: int, zero: int | None, processes: Processes) -> dict[str, Tensor]:
    out.mkdir(parents=True, exist_ok=True)
    model = train(Toy(), settings(steps=steps, zero=zero, ema=0.9), out, progress=False, processes=processes)
    return dict(model.state_dict())


def deviation(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max((a[name] - b[name]).abs().max().item() for name in a)


def main(folder: Path) -> None:
    processes = join_processes("cpu", group=True)
    for zero in STAGES[processes.count]:
        own = folder / f"{zero}-{processes.count}"
        whole = run(own / "whole", STEPS, zero, processes)
        run(own / "halves", STEPS // 2, zero, processes)
        half = folder / f"half-{zero}-{processes.count}"
        if processes.first:
            shutil.copytree(own / "halves", half)
        row = {"stage": zero, "same": deviation(run(own / "halves", STEPS, zero, processes), whole)}
        for other in sorted(folder.glob("half-*")):
            if other != half:
                resumed = own / f"from-{other.name}"
                if processes.first:
                    shutil.copytree(other, resumed)
                processes.once(lambda: None)
                row[other.name.removeprefix("half-")] = deviation(run(resumed, STEPS, zero, processes), whole)
        if processes.first:
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave_processes()
