"""Actions of both kinds as an input of the video model: a category per cell, or a vector."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Actions = Int[Tensor, "batch cell"] | Float[Tensor, "batch cell action"]
"""A category per cell, -1 where there is none; or a vector per cell, nan where there is none."""


def is_given(action: Actions) -> Bool[Tensor, "batch cell"]:
    """Which cells have an action."""
    return ~action.isnan().any(dim=-1) if action.is_floating_point() else action >= 0


def withhold(action: Actions, dropped: Bool[Tensor, "batch 1"]) -> Actions:
    """Actions without those of some examples."""
    if action.is_floating_point():
        return torch.where(dropped.unsqueeze(-1), torch.nan, action)
    return torch.where(dropped, -1, action)


class VectorEmbedding(nn.Module):
    """A linear map of action vectors, standardised with the mean and deviation that the training data had."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_actions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_actions))
        self.register_buffer("std", torch.ones(num_actions))
        self.linear = nn.Linear(num_actions, width)

    def forward(self, action: Float[Tensor, "batch cell action"]) -> Float[Tensor, "batch cell width"]:
        return self.linear((action - self.mean) / self.std)

    def measure(self, actions: Float[Tensor, "frame action"]) -> None:
        """Take over mean and standard deviation; a number that never changes is only shifted."""
        std, mean = torch.std_mean(actions.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6 * mean.abs() + 1e-12, std, 1.0))
