"""Muon's orthogonalisation, in the precision that is fast on the device (Jordan et al. 2024)."""

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
EPS = 1e-7


def bf16_is_fast(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32: on a GPU, and on a CPU that has them built in."""
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        if has["architecture"] == "x86_64":  # plain AVX-512 takes bfloat16 too, but emulates it
            return bool(has["avx512_bf16"] or has["amx_bf16"])
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def orthogonalize(gradient: Float[Tensor, "m n"], dtype: torch.dtype | None = None) -> Float[Tensor, "m n"]:
    """Nearly U V^T of the gradient's singular value decomposition, by Newton-Schulz iteration.

    dtype: of the iteration; None for bfloat16, as torch.optim.Muon has it, where that is fast, and float32 elsewhere, since
    some CPUs emulate bfloat16 at a thirtieth of float32's speed.
    """
    if dtype is None:
        dtype = torch.bfloat16 if bf16_is_fast(gradient.device) else torch.float32
    a, b, c = COEFFICIENTS
    x = gradient.to(dtype)
    if tall := len(x) > x.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=EPS)
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
