"""What does a step: plain torch, or DeepSpeed around it; with their precision, recomputed and compiled blocks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils.checkpoint import checkpoint

from millivid.command import bf16_is_fast
from millivid.training.config import TrainingConfig
from millivid.training.optimizer import MuonAdamW
from millivid.training.processes import Processes
from millivid.training.task import Parts, Task


class Engine(ABC):
    """A model in training. The optimizer knows its weights and states, and how they are spread over processes.

    module: gives the loss of a batch and its parts, as `LossOf` does.
    """

    module: Any
    optimizer: MuonAdamW
    processes: Processes

    def run(self, batches: Sequence[Any], weights: Sequence[float]) -> tuple[Tensor, list[Parts]]:
        """Gradients of the weighted sum of the batches' losses, added over all processes; returns that sum of this one."""
        total, parts = torch.zeros((), device=self.processes.device), []
        for index, (batch, weight) in enumerate(zip(batches, weights, strict=True), start=1):
            loss, named = self.module(batch)
            # NaN where the loss is not finite: its gradient must not pass for a good one
            self.backward(loss * (1 + 0 * loss.detach()), weight, last=index == len(batches))
            total += loss.detach() * weight
            parts.append(named)
        return total, parts

    def update(self, step: int) -> float:
        """Apply and drop the gradients; returns their norm before clipping. Where that is not finite, nothing changes."""
        self.optimizer.prepare(step)
        norm = self.apply()
        self.optimizer.updates += norm < float("inf")
        return norm

    @abstractmethod
    def backward(self, loss: Tensor, weight: float, last: bool) -> None:
        """Add the gradients of a weighted loss; at the step's last batch, over all processes."""

    @abstractmethod
    def apply(self) -> float:
        """Update the weights by the gradients and drop these; returns their norm before clipping."""


class TorchEngine(Engine):
    """One process, or several that each hold the whole model and add their gradients."""

    def __init__(self, task: Task, config: TrainingConfig, processes: Processes) -> None:
        self.processes = processes
        self.module = LossOf(task, use_bf16(config, processes.device))
        if processes.count > 1:
            for tensor in task.model.state_dict().values():
                dist.broadcast(tensor, src=0)
        self.optimizer = MuonAdamW(task.model, config)
        self.optimizer.clip = config.clip
        self.trained = [p for p in task.model.parameters() if p.requires_grad]

    def backward(self, loss: Tensor, weight: float, last: bool) -> None:
        (loss * weight).backward()
        if last:
            for p in self.trained:
                if p.grad is None:  # the loss did not depend on it
                    p.grad = torch.zeros_like(p)
            if self.processes.count > 1:
                self._add_gradients()

    @torch.no_grad()
    def _add_gradients(self) -> None:
        """Sum gradients over the processes, in one go after the backward pass."""
        gradients = [cast(Tensor, p.grad) for p in self.trained]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, added in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(added.view_as(gradient))

    def apply(self) -> float:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(cast(Tensor, self.optimizer.norm))


class LossOf(nn.Module):
    """A task's loss as a module, so that what wraps modules can wrap it."""

    def __init__(self, task: Task, bf16: bool) -> None:
        super().__init__()
        self.model = task.model
        self._loss, self._bf16 = task.loss, bf16
        self._device = next(task.model.parameters()).device

    def forward(self, batch: Any) -> tuple[Tensor, Parts]:
        with autocast(self._device, self._bf16):
            return self._loss(batch)


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Bfloat16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def use_bf16(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the forward pass runs under bfloat16 autocast; the weights stay float32."""
    return config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(device))


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated parts of a model, the elements of its lists named `blocks`; the model itself where it has none."""
    lists = [module for name, module in model.named_modules() if name.split(".")[-1] == "blocks"]
    return [block for module in lists if isinstance(module, nn.ModuleList) for block in module] or [model]


def checkpoint_blocks(model: nn.Module) -> None:
    """Keep only the inputs of a model's blocks for the backward pass, and compute what is inside again there."""
    for block in blocks(model):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def make_engine(task: Task, config: TrainingConfig, processes: Processes) -> Engine:
    """The engine that the settings ask for, around the task's model, which belongs to it from then on."""
    if config.checkpoint_activations:
        checkpoint_blocks(task.model)
    if config.compile:
        for block in blocks(task.model):  # each kind once, where they stand, so that no parameter changes its name
            block.compile()
    if config.zero is None:
        return TorchEngine(task, config, processes)
    from millivid.training.deepspeed_engine import DeepSpeedEngine

    return DeepSpeedEngine(task, config, processes)
