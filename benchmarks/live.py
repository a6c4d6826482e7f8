"""What it costs not to know what will be pressed: the same walks played key by key, and generated with all keys known.

    python benchmarks/live.py --clips DIR --work DIR [--model DIR] [--tokenizer DIR] [--videos 16] [--frames 128]
        [--out FILE.json]

Each test video's recorded actions are pressed one after the other, when their frame is the next to be shown. At the end of a
chunk a key is answered some frames later, so what is walked may differ from the recording; the truth is the world itself,
walked again so.
"offline" is `millivid generate` under these actions, with the same sampler. Clips are recordings of the voxel world. Prints
PSNR and LPIPS at the model's horizons with 95 % intervals over videos, and what a frame costs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from solvers import METRICS, WEIGHTS, figures_of

from millivid.app import VideoPipeline
from millivid.app.evaluate import EvaluateConfig, evaluate_runs
from millivid.app.generate import GenerateConfig, generate_videos
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.data_gen import RecordConfig, world_class
from millivid.data_gen.recorder import enter_world
from millivid.eval.results import Results, read_results
from millivid.rollout import live_cost


def play(words: argparse.Namespace) -> None:
    """Write the live walks and, of the same actions, the truth."""
    pipeline = VideoPipeline.from_pretrained(words.model, words.tokenizer, precision="fp32")
    dataset = ClipDataset(words.clips)
    recorded, index = RecordConfig.from_source(dataset.index.source), dataset.index
    world = world_class(recorded.world.world)(recorded.world)
    context = pipeline.info.context or pipeline.num_context_frames
    shape: dict[str, Any] = {"fps": index.fps, "size": index.size, "action_names": index.action_names, "lossless": True}
    horizons = list(pipeline.info.horizons_within(words.frames))
    source = {"context": context, "frames": words.frames, "horizons": horizons, "seed": 0}
    live = ClipWriter(words.work / "live", source={**source, "played": "live"}, **shape)
    truth = ClipWriter(words.work / "truth", source={**dataset.index.source, "context": context}, **shape)
    ids = dataset.ids("test")[: words.videos]
    for number, id in enumerate(ids):
        if live.done(id) and truth.done(id):
            continue
        clip = dataset.read(id, 0, context + words.frames)
        given = torch.from_numpy(clip.frames[:context]).permute(0, 3, 1, 2).float() / 255
        session = pipeline.live(given, torch.from_numpy(clip.actions[:context]), seed=number)
        for action in clip.actions[context:].tolist():
            session.press(action)
            session.next()
        walked = np.array([int(session.action(frame)) for frame in range(session.shown)])
        enter_world(world, recorded, *recorded.split_and_index(id), dataset.actions(id))
        seen = [world.step(int(action)) for action in walked]
        poses = np.stack([each.pose for each in seen])
        made = np.stack([session.frame(frame) for frame in range(session.shown)])
        live.write(id, Clip(frames=made, actions=walked, poses=poses))
        truth.write(id, Clip(frames=np.stack([each.frame for each in seen]), actions=walked, poses=poses))
    for writer in (live, truth):
        if not writer.complete():
            writer.finish({"test": ids})


def compare(words: argparse.Namespace) -> Results:
    """Generate the same walks offline, and measure both against the truth."""
    generate_videos(
        GenerateConfig(
            data=words.work / "truth",
            model=words.model,
            tokenizer=words.tokenizer,
            out=words.work / "offline",
            frames=words.frames,
            batch=words.videos,
            precision="fp32",
        )
    )
    page = evaluate_runs(
        EvaluateConfig(
            runs={name: str(words.work / name) for name in ("offline", "live")},
            reference=words.work / "truth",
            out=words.work / "report",
            metrics=METRICS,
            frames=words.frames,
            max_videos=1,
        )
    )
    assert page is not None
    return read_results(page.parent / "metrics.json")


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown, a line for each way to play."""
    horizons = list(found["figures"]["live"]["psnr"])
    head = [f"{metric.upper()} {horizon}" for metric in METRICS for horizon in horizons]
    lines = [f"| | {' | '.join(head)} |", f"| --- |{' --: |' * len(head)}"]
    for name, figures in found["figures"].items():
        cells = [
            f"{value:.{decimals}f} ({low:.{decimals}f}\N{EN DASH}{high:.{decimals}f})"
            for metric, decimals in zip(METRICS, (2, 3), strict=True)
            for value, low, high in figures[metric].values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=WEIGHTS / "millivid")
    parser.add_argument("--tokenizer", type=Path, default=WEIGHTS / "tokenizer")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args(arguments)
    play(words)
    results = compare(words)
    figures = {name: figures_of(results, name) for name in ("offline", "live")}
    pipeline = VideoPipeline.from_pretrained(words.model, words.tokenizer)
    tokens = pipeline.model.config.tokens_per_level
    steps = {str(every): live_cost(pipeline.schedule, tokens, every).steps_per_frame for every in (None, 32, 8, 4)}
    found = {"figures": figures, "steps_per_frame": steps}
    print(table(found))
    print(
        "steps per frame, with a change every so many frames: " + ", ".join(f"{k}: {v:.2f}" for k, v in steps.items())
    )
    if words.out:
        words.out.write_text(json.dumps({"machine": describe_machine("cpu"), "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
