"""What every engine is, and what they share: precision, recomputed and compiled blocks."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from millivid.training.config import TrainingConfig
from millivid.training.muon import bf16_is_fast
from millivid.training.optimizer import MuonAdamW
from millivid.training.task import Parts, Task


class Engine(Protocol):
    """A model in training. Weights and states are asked of the optimizer, which knows how they are spread over processes."""

    optimizer: MuonAdamW

    def run(self, batches: Sequence[Any], weights: Sequence[float]) -> tuple[Tensor, list[Parts]]:
        """Gradients of the weighted sum of the batches' losses, added over all processes; returns that sum of this one."""

    def update(self, step: int) -> float:
        """Apply and drop the gradients; returns their norm before clipping. Where that is not finite, nothing changes."""


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


def finite(loss: Tensor) -> Tensor:
    """1 for a finite loss, else NaN: a factor that lets no gradient of such a loss pass for a good one."""
    return 1 + 0 * loss.detach()


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated parts of a model, the elements of its lists named `blocks`; the model itself where it has none."""
    named = model.named_modules()
    return [
        block
        for name, module in named
        if name.split(".")[-1] == "blocks" and isinstance(module, nn.ModuleList)
        for block in module
    ] or [model]


def checkpoint_blocks(model: nn.Module) -> None:
    """Keep only the inputs of a model's blocks for the backward pass, and compute what is inside again there."""
    for block in blocks(model):
        block.forward = _Checkpointed(block.forward)


class _Checkpointed:
    def __init__(self, forward: Any) -> None:
        self.inner = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(self.inner, *arguments, use_reentrant=False, **named)


def compile_blocks(model: nn.Module) -> None:
    """Compile a model's blocks, each kind once, where they stand, so that no parameter changes its name."""
    for block in blocks(model):
        block.compile()


def use_bf16(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the forward pass runs under bfloat16 autocast; the weights stay float32."""
    return config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(device))


def spare(model: nn.Module) -> nn.Module:
    """A copy of a model on the CPU, to look at weights while the model itself belongs to an engine."""
    return copy.deepcopy(model).cpu()
