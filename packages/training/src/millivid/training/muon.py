"""Muon for every device: torch's optimizer, with the orthogonalisation in the precision that is fast there."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def bf16_is_fast(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32: on a GPU, and on a CPU that has them built in."""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def orthogonalize(
    gradient: Float[Tensor, "m n"], coefficients: tuple[float, float, float], steps: int, eps: float, dtype: torch.dtype
) -> Float[Tensor, "m n"]:
    """Nearly U V^T of the gradient's singular value decomposition, by Newton-Schulz iteration (Jordan et al. 2024)."""
    a, b, c = coefficients
    x = gradient.to(dtype)
    if tall := len(x) > x.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` with learning rates matched to AdamW's, orthogonalising in float32 where bfloat16 is slow.

    torch's own step always works in bfloat16, which some CPUs emulate at a thirtieth of float32's speed.
    """

    def __init__(self, params: Any, lr: float, weight_decay: float) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        if all(bf16_is_fast(p.device) for group in self.param_groups for p in group["params"]):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient, momentum = parameter.grad, group["momentum"]
        assert gradient is not None
        buffer = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
        buffer.lerp_(gradient, 1 - momentum)
        update = gradient.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = orthogonalize(update, group["ns_coefficients"], group["ns_steps"], group["eps"], torch.float32)
        rate = group["lr"] * 0.2 * math.sqrt(max(parameter.shape))  # the update's size then matches AdamW's
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-rate)
