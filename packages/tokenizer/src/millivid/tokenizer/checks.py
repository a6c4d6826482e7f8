"""Checks of what comes from outside: frames for the encoder, latents for the decoder."""

import torch
from torch import Tensor

ROUNDING = 1e-6
"""By how much a frame's values may leave [0, 1]: what float32 loses where frames were resized or mixed."""


AUTOCAST_TAKES = (torch.float32, torch.bfloat16, torch.float16)


def check_tensor(given: Tensor, name: str, shape: tuple[int, ...], like: Tensor, otherwise: str) -> None:
    """Raise ValueError unless `given` ends in `shape` and has the dtype and device of `like`, one of the model's weights.

    otherwise: what the sentence on another shape ends with. Under autocast any of `AUTOCAST_TAKES` will do.
    """
    if not isinstance(given, Tensor):
        raise ValueError(f"{name} are a {type(given).__name__}; expected a tensor that ends in {shape}")
    if given.shape[-len(shape) :] != shape:
        raise ValueError(f"{name} of shape {tuple(given.shape)} do not end in {shape}{otherwise}")
    casts = not like.is_meta and torch.is_autocast_enabled(like.device.type) and given.dtype in AUTOCAST_TAKES
    if given.dtype != like.dtype and not casts:
        scale = " / 255" if given.dtype == torch.uint8 else ""
        raise ValueError(
            f"{name} are {given.dtype}, but the tokenizer is {like.dtype}; convert them: x.to({like.dtype}){scale}"
        )
    if given.device != like.device:
        raise ValueError(f"{name} are on {given.device}, but the tokenizer on {like.device}; move them there")


def check_range(frames: Tensor) -> None:
    """Raise ValueError unless all values lie in [0, 1], up to `ROUNDING` or, in half precision, its own step."""
    if frames.is_meta or not frames.numel():
        return
    low, high = (float(value) for value in frames.detach().aminmax())
    rounding = max(ROUNDING, torch.finfo(frames.dtype).eps)
    if not (low >= -rounding and high <= 1 + rounding):
        raise ValueError(
            f"frames hold values from {low:.8g} to {high:.8g}; the tokenizer takes [0, 1]: divide 0..255 by 255, map [-1, 1] "
            "by (x + 1) / 2, and clamp(0, 1) what overshoots"
        )


def check_finite(latents: Tensor) -> None:
    """Raise ValueError where a latent is NaN or infinite."""
    if not latents.is_meta and not latents.detach().isfinite().all():
        raise ValueError("latents hold NaN or infinity; no frame can be decoded from them")
