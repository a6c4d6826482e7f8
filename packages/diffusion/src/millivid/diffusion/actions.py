"""Actions of both kinds as an input of the video model: a category per cell, or a vector."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from millivid.diffusion.config import VideoDiTConfig

Actions = Int[Tensor, "batch cell"] | Float[Tensor, "batch cell action"]
"""A category per cell, -1 where there is none; or a vector per cell, nan where there is none."""


def is_given(action: Int[Tensor, "*b"] | Float[Tensor, "*b action"]) -> Bool[Tensor, "*b"]:
    """Which actions there are: none is negative, or nan."""
    return ~action.isnan().any(dim=-1) if action.is_floating_point() else action >= 0


def withhold(action: Actions, dropped: Bool[Tensor, "batch 1"]) -> Actions:
    """Actions without those of some examples."""
    if action.is_floating_point():
        return torch.where(dropped.unsqueeze(-1), torch.nan, action)
    return torch.where(dropped, -1, action)


def known_actions(
    actions: Any, config: VideoDiTConfig, batch: int, names: Sequence[str] = (), *, gaps: bool = True
) -> Actions:
    """Actions of `batch` videos as int64 or vectors, which a model of this config knows; raises ValueError for any others.

    names: of the actions, where known. gaps: frames may have none, -1 or nan. A model without actions takes any.
    """
    categorical, count = config.action_type == "categorical", config.num_actions
    known = ", ".join(f"{number} {name}" for number, name in enumerate(names)) or f"0 to {count - 1}"
    shape = (batch, "frame") if categorical else (batch, "frame", count)
    what = f"a tensor of {'whole' if categorical else 'floating-point'} numbers ({', '.join(map(str, shape))}): {known}"
    if not isinstance(actions, Tensor):
        raise ValueError(f"actions are a {type(actions).__name__}; the model takes {what}")
    whole = not (actions.is_floating_point() or actions.is_complex() or actions.dtype == torch.bool)
    fits = whole if categorical else actions.is_floating_point() and actions.shape[2:] == (count,)
    if actions.ndim < 2 or not batch or len(actions) != batch or (count and not (fits and actions.ndim == len(shape))):
        raise ValueError(f"actions are {actions.dtype} {tuple(actions.shape)}; the model takes {what}")
    if not count:
        return actions
    if categorical:
        actions = actions.long()
        unknown = actions[(actions < (-1 if gaps else 0)) | (actions >= count)]
        if len(unknown):
            raise ValueError(f"action {int(unknown[0])}; the model knows {known}{', and -1 for none' if gaps else ''}")
    elif not (~actions.isinf() if gaps else actions.isfinite()).all():
        raise ValueError(f"actions hold {'' if gaps else 'NaN or '}infinity; the model takes finite numbers ({known})")
    return actions


class VectorEmbedding(nn.Module):
    """A linear map of action vectors, standardised with the mean and deviation that the training data had."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_actions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_actions))
        self.register_buffer("std", torch.ones(num_actions))
        self.linear = nn.Linear(num_actions, width)

    def forward(self, action: Float[Tensor, "*b action"]) -> Float[Tensor, "*b width"]:
        return self.linear((action - self.mean) / self.std)

    def measure(self, actions: Float[Tensor, "frame action"]) -> None:
        """Take over mean and standard deviation; a number that never changes is only shifted."""
        std, mean = torch.std_mean(actions.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6 * mean.abs() + 1e-12, std, 1.0))
