"""Training examples from disk, against other ways of reading them: time, bytes, and the processor cores that training needs.

    python benchmarks/loader.py [--rounds 9] [--examples 192] [--videos 64] [--out benchmarks/results/loader-x.json]

Video model: a step of the paper's schedule (windows 3, 12, 48, 192: 3,840 tokens of 32 channels) in a window of 447 frames, of
generated latents in a temporary folder (64 videos of 1,024 frames, 3.4 GB). Ours is `WindowExamples`, as training runs it. Its
opponents are the same but for what they read: the whole window of all levels, packed afterwards; and our rendition of a
reader of the release's `.pyramid` layout, which for each frame reads what its finest level in the step begins with, coarser
levels and action included, as bfloat16. Once with the files in the system's cache, and once with them dropped from it.

Tokenizer: random frames of videos that the voxel world recorded, 256x256, by `FrameExamples` as in training, against decoding a
whole video for one frame, and for all of its frames.

One process, one thread. All ways of a case take turns, with the same draws; a ratio is the median over rounds of way / ours
in that round. Prints a Markdown table, and writes the figures as JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from machine import describe_machine
from numpy.typing import NDArray

from millivid.data import RELEASED_COLUMNS, ClipDataset, LatentDataset, LatentWriter
from millivid.data_gen import RecordConfig, VoxelConfig, record
from millivid.diffusion.windows import WindowBatch, WindowExamples
from millivid.kernels import pack_tokens
from millivid.rollout import StepTokens, make_schedule
from millivid.tokenizer.frames import FrameExamples

TOKENS_PER_LEVEL, GRIDS, CHANNELS = (256, 64, 16, 4), ((16, 16), (8, 8), (4, 4), (2, 2)), 32
OURS = "ours"
GPUS = 8
BATCH = {"video model": 48, "tokenizer": 224}
"""Examples per GPU and step, in the paper."""
STEP_SECONDS = {"video model": 0.9, "tokenizer": 0.675}
"""Of the paper's runs on 8 H200: 192,000 steps in about two days, 128,000 in about one."""

Call = Callable[[int], None]
"""Reads so many examples, the same ones in the same round."""


@dataclass(frozen=True)
class Sizes:
    """What changes between a run of the benchmark and a test of it."""

    windows: tuple[int, ...] = (3, 12, 48, 192)
    history: int = 768
    videos: int = 64
    frames: int = 1024
    examples: int = 192
    clips: int = 4
    clip_frames: int = 512
    clip_size: tuple[int, int] = (256, 256)


def make_latents(folder: Path, sizes: Sizes) -> None:
    """The same latents as a dataset and as `.pyramid` files; every value is one of bfloat16 and of float16."""
    writer = LatentWriter(
        folder, fps=20, action_names=["a", "b", "c"], grids=GRIDS, channels=CHANNELS, tokenizer={"fingerprint": "none"}
    )
    rng, ids = np.random.default_rng(0), [f"v{index:03d}" for index in range(sizes.videos)]
    for video in ids:
        levels = [
            (rng.integers(-128, 129, (sizes.frames, *grid, CHANNELS), np.int16) / np.float32(128)) for grid in GRIDS
        ]
        actions = rng.integers(0, 3, sizes.frames)
        writer.write(video, levels, actions, np.zeros((sizes.frames, 5), np.float32))
        columns = np.zeros((sizes.frames, len(RELEASED_COLUMNS)), "<f4")
        columns[:, 0] = actions
        halves = [
            (level.transpose(0, 3, 1, 2).reshape(sizes.frames, -1).view(np.uint32) >> 16).astype("<u2").view(np.uint8)
            for level in levels
        ]
        with open(folder / f"{video}.pyramid", "wb") as file:
            for start in range(len(GRIDS)):
                np.concatenate([*halves[start:], columns.view(np.uint8)], axis=1).tofile(file)
    writer.finish({"train": ids})


