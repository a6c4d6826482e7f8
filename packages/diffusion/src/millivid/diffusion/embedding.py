"""Sine-cosine embeddings of a token's place and of the diffusion time."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def sincos_3d(
    frame: Int[Tensor, "*b"], row: Int[Tensor, "*b"], column: Int[Tensor, "*b"], dim: int
) -> Float[Tensor, "*b dim"]:
    """Position embedding: sin f, cos f, sin row, cos row, sin column, cos column, zero-padded at the end to dim.

    Each has dim // 6 frequencies 10000^(-i / (dim // 6 - 1)). Frames count from the smallest one in the sequence.
    """
    num = dim // 6
    frequency = 1 / 10000 ** (torch.arange(num, device=frame.device) / (num - 1))
    phases = [axis.unsqueeze(-1) * frequency for axis in (frame, row, column)]
    padding = torch.zeros(*frame.shape, dim - 6 * num, device=frame.device)
    return torch.cat([wave for phase in phases for wave in (phase.sin(), phase.cos())] + [padding], dim=-1)


class TimeEmbedding(nn.Module):
    """An MLP over 128 sine-cosine features of 1000 t, for t in [0, 1]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b width"]:
        frequency = torch.exp(-math.log(10000) * torch.linspace(0, 1, 128, device=t.device))
        phase = (1000 * t).unsqueeze(-1) * frequency
        return self.mlp(torch.cat([phase.cos(), phase.sin()], dim=-1))
