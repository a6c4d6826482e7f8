"""The settings of a training run."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is trained. Defaults are the paper's; lengths count optimizer steps.

    decay: what follows the linear warm-up. clip: limit of the gradient norm, 0 for none. ema: decay of a running average
    of the weights, which is what gets saved, 0 for none. precision "auto" is bf16 where that is faster than fp32.
    keep: how many checkpoints stay, beside those of every `keep_every`-th step (0 for none). max_skipped: how many steps
    whose gradient is not finite a run passes over before it stops. threads: CPU threads, None for torch's choice.
    """

    steps: int = 128_000
    batch_size: int = 224
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 2_000
    decay: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    log_every: int = 50
    checkpoint_every: int = 1_000
    keep: int = 2
    keep_every: int = 0
    max_skipped: int = 10
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("warmup", "weight_decay", "clip", "keep_every", "max_skipped"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("lr", "weight_decay", "clip", "ema"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"training.{name} is {getattr(self, name)}; it must be a finite number")
        if self.lr <= 0:
            raise ValueError(f"training.lr is {self.lr}; it must be positive")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"training.seed is {self.seed}; it must be at least 0 and below 2^31")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema is {self.ema}; it must be at least 0 and below 1, for example 0.999")
        if self.decay not in ("constant", "cosine"):
            raise ValueError(f"training.decay is {self.decay!r}; use constant or cosine")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"training.precision is {self.precision!r}; use auto, fp32 or bf16")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"training.threads is {self.threads}; it must be at least 1, or null for torch's choice")
