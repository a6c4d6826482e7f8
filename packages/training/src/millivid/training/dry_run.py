"""A run described before it starts: settings, sizes, steps and memory."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from millivid.training.checkpoint import RunError
from millivid.training.config import TrainingConfig
from millivid.training.engine import autocast, checkpoint_blocks, use_bf16
from millivid.training.loader import Positions
from millivid.training.optimizer import split_parameters
from millivid.training.processes import Processes
from millivid.training.task import Task
from millivid.training.throughput import BACKWARD, count_flops

GIB, FLOAT = 2**30, 4


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that each process holds at the end of a forward pass."""

    weights: int
    gradients: int
    optimizer: int
    activations: int


def describe_run(settings: Mapping[str, Any], task: Task, config: TrainingConfig, processes: Processes) -> str:
    """A text of the settings and what follows from them. Reads one example and runs a few forward passes of it.

    The task's model belongs to this function from then on. Raises RunError where the example cannot be read, ValueError
    where the batch does not divide among the processes.
    """
    size, count = config.micro_batches(processes.count)
    matrices, rest = ({name: p.numel() for name, p in part.items()} for part in split_parameters(task.model))
    example, errors = Positions(task.examples, config)[0]
    if example is None:
        raise RunError(errors[-1])
    batch = task.examples.collate([example])
    twice = task.examples.collate([example, example])
    flops = (1 + BACKWARD) * count_flops(task, batch, use_bf16(config, processes.device), processes.device)
    memory = estimate_memory(task, batch, twice, config, processes)
    examples = config.steps * config.batch_size
    sizes = [
        f"parameters       {sum(matrices.values()) + sum(rest.values()):,} "
        f"({sum(matrices.values()):,} in {len(matrices)} matrices by Muon, {sum(rest.values()):,} by AdamW)",
        f"sequence length  {getattr(task, 'tokens', 0):,} tokens an example",
        f"examples         {len(task.examples):,} an epoch",
        f"steps            {config.steps:,} of {config.batch_size:,} examples: {examples:,}, "
        f"{examples / len(task.examples):.1f} epochs",
        f"processes        {processes.count}, each {count} x {size} examples a step",
        f"arithmetic       {flops / 1e12:.4g} Tflop an example, forward and backward",
        f"memory           about {sum(vars(memory).values()) / GIB:.2f} GiB a process: "
        + ", ".join(f"{name} {size / GIB:.2f}" for name, size in vars(memory).items()),
    ]
    return OmegaConf.to_yaml(OmegaConf.create(dict(settings))) + "\n" + "\n".join(sizes)


def estimate_memory(task: Task, one: Any, two: Any, config: TrainingConfig, processes: Processes) -> Memory:
    """What each process will hold, by ZeRO's arithmetic (Rajbhandari et al. 2020) and what forward passes keep.

    one, two: batches of one and of two examples, whose difference is what a further example costs.
    """
    matrices, rest = (sum(p.numel() for p in part.values()) for part in split_parameters(task.model))
    trained, states = matrices + rest, matrices + 2 * rest + (matrices + rest) * (config.ema > 0)
    stage, shares = config.zero or 0, processes.count
    whole = sum(p.numel() for p in task.model.parameters())
    if config.checkpoint_activations:
        checkpoint_blocks(task.model)
    kept = [kept_bytes(task, batch, use_bf16(config, processes.device)) for batch in (one, two)]
    return Memory(
        # ZeRO updates a copy of its own
        weights=FLOAT * (whole // (shares if stage == 3 else 1) + (trained // shares if stage else 0)),
        gradients=FLOAT * trained // (shares if stage >= 2 else 1),
        optimizer=FLOAT * states // (shares if stage else 1),
        activations=kept[0] + (kept[1] - kept[0]) * (config.micro_batches(processes.count)[0] - 1),
    )


def kept_bytes(task: Task, batch: Any, bf16: bool) -> int:
    """Bytes that a batch's forward pass allocates and keeps for the backward pass."""
    device = next(task.model.parameters()).device
    with _Allocations() as allocations:
        with autocast(device, bf16):
            loss, _ = task.loss(batch)
        kept = allocations.bytes
    del loss
    return kept


class _Allocations(TorchDispatchMode):
    """Counts the bytes of tensors that were made under it and are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):  # what was there before
            self.seen.add(storage._cdata)
        out = function(*args, **(kwargs or {}))
        for storage in _storages(out):
            if storage._cdata not in self.seen:
                self.seen.add(storage._cdata)
                self.bytes += storage.nbytes()
                weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        return out

    def _forget(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.bytes -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