class WholeWindow:
    """Reads all levels of all frames, as float32, and then takes the step's tokens."""

    def __init__(self, step: StepTokens, frames: int) -> None:
        self.frames = frames
        self.columns = [
            torch.tensor(part, dtype=torch.int64).unsqueeze(0)
            for part in (step.level, step.frame, step.row, step.column)
        ]

    def read(self, dataset: LatentDataset, video: str, start: int) -> NDArray[np.float32]:
        stores = [
            torch.from_numpy(dataset.read(video, level, start, start + self.frames)).float().unsqueeze(0)
            for level in range(len(GRIDS))
        ]
        return pack_tokens(stores, *self.columns)[0].numpy()


class PyramidDataset(LatentDataset):
    """The same index, and the actions that came with the frames read last."""

    seen: NDArray[np.int64]

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        return self.seen


class Pyramid:
    """Reads frames of the `.pyramid` layout from the section that begins with their finest level in the step."""

    def __init__(self, step: StepTokens, frames: int, video_frames: int) -> None:
        self.frames, self.video_frames = frames, video_frames
        self.sizes = [2 * CHANNELS * height * width for height, width in GRIDS]
        finest = np.full(frames, len(GRIDS))
        np.minimum.at(finest, step.frame, step.level)
        breaks = np.flatnonzero(np.diff(finest)) + 1
        runs = [run for run in np.split(np.arange(frames), breaks) if finest[run[0]] < len(GRIDS)]
        seen = [np.unique(step.frame[step.level == level]) for level in range(len(GRIDS))]
        counts = [len(part) * height * width for part, (height, width) in zip(seen, GRIDS, strict=True)]
        self.begins, self.num_tokens = np.cumsum([0, *counts]), len(step)
        # Per run: its section, its frames, and per level which of them the step sees and where they go.
        self.runs = [
            (
                int(finest[run[0]]),
                int(run[0]),
                int(run[-1]) + 1,
                [
                    (level, np.isin(run, part), np.searchsorted(part, run[np.isin(run, part)]))
                    for level, part in enumerate(seen)
                    if np.isin(run, part).any()
                ],
            )
            for run in runs
        ]

    def frame_bytes(self, section: int) -> int:
        return sum(self.sizes[section:]) + 4 * len(RELEASED_COLUMNS)

    def read(self, dataset: PyramidDataset, video: str, start: int) -> NDArray[np.float32]:
        file = opened(str(dataset.folder / f"{video}.pyramid"))
        out = np.empty((self.num_tokens, CHANNELS), np.float32)
        dataset.seen = np.zeros(self.frames, np.int64)
        for section, first, stop, parts in self.runs:
            stride = self.frame_bytes(section)
            offset = self.video_frames * sum(map(self.frame_bytes, range(section))) + (start + first) * stride
            raw = np.frombuffer(os.pread(file, (stop - first) * stride, offset), np.uint8).reshape(-1, stride)
            dataset.seen[first:stop] = np.ascontiguousarray(raw[:, -4 * len(RELEASED_COLUMNS) :]).view("<f4")[:, 0]
            for level, mask, places in parts:
                begin, (height, width) = sum(self.sizes[section:level]), GRIDS[level]
                chosen = raw[:, begin : begin + self.sizes[level]]
                half = np.ascontiguousarray(chosen if mask.all() else chosen[mask]).view("<u2")
                values = (half.astype(np.uint32) << 16).view(np.float32).reshape(-1, CHANNELS, height, width)
                level_out = out[self.begins[level] : self.begins[level + 1]].reshape(-1, height, width, CHANNELS)
                level_out[places] = values.transpose(0, 2, 3, 1)
        return out


@cache
def opened(path: str) -> int:
    """A file's descriptor; files stay open, which is more than ours does."""
    return os.open(path, os.O_RDONLY)


def keep_in_cache(folder: Path) -> None:
    """Read all files once."""
    for path in [*folder.glob("latents/*"), *folder.glob("*.pyramid")]:
        path.read_bytes()


