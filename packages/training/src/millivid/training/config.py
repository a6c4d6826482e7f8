"""The settings of a training run."""

import math
from dataclasses import dataclass
from typing import Literal

from millivid.files.values import check_number

_BOUNDS = {
    "steps": (1, 10**9), "batch_size": (1, 2**20), "threads": (1, 1024), "workers": (0, 1024), "seed": (0, 2**31 - 1),
    **dict.fromkeys(("micro_batch_size", "log_every", "checkpoint_every", "keep"), (1, math.inf)),
    **dict.fromkeys(("warmup", "weight_decay", "clip", "keep_every", "max_skipped", "pictures_every"), (0, math.inf)),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is trained. Defaults are the paper's; lengths count optimizer steps.

    steps: how long. batch_size: examples of a step, over all processes. micro_batch_size: how many of them a process takes
    at once at most, null for its whole share; gradients are accumulated over the rest. lr, weight_decay: of Muon and AdamW
    alike. warmup: steps in which the learning rate rises linearly. decay: what follows. clip: limit of the gradient norm, 0
    for none. ema: decay of a running average of the weights, which is what gets saved, 0 for none. precision: bf16 is
    autocast over float32 weights, auto chooses it where it is faster; with fp32 Muon iterates in float32 too. seed: of
    initial weights, order of examples and noise.

    zero: stage of DeepSpeed's ZeRO (0-3), null for plain torch. compile: compile the model's blocks.
    checkpoint_activations: compute blocks again in the backward pass, for less memory. threads: CPU threads, null for
    torch's choice. workers: processes that read examples, 0 for none. unreadable: what to do with an example that cannot be
    read.

    log_every: steps between lines of the log. pictures_every: steps between pictures in the log, 0 for none. wandb: also log
    to Weights & Biases, as the project of this name. checkpoint_every: steps between checkpoints. keep: how many of the
    newest checkpoints stay. keep_every: those of every so many steps stay too, 0 for none. max_skipped: how many steps
    whose loss or gradient is not finite are skipped; one more stops the run.
    """

    steps: int = 128_000
    batch_size: int = 1_792
    micro_batch_size: int | None = None
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 2_000
    decay: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    zero: Literal[0, 1, 2, 3] | None = None
    compile: bool = False
    checkpoint_activations: bool = False
    threads: int | None = None
    workers: int = 0
    unreadable: Literal["raise", "skip"] = "raise"
    log_every: int = 50
    pictures_every: int = 0
    wandb: str | None = None
    checkpoint_every: int = 1_000
    keep: int = 2
    keep_every: int = 0
    max_skipped: int = 10

    def __post_init__(self) -> None:
        for name, bounds in _BOUNDS.items():
            if (value := getattr(self, name)) is not None:
                check_number(value, f"training.{name}", *bounds, whole=name not in ("weight_decay", "clip"))
        if not 0 < self.lr < math.inf:
            raise ValueError(f"training.lr is {self.lr}; it must be positive and finite")
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema is {self.ema}; it must be at least 0 and below 1, for example 0.999")

    def micro_batches(self, processes: int) -> tuple[int, int]:
        """(examples that a process takes at once, how often it does so in a step).

        Raises ValueError where the batch does not divide.
        """
        share, left = divmod(self.batch_size, processes)
        if left:
            nearest = share * processes or processes
            raise ValueError(
                f"training.batch_size is {self.batch_size}, which {processes} processes cannot share equally; "
                f"{nearest} and {(share + 1) * processes} would do"
            )
        size = min(self.micro_batch_size or share, share)
        if share % size:
            divisors = [n for n in range(1, share + 1) if not share % n]
            near = min(divisors, key=lambda n: abs(n - size))
            raise ValueError(
                f"training.micro_batch_size is {size}, which does not divide the {share} examples that each of {processes} "
                f"processes has of training.batch_size={self.batch_size}; {near} would do"
            )
        return size, share // size
