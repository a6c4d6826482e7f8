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


def check_frames(frames: Tensor, name: str, *, rgb: bool = False, min_size: int = 1) -> None:
    """Raise EvaluationError unless these are float (frame, channel, height, width), of `min_size` and with 3 channels for rgb.

    name: of what takes them.
    """
    layout = f"(frame, {3 if rgb else 'channel'}, height, width)"
    if not isinstance(frames, Tensor) or frames.ndim != 4 or (rgb and frames.shape[1] != 3):
        came = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise EvaluationError(f"{name}: frames are {came}; it takes a tensor {layout}, as to_unit_range gives it")
    if not frames.is_floating_point():
        raise EvaluationError(
            f"{name}: frames are {frames.dtype}; it takes floats in [0, 1] (to_unit_range converts uint8 frames)"
        )
    height, width = frames.shape[-2:]
    if min(height, width) < min_size:
        raise EvaluationError(f"{name}: frames are {width}x{height}; it needs at least {min_size}x{min_size} pixels")


def check_pair(generated: Tensor, reference: Tensor, *, metric: str, rgb: bool = False, min_size: int = 1) -> None:
    """Raise EvaluationError unless both pass `check_frames` and are alike."""
    for frames in (generated, reference):
        check_frames(frames, metric, rgb=rgb, min_size=min_size)
    if generated.shape != reference.shape:
        raise EvaluationError(
            f"{metric}: generated is {tuple(generated.shape)} and reference {tuple(reference.shape)}; "
            "they must have one shape"
        )
