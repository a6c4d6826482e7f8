"""Dead reckoning: the pose that follows from the actions, and its features as an input of the video model."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

WAVELENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
HARMONICS = (1, 2, 3)
NUM_FEATURES = 4 * len(WAVELENGTHS) + 2 * len(HARMONICS)


def dead_reckon(
    actions: Int[Tensor, "batch frame"], odometry: Sequence[tuple[float, float]]
) -> Float[Tensor, "batch frame 3"]:
    """Pose (x, y, heading in radians) after every frame's action, from the origin and on a plane without obstacles.

    odometry: per action the (distance, turn in degrees) of one frame; a negative action stands still.
    """
    table = torch.tensor([*odometry, (0.0, 0.0)], dtype=torch.float64, device=actions.device)
    distance, turn = table[actions.clamp(min=-1)].unbind(-1)
    heading = torch.cumsum(turn * math.pi / 180, dim=1)
    x = torch.cumsum(distance * heading.cos(), dim=1)
    y = torch.cumsum(distance * heading.sin(), dim=1)
    return torch.stack([x, y, heading], dim=-1).float()


def relative_pose(
    pose: Float[Tensor, "batch cell 3"], origin: Float[Tensor, "batch 3"]
) -> Float[Tensor, "batch cell 3"]:
    """Poses as seen from `origin`: its place is (0, 0) and its heading 0."""
    x, y, heading = (pose - origin.unsqueeze(1)).unbind(-1)
    cos, sin = origin[:, 2:].cos(), origin[:, 2:].sin()
    return torch.stack([cos * x + sin * y, cos * y - sin * x, heading], dim=-1)


class PoseEmbedding(nn.Module):
    """A linear map of sines and cosines of place (wavelengths 1 to 32 units) and heading (three harmonics)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(NUM_FEATURES, width)

    def forward(self, pose: Float[Tensor, "batch cell 3"]) -> Float[Tensor, "batch cell width"]:
        # Plain numbers, for which no GPU is waited.
        place = torch.stack([pose[..., :2] * (2 * math.pi / wavelength) for wavelength in WAVELENGTHS], dim=-1).flatten(
            -2
        )
        heading = torch.cat([pose[..., 2:] * harmonic for harmonic in HARMONICS], dim=-1)
        phase = torch.cat([place, heading], dim=-1)
        return self.linear(torch.cat([phase.sin(), phase.cos()], dim=-1))
