"""Time and peak memory of the video model: conditioning per cell against per token, copies of targets against examples.

    python benchmarks/dit.py [--device cuda] [--rounds 5] [--cases 0 1] [--out benchmarks/results/dit.json]

The opponent, `forward_per_token`, arranges the conditioning as the authors' code does, of ordinary torch operations. The
opponent of several copies of the targets per context is as many examples, whose contexts are equal. All variants of a case
take turns in one process, on the finest step of a schedule, for up to `rounds` rounds or one minute. A ratio is the median
over rounds of variant / opponent in that round; memory is the most that one call holds beyond weights and inputs. Prints a
Markdown table, and writes the figures as JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from torch.profiler import profile

from millivid.diffusion import (
    SIZES,
    Draws,
    TokenBatch,
    VideoDiT,
    VideoDiTConfig,
    diffusion_loss,
    draw,
    stack_tokens,
)
from millivid.rollout import make_schedule

sys.path.append(str(Path(__file__).parents[1] / "packages/diffusion/tests"))
from per_token import forward_per_token

Call = Callable[[], torch.Tensor]
TOLERANCE = {"float32": {"atol": 1e-4, "rtol": 1e-4}, "bfloat16": {"atol": 0.1, "rtol": 0.1}}
PATIENCE = 60.0
"""Seconds after which no further round of a case is begun."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model's size, a MilliVid schedule, a type to compute in, and whether a backward pass follows.

    copies: of the targets, per context.
    """

    size: str
    windows: tuple[int, ...]
    history: int
    training: bool
    dtype: str
    copies: int = 1

    @property
    def title(self) -> str:
        passes = "forward + backward" if self.training else "forward"
        kind = "fp32" if self.dtype == "float32" else "bf16"
        return f"DiT-{self.size} {passes}, {kind}" + (f", {self.copies} targets" if self.copies > 1 else "")


CASES = [
    Case(size=size, windows=windows, history=history, training=training, dtype=dtype)
    for size, windows, history, training in (
        ("S", (1, 4, 8, 16), 256, True),
        ("B", (1, 4, 8, 16), 256, False),
        ("B", (3, 12, 48, 192), 768, False),
    )
    for dtype in ("float32", "bfloat16")
] + [
    Case(size="S", windows=windows, history=history, training=True, dtype="float32", copies=4)
    for windows, history in (((1, 4, 8, 16), 256), ((3, 12, 48, 192), 768))
]


def variants(case: Case, device: str) -> tuple[dict[str, Call], dict[str, Any]]:
    """A call per variant, the opponent first, and what is known of the case without running it."""
    torch.manual_seed(0)
    model = VideoDiT(VideoDiTConfig(**SIZES[case.size], frozen_context=case.copies > 1)).to(device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    chunk = make_schedule("millivid", windows=case.windows, history=case.history).chunk(model.config.tokens_per_level)
    tokens = stack_tokens([model.tokens_of(chunk.steps[-1])]).to(device)
    num_tokens, num_cells = tokens.level.shape[1], tokens.cell_level.shape[1]
    x = torch.randn(1, num_tokens, model.config.latent_channels, device=device)
    t, action = torch.rand(1, num_cells, device=device), torch.randint(0, 3, (1, num_cells), device=device)
    about: dict[str, Any] = {"tokens": num_tokens, "cells": num_cells}
    if case.copies > 1:
        losses = copies_and_examples(model, x, tokens, action, case.copies)
        targets = int(tokens.is_target.sum())
        together = multiplications(model, num_tokens - targets, num_tokens - targets, 0)
        together += multiplications(model, case.copies * targets, num_tokens, 0)
        apart = case.copies * multiplications(model, num_tokens, num_tokens, 0)
        about["ratio_by_arithmetic"] = together / apart
        return {name: ready(loss, case, model, device) for name, loss in losses.items()}, about
    token_t, token_action = t.gather(1, tokens.cell), action.gather(1, tokens.cell)
    compiled, compiled_per_token = (torch.compile(f, dynamic=False) for f in (model, forward_per_token))
    forwards = {
        "per token": lambda: forward_per_token(model, x, token_t, tokens, token_action),
        "per cell": lambda: model(x, t, tokens, action),
        "per token, compiled": lambda: compiled_per_token(model, x, token_t, tokens, token_action),
        "per cell, compiled": lambda: compiled(x, t, tokens, action),
    }

    by_cell, by_token = (multiplications(model, num_tokens, num_tokens, n) for n in (num_cells, num_tokens))
    about["ratio_by_arithmetic"] = by_cell / by_token
    return {name: ready(forward, case, model, device) for name, forward in forwards.items()}, about


def copies_and_examples(
    model: VideoDiT, x: torch.Tensor, tokens: TokenBatch, action: torch.Tensor, copies: int
) -> dict[str, Call]:
    """The loss of several copies of an example's targets, and of as many examples, the opponent, which comes first."""
    draws = draw(x, 0.0, copies=copies)
    examples = Draws(t=draws.t[0], dropped=draws.dropped.expand(copies), eps=draws.eps[0])
    several = x.expand(copies, -1, -1), tokens.expand(copies), action.expand(copies, -1)
    return {
        f"{copies} examples": lambda: diffusion_loss(model, *several, examples)[0],
        f"{copies} copies of the targets": lambda: diffusion_loss(model, x, tokens, action, draws)[0],
    }


