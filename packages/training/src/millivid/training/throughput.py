"""What a training step costs, and how much of the hardware's rate it uses."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from millivid.training.config import TrainingConfig
from millivid.training.engine import autocast, use_bf16
from millivid.training.loader import Positions
from millivid.training.processes import Processes
from millivid.training.task import Task

# Dense rates of the vendors' data sheets, bfloat16 and (where matrix products in float32 use TF32 it is not) float32.
VENDOR_RATES = {"H200": (989e12, 67e12), "H100": (989e12, 67e12), "A100": (312e12, 19.5e12), "L40S": (362e12, 91.6e12)}
BACKWARD = 2
"""Arithmetic of a backward pass in forward passes: a product's gradient is two products."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """flops: arithmetic of an example's step, recomputation left out; tokens: of its sequence; rate: flop/s of a process's
    device, of the data sheet or, where none is known, of one large matrix product timed here."""

    flops: float
    tokens: int
    rate: float

    @classmethod
    def of(cls, task: Task, config: TrainingConfig, processes: Processes) -> "Throughput":
        """Of a task whose model is not yet an engine's, counted on one example."""
        bf16 = use_bf16(config, processes.device)
        found, _ = Positions(task.examples, config)[0]
        if found is None:
            return cls(flops=0, tokens=0, rate=1)
        batch = task.examples.collate([found])
        return cls(
            flops=(1 + BACKWARD) * count_flops(task, batch, bf16, processes.device),
            tokens=int(getattr(task, "tokens", 0)),
            rate=device_rate(processes.device, bf16),
        )

    def utilization(self, examples_per_second: float) -> float:
        """Model FLOPs utilization (Chowdhery et al. 2022) of one process at a rate of examples."""
        return examples_per_second * self.flops / self.rate


@torch.no_grad()
def count_flops(task: Task, batch: Any, bf16: bool, device: torch.device) -> int:
    """Multiplications and additions of matrix products and attention in a batch's forward pass."""
    aten = torch.ops.aten
    on_cpu = {aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)}
    counter = FlopCounterMode(display=False, custom_mapping=on_cpu)
    with counter, autocast(device, bf16):
        task.loss(batch)
    return int(counter.get_total_flops())


def device_rate(device: torch.device, bf16: bool) -> float:
    """Flop/s of matrix products on a device."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for known, (half, single) in VENDOR_RATES.items():
            if known in name:
                return half if bf16 else single
    dtype, size = (torch.bfloat16 if bf16 else torch.float32), (8192 if device.type == "cuda" else 768)
    x = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(3):
        begun = perf_counter()
        (x @ x).sum().item()
        best = min(best, perf_counter() - begun)
    return 2 * size**3 / best
