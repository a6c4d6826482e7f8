"""The operations of millivid-kernels against torch, torch.compile, and a plain copy of the bytes they move.

    python benchmarks/kernels.py [--device cuda] [--dtype float32] [--batches 1 8 48] [--out benchmarks/results/x.json]

At the paper's shapes: the finest step of windows 3, 12, 48, 192 (3840 tokens in 258 cells), width 768, heads of 64 numbers,
32 channels. Each operation takes turns with its torch version, the same compiled by torch.compile, and the floor: a copy
that reads and writes as many bytes as the operation has to. For packing, what is compiled is plain indexing that checks
nothing, and a fourth opponent, our rendition of the authors' code, sorts the keys of all tokens of the window at every step.
"In a block" is a whole DiT-B block, with the operations and with their torch versions, eager and compiled. A ratio is the
median over rounds of variant / operation in that round. Prints a Markdown table, and writes the figures as JSON.
"""

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from machine import describe_machine
from torch import Tensor

from millivid.diffusion import stack_tokens, transformer
from millivid.kernels import modulation, pack_tokens, status, unpack_tokens_
from millivid.kernels.library import TORCH
from millivid.rollout import make_schedule

Call = Callable[[], Any]
TOKENS_PER_LEVEL, GRIDS, CHANNELS = (256, 64, 16, 4), ((16, 16), (8, 8), (4, 4), (2, 2)), 32
PATIENCE = 20.0
"""Seconds after which no further round of a case is begun."""


@dataclass(frozen=True)
class Sizes:
    """What changes between a run of the benchmark and a test of it."""

    windows: tuple[int, ...] = (3, 12, 48, 192)
    history: int = 768
    width: int = 768
    heads: int = 12


@dataclass(frozen=True)
class Case:
    """An operation, its opponents, and the bytes that it has to read and write."""

    name: str
    calls: dict[str, Call]
    bytes: int


def size(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False, fullgraph=True)


def rows_of_cells(tokens: Any, batch: int, device: str) -> Tensor:
    """Each token's row in a table of the whole batch's cells."""
    cells = tokens.cell_level.shape[1]
    return (tokens.cell + cells * torch.arange(batch).unsqueeze(1)).flatten().to(device)


def block_cases(batch: int, sizes: Sizes, tokens: Any, device: str, dtype: torch.dtype) -> Iterator[Case]:
    """The operations of a block, one forward or backward pass at a time."""
    length, cells, d = tokens.level.shape[1], tokens.cell_level.shape[1], sizes.width
    row = rows_of_cells(tokens, batch, device)
    x, y = (torch.randn(batch, length, d, device=device, dtype=dtype) for _ in range(2))
    shift, scale, gate = torch.randn(batch, cells, 3 * d, device=device, dtype=dtype).chunk(3, dim=-1)
    table = size(scale)
    arguments: dict[str, tuple[tuple[Any, ...], int]] = {
        "modulated_layer_norm": ((x, shift, scale, row, 1e-6), 2 * size(x) + 2 * table + size(row)),
        "modulated_layer_norm_backward": (
            (y, x, scale, row, 1e-6),
            3 * size(x) + 3 * table + size(row),
        ),
        "gated_residual": ((x, y, gate, row), 3 * size(x) + table + size(row)),
        "gated_residual_backward": ((x, y, gate, row), 3 * size(x) + 2 * table + size(row)),
    }
    for name, (inputs, moved) in arguments.items():
        op, plain = getattr(torch.ops.millivid, name), TORCH[name]
        calls = {"op": op, "torch": plain, "torch.compile": compiled(plain)}
        yield Case(name, {key: functools.partial(call, *inputs) for key, call in calls.items()}, moved)


