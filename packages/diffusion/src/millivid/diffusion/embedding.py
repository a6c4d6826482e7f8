"""Sine-cosine embeddings of a token's place and of the diffusion time."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def sincos_3d(
    frame: Int[Tensor, "*b"], row: Int[Tensor, "*b"], column: Int[Tensor, "*b"], dim: int
) -> Float[Tensor, "*b dim"]:
    """Position embedding: sines then cosines of the frame, of the row, and of the column; zeros fill up the rest of dim.

    Each of the six takes dim // 6 frequencies 10000^(-i / (dim // 6 - 1)), so dim is at least 12.
    """
    num = dim // 6
    frequency = 1 / 10000 ** (torch.arange(num, device=frame.device) / (num - 1))
    phases = [axis.unsqueeze(-1) * frequency for axis in (frame, row, column)]
    padding = torch.zeros(*frame.shape, dim - 6 * num, device=frame.device)
    return torch.cat([wave for phase in phases for wave in (phase.sin(), phase.cos())] + [padding], dim=-1)


class TimeEmbedding(nn.Module):
    """An MLP over 256 features of t in [0, 1]: cosines then sines of 1000 t at 128 frequencies from 1 to 1/10000."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b width"]:
        frequency = torch.exp(-math.log(10000) * torch.linspace(0, 1, 128, device=t.device))
        phase = (1000 * t).unsqueeze(-1) * frequency
        return self.mlp(torch.cat([phase.cos(), phase.sin()], dim=-1))
