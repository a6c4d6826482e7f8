"""What a launcher says to each of the commands that it starts: torchrun, deepspeed, SLURM's srun."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar, cast

from millivid.command.settings import ConfigError
from millivid.files import locked

Function = TypeVar("Function", bound=Callable[..., Any])


def is_first() -> bool:
    """Whether this is the one of a launcher's processes that prints."""
    return os.environ.get("RANK", "0") == "0"


def alone_in_out(function: Function) -> Function:
    """A function of a config that holds the config's folder `out` while it runs, so that no other command writes there.

    Commands that do a `share` of the work each hold it together; of a launcher's processes the first one does. Nothing is
    held where `out` is null, or for a `dry_run`. Raises FolderInUseError where another command is at work there.
    """

    @functools.wraps(function)
    def holding(config: Any, *args: Any, **kwargs: Any) -> Any:
        idle = config.out is None or getattr(config, "dry_run", False) or not is_first()
        shared = parse_share(getattr(config, "share", "0/1"))[1] > 1
        with nullcontext() if idle else locked(config.out, shared):
            return function(config, *args, **kwargs)

    return cast(Function, holding)


def adopt_slurm() -> None:
    """In a task of `srun`, set what torchrun would, unless it is set."""
    if "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        os.environ.update(slurm_environment(os.environ))


def slurm_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What torchrun would set, of what `srun` sets for a task; the port depends on the job alone."""
    hosts = ["scontrol", "show", "hostnames", given["SLURM_STEP_NODELIST"]]
    try:
        first = subprocess.run(hosts, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise ConfigError(f"the nodes of this SLURM job are unknown: {' '.join(hosts)} failed ({error})") from error
    job = int(given["SLURM_JOB_ID"])
    return {
        "RANK": given["SLURM_PROCID"],
        "WORLD_SIZE": given["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": given["SLURM_LOCALID"],
        "MASTER_ADDR": given.get("MASTER_ADDR", first),
        "MASTER_PORT": given.get("MASTER_PORT", str(20_000 + job % 20_000)),
    }


def launched_share(device: str) -> tuple[int, int, str]:
    """Which one this is of the commands that a launcher started, how many there are, and the device of this one.

    device: "cuda" becomes this command's own GPU. Raises ConfigError where the environment says what cannot be.
    """
    adopt_slurm()
    found = {name: os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))}
    found["LOCAL_RANK"] = os.environ.get("LOCAL_RANK", found["RANK"])
    try:
        rank, world_size, local_rank = (int(value) for value in found.values())
    except ValueError:
        rank, world_size, local_rank = -1, 0, 0
    if not 0 <= rank < world_size:
        listed = ", ".join(f"{name}={value}" for name, value in found.items())
        raise ConfigError(f"the environment says {listed}; RANK must lie between 0 and WORLD_SIZE - 1, or unset them")
    if device == "cuda" and "RANK" in os.environ:
        import torch

        # a launcher may show each command all GPUs, or only its own
        device = f"cuda:{local_rank % (torch.cuda.device_count() or world_size)}"
    return rank, world_size, device


def leave_processes() -> None:
    """Wait for the others and close torch's process group, where there is one. Not for a process that ends by an error."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def parse_share(text: str) -> tuple[int, int]:
    """(number, count) from a setting such as `share=3/64`; numbers begin at 0.

    Raises ValueError where the text is of another form, or there is no such share.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ValueError(f"share is {text!r}; write number/count with numbers from 0 on, such as 0/64 up to 63/64")
    return int(number), int(count)
