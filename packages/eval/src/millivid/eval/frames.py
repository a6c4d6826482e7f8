"""Frames as they travel: uint8 (frame, height, width, 3) on disk, float (frame, channel, height, width) in a metric."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .errors import EvaluationError


def to_unit_range(
    frames: UInt8[np.ndarray, "frame height width channel"], device: torch.device | str | None = None
) -> Float[Tensor, "frame channel height width"]:
    """uint8 frames as float32 in [0, 1], channels first. Raises EvaluationError for other ones."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4:
        came = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise EvaluationError(f"frames are {came}; expected an array, uint8 (frame, height, width, channel)")
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).to(device or "cpu")
    return tensor.permute(0, 3, 1, 2).float() / 255


FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROUNDING = 1e-6
"""By how much a frame's values may leave [0, 1]: what float32 loses where frames were resized or mixed."""


def check_frames(
    frames: Tensor,
    name: str,
    *,
    rgb: bool = False,
    min_size: int = 1,
    rounding: float = ROUNDING,
) -> None:
    """Raise EvaluationError unless these are floats in [0, 1] (frame, channel, height, width) of `min_size`; RGB if `rgb`.

    name: of what takes them. rounding: by how much values may leave [0, 1]; in half precision at least by its own step.
    """
    layout = f"(frame, {3 if rgb else 'channel'}, height, width)"
    if not isinstance(frames, Tensor) or frames.ndim != 4 or (rgb and frames.shape[1] != 3):
        came = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise EvaluationError(f"{name}: frames are {came}; it takes a tensor {layout}, as to_unit_range gives it")
    if frames.dtype not in FLOATS:
        raise EvaluationError(
            f"{name}: frames are {frames.dtype}; it takes floats in [0, 1] (to_unit_range converts uint8 frames)"
        )
    height, width = frames.shape[-2:]
    if min(height, width) < min_size:
        raise EvaluationError(f"{name}: frames are {width}x{height}; it needs at least {min_size}x{min_size} pixels")
    if rounding < math.inf and frames.numel():
        low, high = (float(value) for value in frames.detach().aminmax())
        rounding = max(rounding, torch.finfo(frames.dtype).eps)
        if not (low >= -rounding and high <= 1 + rounding):
            raise EvaluationError(
                f"{name}: frames hold values from {low:.8g} to {high:.8g}; it takes [0, 1]: divide 0..255 by 255, map "
                "[-1, 1] by (x + 1) / 2, and clamp(0, 1) what overshoots"
            )


def check_pair(
    generated: Tensor,
    reference: Tensor,
    *,
    metric: str,
    rgb: bool = False,
    min_size: int = 1,
    rounding: float = ROUNDING,
) -> None:
    """Raise EvaluationError unless both pass `check_frames` and are alike.

    Values are not looked at where a gradient is asked for: a loss takes what a network gives, which may leave [0, 1].
    """
    if any(getattr(frames, "requires_grad", False) for frames in (generated, reference)):
        rounding = math.inf
    for frames in (generated, reference):
        check_frames(frames, metric, rgb=rgb, min_size=min_size, rounding=rounding)
    if generated.device != reference.device:
        raise EvaluationError(
            f"{metric}: generated is on {generated.device} and reference on {reference.device}; move both to one"
        )
    if generated.shape != reference.shape:
        raise EvaluationError(
            f"{metric}: generated is {tuple(generated.shape)} and reference {tuple(reference.shape)}; "
            "they must have one shape"
        )
