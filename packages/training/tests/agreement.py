"""Trains the toy on plain torch and on every stage of ZeRO, and compares: `torchrun agreement.py FOLDER [all]`.

The opponent is written out with torch.optim.Muon and torch.optim.AdamW on one process. Muon's iteration runs in bfloat16, as
torch has it, and in float32, where small differences stay small. Prints a row per run, as JSON: the largest deviation of the
losses, relative, and of the averaged weights, absolute and beside how far the weights moved.
"""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path
from unittest.mock import patch

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from toy import Toy, settings

from millivid.command import leave_processes
from millivid.training import TrainingConfig, join_processes, split_parameters, train
from millivid.training.loader import load_shares
from millivid.training.optimizer import learning_rate_factor, orthogonalize
from millivid.training.processes import Processes

Outcome = tuple[list[float], dict[str, Tensor]]
STAGES = (None, 0, 1, 2, 3)
VARIANTS = {"accumulated": {"micro_batch_size": 2}, "recomputed": {"checkpoint_activations": True}}
CASES = [
    *product(("fp32",), (torch.float32,), ("plain", *VARIANTS), STAGES),
    *product(("bf16",), (torch.bfloat16,), ("plain",), STAGES),
]
MORE = [
    *product(("fp32",), (torch.bfloat16,), ("plain",), STAGES),
    *product(("bf16",), (torch.float32,), ("plain",), STAGES),
]
COMMON = {"ema": 0.9, "log_every": 1, "clip": 0.5}


def opponent(config: TrainingConfig) -> Outcome:
    """What training comes to with torch's own optimizers, and nothing of ours but the batches."""
    task = Toy()
    matrices, rest = (list(part.values()) for part in split_parameters(task.model))
    optimizers = [
        torch.optim.Muon(matrices, lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=config.lr, weight_decay=config.weight_decay, fused=True),
    ]
    average = {name: p.detach().clone() for name, p in task.model.named_parameters()}
    losses = []
    whole = replace(config, micro_batch_size=None)
    for step, share in enumerate(load_shares(task, whole, Processes())):
        (batch,) = share.batches
        with torch.autocast("cpu", torch.bfloat16) if config.precision == "bf16" else nullcontext():
            loss, _ = task.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*matrices, *rest], config.clip)
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = config.lr * learning_rate_factor(step, config)
            optimizer.step()
            optimizer.zero_grad()
        decay = min(config.ema, (step + 1) / (step + 10))
        for name, p in task.model.named_parameters():
            average[name] = decay * average[name] + (1 - decay) * p.detach()
        losses.append(loss.item())
    return losses, average


def ours(config: TrainingConfig, out: Path, processes: Processes) -> Outcome:
    """The same by `train`."""
    out.mkdir(parents=True, exist_ok=True)
    model = train(Toy(), config, out, progress=False, processes=processes)
    losses: list[float] = []
    if processes.first:
        accumulator = EventAccumulator(str(out / "logs"))
        accumulator.Reload()
        losses = [event.value for event in accumulator.Scalars("loss")]
    return losses, dict(model.named_parameters())


def main(folder: Path, cases: list[tuple[str, torch.dtype, str, int | None]]) -> None:
    processes = join_processes("cpu", group=True)
    start = dict(Toy().model.named_parameters())
    for precision, iteration, variant, zero in cases:
        config = settings(**COMMON, **VARIANTS.get(variant, {}), precision=precision, zero=zero)
        out = folder / f"{precision}-{iteration}-{variant}-{zero}-{processes.count}"

        def orthogonal(update: Tensor, *_: object, dtype: torch.dtype = iteration) -> Tensor:
            return orthogonalize(update, dtype)

        with patch("millivid.training.optimizer.orthogonalize", orthogonal):
            losses, weights = ours(config, out, processes)
        if processes.first:
            with patch("torch.optim._muon._zeropower_via_newtonschulz", orthogonal):
                expected_losses, expected = opponent(config)
            row = {
                "stage": zero,
                "precision": precision,
                "iteration": str(iteration).removeprefix("torch."),
                "variant": variant,
                "processes": processes.count,
                "steps": len(losses),
                "loss": max(abs(a - b) / b for a, b in zip(losses, expected_losses, strict=True)),
                "weights": max((weights[name] - p).abs().max().item() for name, p in expected.items()),
                "moved": max((start[name] - p).abs().max().item() for name, p in expected.items()),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), CASES + MORE * ("all" in sys.argv))
    leave_processes()