def drop_from_cache(folder: Path) -> None:
    """Make the system forget the files' content, so that it comes from the disk."""
    for path in [*folder.glob("latents/*"), *folder.glob("*.pyramid")]:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make_examples(folder: Path, sizes: Sizes) -> dict[str, WindowExamples]:
    """Ours, and opponents that differ in what they read."""
    chunk = make_schedule("millivid", windows=sizes.windows, history=sizes.history).chunk(TOKENS_PER_LEVEL)
    tokens = [step.tokens(GRIDS) for step in chunk.steps]
    plain, pyramid = LatentDataset(folder), PyramidDataset(folder)
    every = {
        name: WindowExamples(dataset, chunk, tokens, context_dropout=0.1, odometry=None)
        for name, dataset in ((OURS, plain), ("whole window, then packed", plain), ("`.pyramid` layout", pyramid))
    }
    whole, released = list(every.values())[1:]
    whole.reads = [WholeWindow(step, chunk.num_frames) for step in tokens]  # type: ignore[misc]
    released.reads = [Pyramid(step, chunk.num_frames, sizes.frames) for step in tokens]  # type: ignore[misc]
    return every


def batch_of(examples: WindowExamples, size: int, seed: int) -> WindowBatch:
    """A batch of random examples."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(examples), (size,), generator=generator).tolist()
    return examples.collate([examples.example(index, generator) for index in chosen])


def check_alike(every: dict[str, WindowExamples]) -> None:
    """Raise unless all give the same batches."""
    for seed in range(8):
        expected = batch_of(every[OURS], 4, seed)
        for name, examples in every.items():
            found = batch_of(examples, 4, seed)
            assert torch.equal(found.x.float(), expected.x.float()), name
            actions = [batch.action.gather(1, batch.tokens.cell) for batch in (found, expected)]
            assert torch.equal(*actions), name


@contextmanager
def counting() -> Iterator[list[int]]:
    """The sizes of all reads."""
    counts: list[int] = []
    pread, preadv = os.pread, os.preadv

    def read(file: int, size: int, offset: int) -> bytes:
        found = pread(file, size, offset)
        counts.append(len(found))
        return found

    def read_into(file: int, buffers: Sequence[Any], offset: int) -> int:
        counts.append(preadv(file, buffers, offset))
        return counts[-1]

    with patch.object(os, "pread", read), patch.object(os, "preadv", read_into):
        yield counts


def single(examples: Any, number: int) -> Call:
    """Reads examples one by one."""

    def call(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for index in torch.randint(len(examples), (number,), generator=generator).tolist():
            examples.example(index, generator)

    return call


def window_cases(folder: Path, sizes: Sizes, rounds: int) -> list[dict[str, Any]]:
    """Reading a step's tokens, from the system's cache and from the disk."""
    make_latents(folder, sizes)
    every = make_examples(folder, sizes)
    check_alike(every)
    calls = {name: single(examples, sizes.examples) for name, examples in every.items()}
    bytes_read = {}
    for name, call in calls.items():
        with counting() as counts:
            call(0)
        bytes_read[name] = sum(counts) / sizes.examples
    size = BATCH["video model"]
    number = max(1, sizes.examples // size)
    in_batches = {
        f"ours, in batches of {size}": lambda seed: [batch_of(every[OURS], size, seed) for _ in range(number)]
    }
    tokens = every[OURS].chunk.num_tokens
    about = {"kind": "video model", "tokens": tokens, "bytes": bytes_read}
    numbers = dict.fromkeys(calls, sizes.examples) | dict.fromkeys(in_batches, number * size)
    keep_in_cache(folder)
    cached = measure({**calls, **in_batches}, numbers, rounds)
    results = [{"case": f"{tokens} tokens, cached", **about, **cached}]
    if hasattr(os, "posix_fadvise"):
        few = max(1, sizes.examples // 8)  # else windows share what one of them has read
        calls = {name: single(examples, few) for name, examples in every.items()}
        cold = measure(calls, dict.fromkeys(calls, few), rounds, before=lambda: drop_from_cache(folder))
        results.append({"case": f"{tokens} tokens, from disk", **about, **cold})
    return results


class WholeVideo:
    """Clips of which single frames come by decoding all of a video."""

    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset, self.index, self.num_frames = dataset, dataset.index, dataset.num_frames

    def frames(self, video: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        return self.dataset.read(video).frames[indices]


def frame_case(folder: Path, sizes: Sizes, rounds: int) -> dict[str, Any]:
    """Reading random frames of clips."""
    world = VoxelConfig(size=sizes.clip_size)
    config = RecordConfig(world=world, train_videos=sizes.clips, test_videos=0, frames=sizes.clip_frames, context=1)
    record(config, folder, processes=1, progress=False)
    dataset = ClipDataset(folder)
    ours, whole = FrameExamples(dataset, 4), FrameExamples(WholeVideo(dataset), 4)  # type: ignore[arg-type]
    for index in range(0, len(ours), max(1, len(ours) // 5)):
        found, expected = (examples.example(index, torch.Generator()) for examples in (ours, whole))
        assert torch.equal(found[0], expected[0]) and found[1] == expected[1]
    number = max(1, sizes.examples // 6)
    calls = {
        OURS: single(ours, number),
        "whole video for one frame": single(whole, 1),
        "whole video, all frames used": lambda seed: dataset.read(dataset.ids()[seed % sizes.clips]),
    }
    numbers = dict(zip(calls, (number, 1, sizes.clip_frames), strict=True))
    height, width = sizes.clip_size
    sizes_on_disk = [path.stat().st_size for path in (folder / "videos").iterdir()]
    stored = sum(sizes_on_disk) / (sizes.clips * sizes.clip_frames)
    about = {"case": f"frames of {height}x{width}", "kind": "tokenizer", "bytes_per_frame_on_disk": stored}
    return {**about, **measure(calls, numbers, rounds)}


def measure(
    calls: dict[str, Call], numbers: dict[str, int], rounds: int, before: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Seconds per example of every way of reading, and their ratios to ours."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-1, rounds):  # the first does not count
        for name, call in calls.items():
            before()
            start = time.perf_counter()
            call(turn + 1)
            if turn >= 0:
                times[name].append((time.perf_counter() - start) / numbers[name])
    rows = {
        name: {
            "seconds": statistics.median(found),
            "ratio": statistics.median(a / b for a, b in zip(found, times[OURS], strict=True)),
        }
        for name, found in times.items()
    }
    return {"rounds": rounds, "variants": rows}


def figure(value: float) -> str:
    """Two digits after the point, or none where two stand before it."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown; cores are those that feed 8 GPUs at the pace of the paper's runs."""
    lines = [
        "| what | read by | time each | each second | read | times ours | cores for 8 GPUs |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    for result in results:
        kind, what = result["kind"], result["case"]
        for name, row in result["variants"].items():
            found = result.get("bytes", {}).get(name)
            cores = GPUS * BATCH[kind] / STEP_SECONDS[kind] * row["seconds"]
            read = f"{found / 1e3:,.0f} KB" if found else ""
            lines.append(
                f"| {what} | {name} | {figure(1e3 * row['seconds'])} ms | {figure(1 / row['seconds'])} "
                f"| {read} | {row['ratio']:.2f} | {figure(cores)} |"
            )
            what = ""
    return "\n".join(lines)


def run(sizes: Sizes, rounds: int) -> list[dict[str, Any]]:
    """Measure every case in temporary folders."""
    with tempfile.TemporaryDirectory() as folder:
        results = window_cases(Path(folder) / "latents", sizes, rounds)
        print("tokenizer", file=sys.stderr)
        results.append(frame_case(Path(folder) / "clips", sizes, rounds))
        for path in Path(folder).glob("latents/*.pyramid"):
            os.close(opened(str(path)))
        opened.cache_clear()
    return results


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--examples", type=int, default=Sizes.examples)
    parser.add_argument("--videos", type=int, default=Sizes.videos)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe_machine("cpu")
    results = run(Sizes(examples=options.examples, videos=options.videos), options.rounds)
    print(table(results), json.dumps(machine), sep="\n\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
