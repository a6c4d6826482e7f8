"""The processes that train together: which one this is, and what they exchange beside the gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import distributed as dist

from millivid.command import check_device, device_named, launched_share

Result = TypeVar("Result")
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others; saving a checkpoint has to fit into it."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that train together. device: the one that it works on."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")
    control: Any = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def sum(self, *values: float) -> tuple[float, ...]:
        """Sums over all processes, in float64."""
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.control)
        return tuple(total.tolist())

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in order of rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self.control)
        return values

    def once(self, function: Callable[[], Result]) -> Result:
        """What the function returns or raises in the first process, in all of them."""
        if self.count == 1:
            return function()
        result: Any = None
        error: Exception | None = None
        if self.first:
            try:
                result = function()
            except (ValueError, OSError) as raised:
                error = raised
        result, error = self.gather((result, error))[0]
        if error is not None:
            raise error
        return cast(Result, result)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that needs all processes. Raises ChildProcessError where another one has ended meanwhile, killed perhaps."""
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise
            raise ChildProcessError(
                "another process of this run has ended, perhaps for lack of memory; its own output may say why. "
                "Checkpoints are kept: start the run again to go on"
            ) from error


def join_processes(device: str = "cpu", group: bool = False) -> Processes:
    """Meet the processes that a launcher started: torchrun and deepspeed set RANK and the like, `srun` its own variables.

    device: "cuda" becomes this process's own GPU. group: also make a process group where there is only one process.
    Raises ConfigError for a device that is not there, or an environment that says what cannot be.
    """
    rank, count, device = launched_share(device_named(device))
    own = torch.device(check_device(device))
    if own.type == "cuda":
        own = torch.device("cuda", own.index or 0)
        torch.cuda.set_device(own)
    control = None
    if (count > 1 or group) and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo"
        store = dist.HashStore() if count == 1 else None
        dist.init_process_group(backend, timeout=PATIENCE, rank=rank, world_size=count, store=store)
    if count > 1:
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(rank=rank, count=count, device=own, control=control)
