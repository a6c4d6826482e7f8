"""Where a video model loses: rollouts of which ever more is generated, and the error of single predictions.

    python benchmarks/probe.py --clips DIR --model DIR [--tokenizer DIR] [--videos 12] [--frames 64] [--out FILE.json]

A part that is not generated is the truth, encoded: first all of it; then each step of the finest level alone, with its whole
context true; then levels from the finest on, which read what they wrote themselves; at last everything, as `millivid
generate` does. PSNR (of the mean squared error) and LPIPS by horizon. Errors are those of the data that the network predicts,
squared, in standardised latents, of every level that a step writes first, with true context at three times.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from torch import Tensor

import millivid.app
from millivid.app import VideoPipeline
from millivid.data import ClipDataset
from millivid.diffusion import SeededNoise, denoise, rollout, stack_tokens
from millivid.diffusion.odometry import dead_reckon
from millivid.eval import LPIPS
from millivid.kernels import pack_tokens
from millivid.rollout import Plan, Role, plan

WEIGHTS = Path(millivid.app.__file__).parent / "weights"
TIMES = (0.5, 0.7, 0.9)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Test videos: frames after the context, latents and actions as far as the plan reaches."""

    frames: Tensor
    latents: list[Tensor]
    actions: Tensor
    plan: Plan


def read(pipeline: VideoPipeline, clips: Path, videos: int, frames: int) -> Truth:
    """The first test videos."""
    dataset, start = ClipDataset(clips), pipeline.num_context_frames
    read = [dataset.read(id, 0, start + frames) for id in dataset.ids("test")[:videos]]
    pixels = torch.stack([torch.from_numpy(clip.frames) for clip in read]).permute(0, 1, 4, 2, 3) / 255
    video = plan(pipeline.schedule, pipeline.model.config.tokens_per_level, start, start + frames)
    beyond = video.buffer_end - start - frames
    with torch.no_grad():
        encoded = [pipeline.tokenizer.encode(some) for some in pixels.split(1)]
    latents = [torch.cat(level) for level in zip(*encoded, strict=True)]
    actions = torch.stack([torch.from_numpy(clip.actions) for clip in read])
    return Truth(
        frames=pixels[:, start:],
        latents=[torch.cat([level, level[:, -1:].expand(-1, beyond, -1, -1, -1)], dim=1) for level in latents],
        actions=torch.cat([actions, actions[:, -1:].expand(-1, beyond)], dim=1),
        plan=video,
    )


def generated(pipeline: VideoPipeline, truth: Truth, free: Sequence[int], alone: bool = False) -> Tensor:
    """Finest latents after the context, of a rollout in which levels that are not free, or all that is read, are the truth."""
    start, stores = truth.plan.start, [level.clone() for level in truth.latents]
    made = truth.latents[0].clone()
    for step in rollout(
        pipeline.model,
        stores,
        truth.plan,
        truth.actions,
        pipeline.sampler(),
        SeededNoise(range(len(made))),
    ):
        first, last = step.finished
        made[:, first:last] = stores[0][:, first:last]
        for level, (store, true) in enumerate(zip(stores, truth.latents, strict=True)):
            if alone or level not in free:
                store[:, start:] = true[:, start:]
    return made[:, start : truth.plan.video_end]


