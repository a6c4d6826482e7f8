"""Training on one and two processes, plain and by ZeRO 0-3: how far it strays from torch's own optimizers, and a step's time.

    python benchmarks/zero.py [--rounds 7] [--device cuda] [--out benchmarks/results/zero-x.json]

Deviation: 20 steps of the training package's toy (packages/training/tests/agreement.py), against a loop written out with
torch.optim.Muon and torch.optim.AdamW on one process. Loss: the largest relative difference of a step; weights: the largest
difference of the running average, absolute, in which the weights moved by about 0.16. Float32 and bfloat16 are those of the
forward pass and, separately, of Muon's iteration.

Step: forward, backward and update of the tiny video model (2.8 million parameters, 256 tokens, 8 examples a process), with
plain torch of as many processes as the opponent, in turns; a ratio is the median over rounds of variant / plain torch. "By
hand" is the same loop written out with torch's own optimizers. Prints Markdown tables, and writes the figures as JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from torch import Tensor

from millivid.diffusion import VideoDiT, VideoDiTConfig, diffusion_loss, draw, stack_tokens
from millivid.rollout import make_schedule
from millivid.training import Processes, TrainingConfig, join_processes, split_parameters
from millivid.training.engine import make_engine

ROOT = Path(__file__).parents[1]
AGREEMENT = ROOT / "packages" / "training" / "tests" / "agreement.py"
STAGES = (None, 0, 1, 2, 3)
PLAIN, BY_HAND = "plain torch", "by hand"
GRIDS, CHANNELS, EXAMPLES = ((4, 4), (2, 2), (1, 1)), 48, 8


class Denoising:
    """The tiny video model's task on random latents."""

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(0)
        config = VideoDiTConfig(grids=GRIDS, latent_channels=CHANNELS, width=192, depth=4, num_heads=6, num_actions=3)
        self.model = VideoDiT(config).to(device)
        chunk = make_schedule("millivid", windows=(4, 16, 64), history=64).chunk((16, 4, 1))
        generator = torch.Generator().manual_seed(0)
        self.tokens = stack_tokens([self.model.tokens_of(chunk.steps[0])]).expand(EXAMPLES).to(device)
        self.x = torch.randn(EXAMPLES, self.tokens.level.shape[1], CHANNELS, generator=generator).to(device)
        self.action = torch.zeros(self.tokens.cell_level.shape, dtype=torch.int64, device=device)
        draws = draw(self.x.cpu(), 0.1, generator)
        self.draws = type(draws)(**{name: value.to(device) for name, value in vars(draws).items() if value is not None})
        self.examples: Any = None

    def loss(self, batch: None) -> tuple[Tensor, dict[str, Tensor]]:
        return diffusion_loss(self.model, self.x, self.tokens, self.action, self.draws)[0], {}

    def weight(self, batch: None) -> float:
        return float(EXAMPLES)


def by_hand(device: torch.device) -> Callable[[int], None]:
    """A step with torch's own optimizers."""
    task = Denoising(device)
    matrices, rest = (list(part.values()) for part in split_parameters(task.model))
    optimizers = [
        torch.optim.Muon(matrices, lr=1e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.01, fused=True),
    ]

    def step(index: int) -> None:
        task.loss(None)[0].backward()
        float(torch.nn.utils.clip_grad_norm_([*matrices, *rest], 1.0))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def by_engine(zero: int | None, processes: Processes) -> Callable[[int], None]:
    """A step of ours."""
    config = TrainingConfig(zero=zero, precision="fp32", warmup=0, batch_size=EXAMPLES * processes.count)
    engine = make_engine(Denoising(processes.device), config, processes)

    def step(index: int) -> None:
        engine.run([None], [1 / processes.count])
        engine.update(index)

    return step


def time_steps(rounds: int, device: str) -> None:
    """Called in every process: the first prints a row per variant, as JSON."""
    processes = join_processes(device, group=True)
    variants = {PLAIN if zero is None else f"ZeRO {zero}": by_engine(zero, processes) for zero in STAGES}
    if processes.count == 1:
        variants[BY_HAND] = by_hand(processes.device)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for index in range(rounds + 1):  # the first is not counted
        for name, step in variants.items():
            processes.sum(0.0)
            begun = time.perf_counter()
            step(index)
            if index:
                seconds[name].append(time.perf_counter() - begun)
    for name, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(taken, seconds[PLAIN], strict=True))
        row = {"case": "step", "variant": name, "processes": processes.count, "ratio": ratio}
        if processes.first:
            print(json.dumps({**row, "seconds": statistics.median(taken)}), flush=True)


def rows(script: Path, *words: object, processes: int) -> list[dict[str, Any]]:
    """What a script prints as JSON, run on so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launch, str(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(rounds: int, device: str, counts: tuple[int, ...] = (1, 2), *more: str) -> list[dict[str, Any]]:
    """Every row of both tables; more: words for the toy's script, "all" for every precision."""
    results = []
    for processes in counts:
        with tempfile.TemporaryDirectory() as folder:
            found = rows(AGREEMENT, folder, *more, processes=processes)
        results += [{"case": "deviation", **row} for row in found if row["variant"] == "plain"]
    for processes in counts:
        results += rows(Path(__file__), "--time", "--rounds", rounds, "--device", device, processes=processes)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Both tables, as Markdown."""
    deviations = [row for row in results if row["case"] == "deviation"]
    lines = [
        "| deviation | forward | Muon | 1 process: loss | weights | 2 processes: loss | weights |",
        "| --- | --- | --- | --: | --: | --: | --: |",
    ]
    keys = dict.fromkeys((row["precision"], row["iteration"], row["stage"]) for row in deviations)
    for precision, iteration, stage in sorted(keys, key=lambda key: (key[0] != "fp32", key[1] != "float32")):
        cells = []
        for processes in (1, 2):
            found = [
                row
                for row in deviations
                if (row["precision"], row["iteration"], row["stage"], row["processes"])
                == (precision, iteration, stage, processes)
            ]
            cells += [f"{row[what]:.1e}" if row[what] else "0" for row in found for what in ("loss", "weights")]
        name = PLAIN if stage is None else f"ZeRO {stage}"
        short = {"float32": "fp32", "bfloat16": "bf16"}[iteration]
        lines.append(f"| {name} | {precision} | {short} | " + " | ".join(cells) + " |")
    lines += ["", "| step | 1 process | 2 processes |", "| --- | --: | --: |"]
    steps = [row for row in results if row["case"] == "step"]
    for name in dict.fromkeys(row["variant"] for row in steps):
        found = {row["processes"]: row for row in steps if row["variant"] == name}
        cells = [f"{found[n]['ratio']:.2f}" if n in found else "" for n in (1, 2)]
        if name == PLAIN:
            cells = [f"1 ({found[n]['seconds']:.2f} s)" if n in found else "" for n in (1, 2)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--time", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.time:
        time_steps(asked.rounds, asked.device)
        return
    results = run(asked.rounds, asked.device, (1, 2), "all")
    print(table(results))
    if asked.out:
        content = {"machine": describe_machine(asked.device), "results": results}
        asked.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
