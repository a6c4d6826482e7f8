"""Sampling against what it replaces: frames per second of the tiny model, seconds of one fine step at the paper's sizes, and
the memory that a long stream takes.

    python benchmarks/sampling.py [--device cuda] [--rounds 5] [--cases 0 1] [--evaluations 6] [--out FILE.json]

Opponents: (a) "joint, float32, per cell", this repository at commit 9caa59e: context that attends to targets, a row of shifts
and gates for every cell, everything anew at each of 6 evaluations, the last at time 0; (b) "authors' arrangement": a
row for every token, ordinary torch operations, all keys of the window sorted once a step, 50 evaluations, in float32. Ours:
frozen context, distinct conditions, the precision that is fast here. The tiny model is the shipped one with its own sampler;
all other weights are random, which cost the same.

Frames per second are those of whole chunks, decoding included. A fine step is the last of its schedule; a step's time is
that of reading its context and of so many evaluations, each measured by itself, in turns, medians over rounds. A long stream
is one video of the tiny model, of which the resident memory of the process is noted on its way.
"""

import argparse
import itertools
import json
import mmap
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from dit import forward_per_token
from machine import describe_machine
from torch import Tensor

from millivid.app import VideoPipeline
from millivid.command import autocast
from millivid.diffusion import SIZES, LatentStream, SeededNoise, VideoDiT, VideoDiTConfig, stack_tokens
from millivid.diffusion.conditions import Conditions
from millivid.rollout import make_schedule

WEIGHTS = Path(__file__).parents[1] / "packages/app/src/millivid/app/weights"
STEPS_AUTHORS = 50


@dataclass(frozen=True, kw_only=True)
class FineStep:
    """One fine step of a network at the paper's grids."""

    size: str
    windows: tuple[int, ...]
    history: int


FINE_STEPS = [
    FineStep(size=size, windows=windows, history=history)
    for size in ("S", "B")
    for windows, history in (((1, 4, 8, 16), 256), ((3, 12, 48, 192), 768))
]
BATCHES = (1, 8)
STREAM = (1_000, 2_000, 5_000, 10_000)
"""Frames after which a stream's memory is noted."""


@contextmanager
def a_row_per_cell() -> Iterator[None]:
    """Conditions as at commit 9caa59e."""

    def every(t: Tensor, level: Tensor, action: Tensor | None) -> Conditions:
        flat = None if action is None else action.flatten(0, 1)
        return Conditions(t=t.flatten(), level=level.flatten(), action=flat, row=torch.arange(t.numel()).view(t.shape))

    with patch.object(Conditions, "of", every):
        yield