def losses(pipeline: VideoPipeline, truth: Truth, horizons: Sequence[tuple[int, int]]) -> dict[str, dict[str, Any]]:
    """PSNR and LPIPS at horizons (first and last frame) for ever more that is generated."""
    lpips, levels = LPIPS(), truth.plan.chunk.num_levels
    rows = {"nothing": truth.latents[0][:, truth.plan.start : truth.plan.video_end]}
    rows["each finest step, its context true"] = generated(pipeline, truth, (), alone=True)
    for level in range(levels):
        name = "everything" if level == levels - 1 else "the finest level" + f" and {level} more" * (level > 0)
        rows[name] = generated(pipeline, truth, range(level + 1))
    found: dict[str, dict[str, Any]] = {}
    with torch.no_grad():
        for name, latents in rows.items():
            frames = torch.cat([pipeline.tokenizer.decode((some,)) for some in latents.split(1)]).clamp(0, 1)
            squared = (frames - truth.frames).square().mean(dim=(0, 2, 3, 4))
            pairs = zip(frames, truth.frames, strict=True)
            distance = torch.stack([lpips(made, true) for made, true in pairs]).mean(dim=0)
            found[name] = {
                f"{first}-{last}": [
                    -10 * math.log10(float(squared[first - 1 : last].mean())),
                    float(distance[first - 1 : last].mean()),
                ]
                for first, last in horizons
            }
    return found


def errors(pipeline: VideoPipeline, truth: Truth) -> dict[str, list[float]]:
    """Squared errors of predicted data at `TIMES`, by the finest level that a step writes."""
    model, shift, found = pipeline.model, pipeline.info.shift, defaultdict(list)
    poses = None if model.config.odometry is None else dead_reckon(truth.actions, model.config.odometry)
    for planned in truth.plan:
        tokens = stack_tokens([model.tokens_of(planned.step, planned.chunk_start)]).expand(len(truth.actions))
        x = model.normalize(pack_tokens(truth.latents, *tokens.place), tokens.level)
        eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(planned.index))
        action, cell = truth.actions[:, tokens.cell_frame[0]], tokens.cell_frame[0]
        pose = None if poses is None else poses[:, cell]
        written = int(tokens.cell_level[tokens.cell_role == int(Role.TARGET)].amin())
        found[written].append(
            [
                float(
                    (denoise(model, x, eps, t, tokens, action, pose, shift=shift)[0] - x)[tokens.is_target]
                    .square()
                    .mean()
                )
                for t in TIMES
            ]
        )
    return {f"level {level}": torch.tensor(found[level]).mean(dim=0).tolist() for level in sorted(found)}


def table(results: dict[str, Any]) -> str:
    """Both as Markdown."""
    horizons = list(next(iter(results["losses"].values())))
    lines = [
        f"| generated | {' | '.join(f'PSNR {h}' for h in horizons)} | {' | '.join(f'LPIPS {h}' for h in horizons)} |",
        "| --- |" + " --: |" * (2 * len(horizons)),
    ]
    for name, row in results["losses"].items():
        psnr, lpips = ([row[h][number] for h in horizons] for number in (0, 1))
        lines.append(f"| {name} | {' | '.join(f'{v:.1f}' for v in psnr)} | {' | '.join(f'{v:.3f}' for v in lpips)} |")
    lines += ["", f"| error at t = | {' | '.join(map(str, TIMES))} |", "| --- |" + " --: |" * len(TIMES)]
    lines += [f"| {name} | {' | '.join(f'{v:.3f}' for v in row)} |" for name, row in results["errors"].items()]
    return "\n".join(lines)


def probe(
    model: Path, clips: Path, tokenizer: Path = WEIGHTS / "tokenizer", videos: int = 12, frames: int = 64
) -> dict[str, Any]:
    """Losses and errors of a saved model."""
    pipeline = VideoPipeline.from_pretrained(model, tokenizer, precision="fp32")
    truth = read(pipeline, clips, videos, frames)
    ends = [min(end, frames) for end in pipeline.info.horizons if end < frames] + [frames]
    horizons = list(zip([1, *(end + 1 for end in ends)], ends, strict=False))
    return {"losses": losses(pipeline, truth, horizons), "errors": errors(pipeline, truth)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, default=WEIGHTS / "tokenizer")
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args(arguments)
    results = probe(words.model, words.clips, words.tokenizer, words.videos, words.frames)
    print(table(results))
    if words.out:
        words.out.write_text(json.dumps({"machine": describe_machine("cpu"), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
