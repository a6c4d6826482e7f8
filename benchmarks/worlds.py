"""Frames per second of every world on one core, and what its videos weigh.

    python benchmarks/worlds.py [--sizes 64 256] [--frames 300] [--rounds 4] [--out benchmarks/results/worlds-x.json]

The LOOPCRAFT agent (or the world's own planner) walks in worlds of several seeds. "frames/s" is that of `step` alone,
the mean over the rounds, each in another world, of the best of three walks (of one for games); "recorded" is recording
as `millivid data generate` does it, encoding, hashing and writing included, without what a new world takes, which has a
column of its own (the first world excluded: it compiles or starts a game). Size on disk is that of the recorded videos.
"times voxel" compares with the block world at the same size in the same run. A world that is not installed here is left
out with a word. One thread; games draw on as many cores as their driver takes, so run this with `taskset -c 0`. Prints
a Markdown table, and writes the figures as JSON.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import describe_machine

from millivid.data import ClipWriter
from millivid.data_gen import RecordConfig, World, make_world
from millivid.data_gen.record_config import video_actions
from millivid.data_gen.recorder import record_video

WORLDS = ("voxel", "vizdoom", "minetest")
SLOW = ("minetest",)
WALKS = 3


@contextlib.contextmanager
def opened(name: str, size: int) -> Iterator[World]:
    """A world, closed in the end."""
    world = make_world(name, size=(size, size))
    try:
        yield world
    finally:
        world.close()


def measure(name: str, size: int, frames: int, rounds: int) -> dict[str, Any]:
    """Seconds per frame, per new world and per recorded frame, and bytes per recorded frame. Raises ImportError."""
    with opened(name, size) as world, tempfile.TemporaryDirectory() as folder:
        config = RecordConfig(world=world.config, frames=frames, context=1, test_videos=0, train_videos=rounds)
        writer = ClipWriter(
            folder, fps=config.fps, size=config.world.size, action_names=world.action_names, source=config.source()
        )
        world.reset(10**6)  # the first: compiles, starts a game
        world.step(0)
        resets, steps, recordings = [], [], []
        for index in range(rounds):
            began = time.perf_counter()
            world.reset(index)
            actions = video_actions(config, "train", index, getattr(world, "plan_actions", None))
            world.reset(index, actions)
            resets.append(time.perf_counter() - began)
            walks = []
            for _ in range(1 if name in SLOW else WALKS):
                world.reset(index, actions)
                began = time.perf_counter()
                for action in actions:
                    world.step(int(action))
                walks.append(time.perf_counter() - began)
            steps.append(min(walks))
            began = time.perf_counter()
            writer.write(config.video_id("train", index), record_video(world, config, "train", index))
            recordings.append(time.perf_counter() - began)
        files = [path for path in Path(folder).rglob("train_*") if path.suffix != ".sha256"]
        new_world, step, recorded = (sum(times) / rounds for times in (resets, steps, recordings))
        return {
            "world": name,
            "size": size,
            "frames": frames,
            "rounds": rounds,
            "seconds_per_world": new_world,
            "seconds_per_frame": step / frames,
            "seconds_per_recorded_frame": max(recorded - new_world, step) / frames,
            "bytes_per_frame": sum(path.stat().st_size for path in files) / (frames * rounds),
        }


def run(
    worlds: tuple[str, ...], sizes: tuple[int, ...], frames: int, slow_frames: int, rounds: int
) -> list[dict[str, Any]]:
    """All worlds that are here, at all sizes."""
    results = []
    for size in sizes:
        for name in worlds:
            try:
                result = measure(name, size, slow_frames if name in SLOW else frames, rounds)
            except ImportError as error:
                print(f"{name} is not here: {error}", file=sys.stderr)
                continue
            voxel = next((row for row in results if row["world"] == "voxel" and row["size"] == size), result)
            result["times_voxel"] = voxel["seconds_per_frame"] / result["seconds_per_frame"]
            results.append(result)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| world | frames | frames/s | times voxel | recorded/s | s per new world | MB per 1,000 frames |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        lines.append(
            f"| {result['world']} | {result['size']}x{result['size']} | {_rate(result['seconds_per_frame'])} | "
            f"{result['times_voxel']:.2g} | {_rate(result['seconds_per_recorded_frame'])} | "
            f"{result['seconds_per_world']:.2g} | {result['bytes_per_frame'] / 1000:.2g} |"
        )
    return "\n".join(lines)


def _rate(seconds: float) -> str:
    rate = 1 / seconds
    return f"{float(f'{rate:.2g}'):,.0f}" if rate >= 10 else f"{rate:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--slow-frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = run(
        tuple(arguments.worlds), tuple(arguments.sizes), arguments.frames, arguments.slow_frames, arguments.rounds
    )
    print(table(results))
    if arguments.out:
        content = {"machine": describe_machine("cpu"), "results": results}
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
