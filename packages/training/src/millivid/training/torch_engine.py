"""Plain torch: forward, backward and update, on one process or many."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch import distributed as dist

from millivid.training.config import TrainingConfig
from millivid.training.engine import LossOf, finite, use_bf16
from millivid.training.optimizer import MuonAdamW
from millivid.training.processes import Processes
from millivid.training.task import Parts, Task


class TorchEngine:
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

    def run(self, batches: Sequence[Any], weights: Sequence[float]) -> tuple[Tensor, list[Parts]]:
        total, parts = torch.zeros((), device=self.processes.device), []
        for batch, weight in zip(batches, weights, strict=True):
            loss, told = self.module(batch)
            (loss * weight * finite(loss)).backward()
            total += loss.detach() * weight
            parts.append(told)
        for p in self.trained:
            if p.grad is None:  # the loss did not depend on it
                p.grad = torch.zeros_like(p)
        if self.processes.count > 1:
            self._add_gradients()
        return total, parts

    @torch.no_grad()
    def _add_gradients(self) -> None:
        """Sum gradients over the processes, in one go after the backward pass."""
        gradients = [cast(Tensor, p.grad) for p in self.trained]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, added in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(added.view_as(gradient))

    def update(self, step: int) -> float:
        self.optimizer.prepare(step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        norm = float(self.optimizer.norm)  # type: ignore[arg-type]
        self.optimizer.updates += norm < float("inf")
        return norm