def as_it_was(ours: VideoPipeline) -> VideoPipeline:
    """A model of the same size that is no more than that of commit 9caa59e, and is sampled as that was."""
    config = replace(ours.model.config, frozen_context=False, coarser_input=False)
    model = VideoDiT(config).eval().to(ours.device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.latent_mean.copy_(ours.model.latent_mean)
    model.latent_std.copy_(ours.model.latent_std)
    info = replace(ours.info, sampling_steps=6, solver="ddim", last_time=0.0)
    return VideoPipeline(ours.tokenizer, model, info, precision="fp32")


def tiny(batch: int, device: str, rounds: int) -> dict[str, Any]:
    """Frames per second of the tiny models, by each variant in turn."""
    ours = VideoPipeline.from_pretrained(WEIGHTS / "millivid", WEIGHTS / "tokenizer").to(device)
    before = as_it_was(ours)
    exact = VideoPipeline(ours.tokenizer, ours.model, ours.info, precision="fp32")
    compiled = VideoPipeline.from_pretrained(WEIGHTS / "millivid", WEIGHTS / "tokenizer").to(device)
    compiled.compile()
    chunk = before.schedule.chunk(before.model.config.tokens_per_level)
    context = torch.rand(batch, before.num_context_frames, 3, *before.tokenizer.config.image_size)
    length = context.shape[1] + chunk.num_kept_frames * (rounds + 1)
    actions = torch.randint(0, 3, (batch, length), generator=torch.Generator().manual_seed(0))

    def stream(who: VideoPipeline) -> LatentStream:
        return who.latents(context, actions, who.sampler(), SeededNoise(range(batch)))

    streams = {
        "joint, float32, per cell": (before, stream(before), a_row_per_cell),
        "frozen context, float32": (exact, stream(exact), nullcontext),
        "ours": (ours, stream(ours), nullcontext),
        "ours, compiled": (compiled, stream(compiled), nullcontext),
    }
    times: dict[str, list[float]] = {name: [] for name in streams}
    first: dict[str, float] = {}
    for number in range(rounds + 1):  # the first warms up
        for name, (who, frames, how) in streams.items():
            start = time.perf_counter()
            with how():
                for _, made in who.decoded(frames.next_chunk() or ()):
                    if number == 1 and made.shape[1] and name not in first:
                        first[name] = time.perf_counter() - start
            if number:
                times[name].append(time.perf_counter() - start)
    count = batch * chunk.num_kept_frames
    seconds = {name: statistics.median(values) for name, values in times.items()}
    opponent = seconds["joint, float32, per cell"]
    return {
        "case": f"tiny, batch {batch}",
        "rows": {
            name: {"frames_per_second": count / value, "faster": opponent / value, "first_frame": first[name]}
            for name, value in seconds.items()
        },
    }


def long_stream(device: str, noted: Sequence[int] = STREAM) -> dict[str, Any]:
    """Resident memory of the process after so many frames of one stream, whose actions come one by one."""
    pipeline = VideoPipeline.from_pretrained(WEIGHTS / "millivid", WEIGHTS / "tokenizer").to(device)
    context = torch.rand(1, pipeline.num_context_frames, 3, *pipeline.tokenizer.config.image_size)
    actions = (torch.tensor([frame // 7 % 3]) for frame in itertools.count())
    done, start, rows = 0, time.perf_counter(), {}
    for frames in pipeline.stream(context, actions, seed=0):
        done += frames.shape[1]
        if done >= noted[len(rows)]:
            rows[f"{noted[len(rows)]:,} frames"] = {"memory": resident(), "seconds_in_all": time.perf_counter() - start}
        if len(rows) == len(noted):
            break
    return {"case": "tiny, one stream", "rows": rows}


def resident() -> float:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * float(mmap.PAGESIZE)


def fine_step(case: FineStep, steps: int, device: str, rounds: int) -> dict[str, Any]:
    """Seconds of one fine step by the authors' arrangement and by ours, at as many evaluations and at fewer."""
    torch.manual_seed(0)
    model = VideoDiT(VideoDiTConfig(**SIZES[case.size], frozen_context=True)).eval().to(device)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    chunk = make_schedule("millivid", windows=case.windows, history=case.history).chunk(model.config.tokens_per_level)
    tokens = stack_tokens([model.tokens_of(chunk.steps[-1])])
    cells, channels = tokens.cell_level.shape, model.config.latent_channels
    x = torch.randn(*tokens.level.shape, channels, device=device)
    action = torch.randint(0, 3, cells)
    on_device = tokens.to(device)
    per_token = torch.rand(cells).gather(1, tokens.cell).to(device), action.gather(1, tokens.cell).to(device)
    places = sum(chunk.num_frames * height * width for height, width in model.config.grids)
    keys = (torch.rand(1, places, device=device) < 0.1).long()
    context, targets = tokens.split()
    seen, noise = context.of_tokens(x), targets.of_tokens(x)
    read = [model.read_context(seen, *model.prepare(context, torch.tensor(0.0), action, None))]
    asked, placed = model.prepare(targets, torch.tensor(0.5), action, None)

    def reads() -> None:
        read[0] = model.read_context(seen, *model.prepare(context, torch.tensor(0.0), action, None))

    calls: dict[str, tuple[str, Callable[[], object]]] = {
        "sorting": ("fp32", lambda: torch.argsort(1 - keys, dim=1, stable=True)),
        "whole": ("fp32", lambda: forward_per_token(model, x, per_token[0], on_device, per_token[1])),
        "read": ("auto", reads),
        "targets": ("auto", lambda: model.predict(noise, asked, placed, read[0])),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, (precision, call) in calls.items():
                start = time.perf_counter()
                with autocast(device, precision):
                    call()
                if device == "cuda":
                    torch.cuda.synchronize()
                if number:
                    times[name].append(time.perf_counter() - start)
    second = {name: statistics.median(values) for name, values in times.items()}
    authors = second["sorting"] + STEPS_AUTHORS * second["whole"]
    rows = {f"authors' arrangement, {STEPS_AUTHORS} evaluations": {"seconds": authors, "ratio": 1.0}}
    for count in (STEPS_AUTHORS, steps):
        ours = second["read"] + count * second["targets"]
        arithmetic = _operations(model, tokens.level.shape[1], targets.token.shape[1], count)
        whole = STEPS_AUTHORS * _operations(model, tokens.level.shape[1], tokens.level.shape[1], 1, reads=False)
        rows[f"ours, {count} evaluations"] = {
            "seconds": ours,
            "ratio": ours / authors,
            "by_arithmetic": arithmetic / whole,
        }
    return {"case": f"DiT-{case.size}, {tokens.level.shape[1]:,} tokens", "parts": second, "rows": rows}


def _operations(model: VideoDiT, tokens: int, targets: int, evaluations: int, reads: bool = True) -> float:
    """Multiplications of a rollout step's blocks, conditions aside: linear layers and attention."""
    d = model.config.width

    def block(queries: int, keys: int) -> float:
        return queries * 12 * d * d + 2 * queries * keys * d

    context = block(tokens - targets, tokens - targets) if reads else 0
    return model.config.depth * (context + evaluations * block(targets, tokens))


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown: frames per second, then single steps, then memory."""
    rows = [(result["case"], name, row) for result in results for name, row in result["rows"].items()]
    videos = [
        f"| {case} | {name} | {row['frames_per_second']:.1f} | {row['faster']:.2f} | {row['first_frame']:.2f} s |"
        for case, name, row in rows
        if "frames_per_second" in row
    ]
    steps = [
        f"| {case} | {name} | {row['seconds']:.3g} s | {row['ratio']:.3f} | {row.get('by_arithmetic', 1):.3f} |"
        for case, name, row in rows
        if "seconds" in row
    ]
    memory = [
        f"| {case} | {name} | {row['memory'] / 1e6:.0f} MB | {row['seconds_in_all']:.0f} s |"
        for case, name, row in rows
        if "memory" in row
    ]
    of_videos = ["| case | variant | frames/s | times (a) | first frame |", "| --- | --- | --: | --: | --: |", *videos]
    of_steps = ["| case | variant | a step | ratio | by arithmetic |", "| --- | --- | --: | --: | --: |", *steps]
    of_memory = ["| case | after | resident memory | time |", "| --- | --: | --: | --: |", *memory]
    return "\n\n".join("\n".join(part) for part in (of_videos, of_steps, of_memory) if len(part) > 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=5, help="of our fine steps, beside 50")
    parser.add_argument(
        "--cases", type=int, nargs="*", help="which, by number: the tiny model's batches, fine steps, a long stream"
    )
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    cases: list[Callable[[], dict[str, Any]]] = [
        *(lambda batch=batch: tiny(batch, words.device, words.rounds) for batch in BATCHES),
        *(lambda case=case: fine_step(case, words.evaluations, words.device, words.rounds) for case in FINE_STEPS),
        lambda: long_stream(words.device),
    ]
    results = [cases[number]() for number in words.cases or range(len(cases))]
    print(table(results))
    if words.out:
        about = {"machine": describe_machine(words.device), "results": results}
        words.out.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
