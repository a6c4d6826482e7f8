"""Plain torch: forward, backward and update, on one process or many."""

from typing import cast

import torch
from torch import Tensor
from torch import distributed as dist

from millivid.training.config import TrainingConfig
from millivid.training.engine import Engine, LossOf, use_bf16
from millivid.training.optimizer import MuonAdamW
from millivid.training.processes import Processes
from millivid.training.task import Task


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
