"""Muon for the weight matrices of linear layers, AdamW for the rest, behind one handle."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from millivid.training.config import TrainingConfig
from millivid.training.muon import Muon


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of linear layers, everything else), each parameter once."""
    matrices: dict[int, nn.Parameter] = {
        id(module.weight): cast(nn.Parameter, module.weight)
        for module in model.modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad
    }
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in matrices]
    return list(matrices.values()), rest


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """What the learning rate is multiplied with at a step (from 0): linear warm-up, then constant or a half cosine."""
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.decay == "constant":
        return warmup
    progress = min(1.0, max(0, step - config.warmup) / max(1, config.steps - config.warmup))
    return warmup * 0.5 * (1 + math.cos(math.pi * progress))


class Optimizer:
    """Clips gradients and updates a model's parameters at a step's learning rate."""

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        matrices, rest = split_parameters(model)
        if not matrices:
            raise ValueError(f"{type(model).__name__} has no linear layer, so Muon has nothing to train")
        self.parameters = matrices + rest
        self.parts: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(matrices, lr=config.lr, weight_decay=config.weight_decay),
            "adamw": torch.optim.AdamW(rest, lr=config.lr, weight_decay=config.weight_decay, fused=True),
        }

    def update(self, step: int) -> Tensor:
        """Apply the gradients of one step and drop them; returns their norm before clipping.

        Where the norm is not finite, nothing changes.
        """
        limit = self.config.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        if not torch.isfinite(norm):
            for part in self.parts.values():
                part.zero_grad(set_to_none=True)
            return norm
        rate = self.config.lr * learning_rate_factor(step, self.config)
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The state of both parts."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
