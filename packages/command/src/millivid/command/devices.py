"""Where a model computes, and how precisely: devices by name, and bfloat16 where it is fast. Torch is needed when called."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from millivid.command.settings import ConfigError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


def device_named(name: str, processes: int = 1) -> str:
    """`name`, or for "auto" cuda, mps or cpu, the first that is there, and cpu for several processes; none is touched."""
    if name != "auto":
        return name
    import torch

    if processes != 1:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def check_device(name: str) -> str:
    """The device, if torch can use it here; raises ConfigError otherwise."""
    import torch

    try:
        torch.zeros((), device=name).item()
    except (RuntimeError, AssertionError) as error:
        usable = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ConfigError(f"device={name} cannot be used; this machine has {', '.join(usable)}") from error
    return name


def precision_on(device: torch.device | str, precision: Precision) -> Literal["fp32", "bf16"]:
    """What a precision is on a device: auto asks whether bfloat16 is fast there. Raises ValueError for another word."""
    import torch

    if precision not in ("auto", "fp32", "bf16"):
        raise ValueError(f"precision is {precision!r}; use auto, fp32 or bf16")
    if precision == "auto":
        return "bf16" if bf16_is_fast(torch.device(device)) else "fp32"
    return precision


def autocast(device: torch.device | str, precision: Precision) -> AbstractContextManager[object]:
    """A context in which matrix products are in bfloat16, or, with fp32, as they are; see `precision_on`."""
    import torch

    half = precision_on(device, precision) == "bf16"
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half)


def bf16_is_fast(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32: on a GPU, and on a CPU that has them built in."""
    import torch

    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        if has["architecture"] == "x86_64":  # plain AVX-512 takes bfloat16 too, but emulates it
            return bool(has["avx512_bf16"] or has["amx_bf16"])
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