def ready(forward: Call, case: Case, model: VideoDiT, device: str) -> Call:
    """A pass of a case, forward and perhaps backward."""

    def run() -> torch.Tensor:
        autocast = torch.autocast(device, torch.bfloat16, enabled=case.dtype == "bfloat16")
        with torch.set_grad_enabled(case.training), autocast:
            out = forward()
        if case.training:
            out.float().square().mean().backward()
            model.zero_grad(set_to_none=True)
        return out.detach()

    return run


def multiplications(model: VideoDiT, num_tokens: int, seen: int, num_conditions: int) -> int:
    """Of a forward pass through the blocks: linear layers, attention, and six modulations for every condition."""
    d = model.config.width
    return model.config.depth * (num_tokens * (12 * d * d + 2 * seen * d) + num_conditions * 6 * d * d)


def seconds(call: Call, device: str) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_bytes(call: Call, device: str) -> int:
    """The most that tensors made during one call take up at a time."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = [event for event in json.loads(path.read_text())["traceEvents"] if event["name"] == "[memory]"]
    events.sort(key=lambda event: event["ts"])
    before = events[0]["args"]["Total Allocated"] - events[0]["args"]["Bytes"]
    return max(event["args"]["Total Allocated"] for event in events) - before


def measure(case: Case, device: str, rounds: int) -> dict[str, Any]:
    """Seconds and bytes of every variant, and their ratios to the opponent's."""
    torch._dynamo.reset()  # else a case is compiled for shapes that vary, because another one had others
    calls, about = variants(case, device)
    opponent = next(iter(calls))
    outputs = {name: call().float() for name, call in calls.items()}  # compiles, and warms the caches
    for out in outputs.values():
        torch.testing.assert_close(out, outputs[opponent], **TOLERANCE[case.dtype])
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.monotonic()
    while len(times[opponent]) < rounds and (not times[opponent] or time.monotonic() - start < PATIENCE):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    peaks = {name: peak_bytes(call, device) for name, call in calls.items()}
    rows = {
        name: {
            "seconds": statistics.median(times[name]),
            "time_ratio": statistics.median(a / b for a, b in zip(times[name], times[opponent], strict=True)),
            "peak_bytes": peaks[name],
            "memory_ratio": peaks[name] / peaks[opponent],
        }
        for name in calls
    }
    return {"case": case.title, **about, "rounds": len(times[opponent]), "variants": rows}


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| case | tokens | cells | rounds | ratio by arithmetic | variant | time | ratio | peak memory | ratio |",
        "| --- | --: | --: | --: | --: | --- | --: | --: | --: | --: |",
    ]
    for result in results:
        head = f"| {result['case']} | {result['tokens']} | {result['cells']} | {result['rounds']} "
        head += f"| {result['ratio_by_arithmetic']:.2f} "
        for name, row in result["variants"].items():
            lines.append(
                f"{head}| {name} | {row['seconds']:.3f} s | {row['time_ratio']:.2f} "
                f"| {row['peak_bytes'] / 1e6:.0f} MB | {row['memory_ratio']:.2f} |"
            )
            head = "| | | | | "
    return "\n".join(lines)


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))), choices=range(len(CASES)))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine, results = describe_machine(options.device), []
    for index in options.cases:
        print(CASES[index].title, file=sys.stderr)
        results.append(measure(CASES[index], options.device, options.rounds))
    print(table(results), json.dumps(machine), sep="\n\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
