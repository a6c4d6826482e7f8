"""Frames as they travel: uint8 (frame, height, width, 3) on disk, float (frame, channel, height, width) in a metric."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .errors import EvaluationError


def to_unit_range(
    frames: UInt8[np.ndarray, "frame height width channel"], device: torch.device | str | None = None
) -> Float[Tensor, "frame channel height width"]:
    """uint8 frames as float32 in [0, 1], channels first."""
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).to(device or "cpu")
    return tensor.permute(0, 3, 1, 2).float() / 255


def check_pair(generated: Tensor, reference: Tensor, *, metric: str, min_size: int = 1) -> None:
    """Raise EvaluationError unless both are float (frame, channel, height, width), alike, and at least `min_size`."""
    for name, frames in (("generated", generated), ("reference", reference)):
        if not isinstance(frames, Tensor):
            raise EvaluationError(
                f"{metric}: {name} is a {type(frames).__name__}; it takes a tensor (see to_unit_range)"
            )
        if frames.ndim != 4:
            raise EvaluationError(
                f"{metric}: {name} has shape {tuple(frames.shape)}; it takes (frame, channel, height, width)"
            )
        if not frames.is_floating_point():
            raise EvaluationError(
                f"{metric}: {name} is {frames.dtype}; it takes floats in [0, 1] (to_unit_range converts uint8 frames)"
            )
    if generated.shape != reference.shape:
        raise EvaluationError(
            f"{metric}: generated is {tuple(generated.shape)} and reference {tuple(reference.shape)}; "
            "they must have one shape"
        )
    height, width = generated.shape[-2:]
    if min(height, width) < min_size:
        raise EvaluationError(f"{metric}: frames are {width}x{height}; it needs at least {min_size}x{min_size} pixels")