def packing_cases(batch: int, frames: int, tokens: Any, device: str, dtype: torch.dtype) -> Iterator[Case]:
    """A step's packing, the unpacking of its targets, and both."""
    stores = [torch.randn(batch, frames, *grid, CHANNELS, device=device, dtype=dtype) for grid in GRIDS]
    columns = [part.to(device) for part in (tokens.level, tokens.frame, tokens.row, tokens.column)]
    write = tokens.is_target.to(device)
    length, marked = columns[0].shape[1], int(write.sum())
    packed = torch.randn(batch, length, CHANNELS, device=device, dtype=dtype)
    token, index = size(packed) // length, size(*columns)
    parts = [torch.where(columns[0][0] == level)[0] for level in range(len(stores))]
    order = torch.cat(parts).argsort()
    written = [torch.where((columns[0][0] == level) & write[0])[0] for level in range(len(stores))]

    def places(at: Tensor) -> tuple[Tensor, ...]:
        return tuple(part[0, at] for part in columns[1:])

    there, targets = [places(at) for at in parts], [places(at) for at in written]

    def plain_pack() -> Tensor:
        every = zip(stores, there, strict=True)
        return torch.cat([store[:, f, r, c] for store, (f, r, c) in every], dim=1)[:, order]

    def plain_unpack() -> None:
        for store, at, (f, r, c) in zip(stores, written, targets, strict=True):
            store[:, f, r, c] = packed[:, at]

    key_of_place = [
        torch.arange(frames * h * w, device=device) + sum(frames * a * b for a, b in GRIDS[:level])
        for level, (h, w) in enumerate(GRIDS)
    ]
    wanted = torch.zeros(sum(map(len, key_of_place)), dtype=torch.int64, device=device)
    start = torch.tensor([int(keys[0]) for keys in key_of_place], device=device)
    height, width = (torch.tensor([grid[axis] for grid in GRIDS], device=device) for axis in (0, 1))
    level, frame, row, column = (part[0] for part in columns)
    place = start[level] + (frame * height[level] + row) * width[level] + column
    wanted[place] = 1

    def sort_and_move() -> Tensor:
        """Every video's keys sorted so that the chosen tokens come first, gathered, and all scattered back."""
        whole = torch.cat([store.flatten(1, 3) for store in stores], dim=1)
        order = torch.argsort(1 - wanted.expand(batch, -1), dim=1, stable=True)
        chosen = order[:, :length].unsqueeze(-1).expand(-1, -1, CHANNELS)
        sequence = whole.gather(1, chosen)
        return whole.scatter_(1, chosen, sequence)

    read, wrote = 2 * token * length + index, 2 * token * marked + index + size(write)
    pack, unpack = (lambda: pack_tokens(stores, *columns)), (lambda: unpack_tokens_(stores, packed, *columns, write))
    torch_pack = functools.partial(TORCH["pack_tokens"], stores, *columns)
    torch_unpack = functools.partial(TORCH["unpack_tokens_"], stores, packed, *columns, write)
    yield Case("pack_tokens", {"op": pack, "torch": torch_pack, "torch.compile": compiled(plain_pack)}, read)
    yield Case("unpack_tokens_", {"op": unpack, "torch": torch_unpack, "torch.compile": compiled(plain_unpack)}, wrote)
    yield Case(
        "pack_tokens + unpack_tokens_",
        {"op": lambda: (pack(), unpack()), "sorting all keys": sort_and_move},
        read + wrote,
    )


@contextmanager
def torch_versions() -> Iterator[None]:
    """Blocks call the torch versions, which have no backward pass here."""

    def first(name: str) -> Callable[..., Tensor]:
        def call(*inputs: Any) -> Tensor:
            return TORCH[name](*inputs, *((1e-6,) if "norm" in name else ()))

        return call

    names = ("modulated_layer_norm", "gated_residual")
    with patch.multiple(transformer, **{name: first(name) for name in names}):
        yield


def operations_in_graphs() -> Any:
    """Compiled models call the operations, where they otherwise take what torch.compile makes of the reference."""
    return patch.object(modulation.torch.compiler, "is_compiling", lambda: False)


def block_in_use(batch: int, sizes: Sizes, tokens: Any, device: str, dtype: torch.dtype) -> Iterator[Case]:
    """A whole block, where the operations meet matrix products and attention."""
    block = transformer.Block(sizes.width, sizes.heads).to(device, dtype)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    length, cells = tokens.level.shape[1], tokens.cell_level.shape[1]
    x = torch.randn(batch, length, sizes.width, device=device, dtype=dtype, requires_grad=True)
    c = torch.randn(batch * cells, sizes.width, device=device, dtype=dtype)
    row = rows_of_cells(tokens, batch, device)

    def forward(run: Callable[..., Tensor], context: Callable[[], Any] = nullcontext) -> Call:
        def call() -> Tensor:
            with torch.no_grad(), context():
                return run(x, c, row)

        return call

    def both(run: Callable[..., Tensor], context: Callable[[], Any] = nullcontext) -> Call:
        def call() -> Tensor:
            x.grad = None
            with context():
                run(x, c, row).square().mean().backward()
            return x.grad

        return call

    graph, with_operations = torch.compile(block, dynamic=False), torch.compile(_Same(block), dynamic=False)
    eager, inside = ("op", "op, compiled block"), operations_in_graphs
    yield Case(
        "in a block, forward",
        {
            eager[0]: forward(block),
            "torch": forward(block, torch_versions),
            "torch.compile": forward(graph),
            eager[1]: forward(with_operations, inside),
        },
        0,
    )
    yield Case(
        "in a block, forward + backward",
        {eager[0]: both(block), "torch.compile": both(graph), eager[1]: both(with_operations, inside)},
        0,
    )


