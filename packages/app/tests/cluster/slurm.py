#!/usr/bin/env python3
"""A cluster of this machine: sbatch, srun, scontrol and sacct as far as one job needs them, by the name this is called by.

sbatch keeps the script and runs it at once; srun starts as many processes as the script asks for.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ["FAKE_SLURM"])


def option(script: str, name: str, default: str = "1") -> str:
    found = re.search(rf"^#SBATCH --{name}=(\S+)", script, re.MULTILINE)
    return found.group(1) if found else default


def sbatch(words: list[str]) -> None:
    script = Path(words[-1]).read_text()
    (HOME / "script.sh").write_text(script)
    environment = {**os.environ, "SLURM_JOB_ID": "4242", "SLURM_JOB_NODELIST": "n[1-2]"}
    environment["FAKE_TASKS"] = option(script, "ntasks-per-node")
    with (HOME / "log").open("a") as log:
        subprocess.Popen(["bash", str(HOME / "script.sh")], env=environment, stdout=log, stderr=log)
    print("Submitted batch job 4242")


def srun(words: list[str]) -> None:
    count = int(os.environ["FAKE_TASKS"])
    while words[0].startswith("-"):
        words = words[1 if words[0] == "--unbuffered" else 2 if "=" not in words[0] else 1 :]
    tasks = []
    for rank in range(count):
        step = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": count, "SLURM_NTASKS": count}
        step |= {"SLURM_NODEID": 0, "SLURM_NNODES": 1, "SLURM_STEP_NODELIST": "n[1-2]"}
        tasks.append(subprocess.Popen(words, env={**os.environ, **{name: str(value) for name, value in step.items()}}))
    sys.exit(max(task.wait() for task in tasks))


match Path(sys.argv[0]).name:
    case "sbatch":
        sbatch(sys.argv[1:])
    case "srun":
        srun(sys.argv[1:])
    case "scontrol":
        print("localhost\nelsewhere")
    case "sacct":
        print("JobID|State|NodeList\n4242|RUNNING|n1")