class _Same(torch.nn.Module):
    """A module under another name, since torch.compile keeps its graphs by function."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*inputs)


def seconds(call: Call, device: str, times: int = 1) -> float:
    """Wall time of one call, of which so many follow one another."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times


def repeats(call: Call, device: str) -> int:
    """How often a short call is timed at once, so that one timing takes ten milliseconds."""
    call()
    return max(1, min(200, int(0.01 / seconds(call, device))))


def check_alike(case: Case) -> None:
    """Raise unless all variants compute the same."""
    expected = case.calls["op"]()
    for name, call in case.calls.items():
        found = call()
        if isinstance(found, Tensor | tuple) and name not in ("op", "sorting all keys"):
            torch.testing.assert_close(
                found, expected, atol=1e-2, rtol=1e-2, msg=lambda text, name=name: f"{name}: {text}"
            )


def measure(case: Case, batch: int, device: str, rounds: int) -> dict[str, Any]:
    """Seconds of every variant, and their ratios to the operation's."""
    check_alike(case)
    calls = dict(case.calls)
    if case.bytes:
        buffer = torch.ones(case.bytes // 2, dtype=torch.uint8, device=device)
        calls["copy"] = buffer.clone
    times: dict[str, list[float]] = {name: [] for name in calls}
    loops = {name: repeats(call, device) for name, call in calls.items()}  # compiles, and warms the caches
    start = time.monotonic()
    while len(times["op"]) < rounds and (len(times["op"]) < 3 or time.monotonic() - start < PATIENCE):
        for name, call in calls.items():
            times[name].append(seconds(call, device, loops[name]))
    rows = {
        name: {
            "seconds": statistics.median(times[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], times["op"], strict=True)),
        }
        for name in calls
    }
    return {"case": case.name, "batch": batch, "rounds": len(times["op"]), "bytes": case.bytes, "variants": rows}


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown: the operation's time, and the others' as multiples of it."""
    columns = ["torch", "torch.compile", "copy"]
    lines = [
        "| operation | batch | time | torch | torch.compile | copy | others |",
        "| --- | --: | --: | --: | --: | --: | --- |",
    ]
    for result in results:
        rows = result["variants"]
        cells = [f"{rows[name]['ratio']:.2f}" if name in rows else "" for name in columns]
        others = [f"{name} {row['ratio']:.2f}" for name, row in rows.items() if name not in ("op", *columns)]
        milliseconds = 1e3 * rows["op"]["seconds"]
        lines.append(
            f"| {result['case']} | {result['batch']} | {milliseconds:.3g} ms | {' | '.join(cells)} | {', '.join(others)} |"
        )
    return "\n".join(lines)


def run(batches: list[int], device: str, dtype: torch.dtype, rounds: int, sizes: Sizes) -> list[dict[str, Any]]:
    """Measure every case at every batch size."""
    chunk = make_schedule("millivid", windows=sizes.windows, history=sizes.history).chunk(TOKENS_PER_LEVEL)
    tokens = stack_tokens([chunk.steps[-1].tokens(GRIDS)])
    results = []
    for batch in batches:
        torch.manual_seed(0)
        groups = [
            packing_cases(batch, chunk.num_frames, tokens, device, dtype),
            block_cases(batch, sizes, tokens, device, dtype),
            block_in_use(batch, sizes, tokens, device, dtype) if batch == 1 else (),
        ]
        for group in groups:
            for case in group:
                torch._dynamo.reset()  # else a case is compiled for shapes that vary, because another one had others
                print(f"{case.name}, batch {batch}", file=sys.stderr)
                results.append(measure(case, batch, device, rounds))
    return results


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 48])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--windows", type=int, nargs="+", default=list(Sizes.windows))
    parser.add_argument("--history", type=int, default=Sizes.history)
    parser.add_argument("--width", type=int, default=Sizes.width)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sizes = Sizes(tuple(options.windows), options.history, options.width, max(1, options.width // 64))
    machine = describe_machine(options.device) | {"dtype": options.dtype, "kernels": str(status())}
    results = run(options.batches, options.device, getattr(torch, options.dtype), options.rounds, sizes)
    print(table(results), json.dumps(machine), sep="\n\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
