"""What helps a video model learn: each lever alone and together, for equal arithmetic, data and test videos.

    python benchmarks/ladder.py --clips DIR --latents DIR --work DIR [--tokenizer DIR] [--tflop 25] [--rungs joint frozen ...]
        [--seeds 0] [--videos 16] [--frames 128] [--out FILE.json]

A rung is `experiment=tiny_millivid` with other settings, see RUNGS, and weights averaged over fewer steps, trained on one
thread from scratch for as many steps as the arithmetic allows. Measured are rollouts of the first test videos (PSNR, LPIPS,
and PSNR of recalled and invented views, by `millivid evaluate`) and what `probe.py` finds. What is done in --work stays done.
Prints a Markdown table, a line a rung.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from probe import WEIGHTS, probe
from solvers import figures_of, measure

from millivid.command import load_experiment
from millivid.data import LatentDataset
from millivid.diffusion import VideoDiT
from millivid.diffusion import train as diffusion_train
from millivid.diffusion.train import DiffusionTask, TrainDiffusionConfig, train_diffusion
from millivid.files import read_json
from millivid.rollout import make_schedule
from millivid.training.loop import TRAINED_FILE
from millivid.training.throughput import BACKWARD, count_flops

Settings = dict[str, Any]
RUNGS: dict[str, Settings] = {
    "joint": {"model": {"frozen_context": False}, "targets_per_context": 1},
    "frozen": {"targets_per_context": 1},
    "copies": {},
    "min_snr": {"snr_gamma": 5.0},
    "data": {"model": {"prediction": "data"}, "snr_gamma": 5.0},
    "coarser": {"model": {"coarser_input": True}},
    "data_coarser": {"model": {"prediction": "data", "coarser_input": True}, "snr_gamma": 5.0},
    "data_coarser_memory": {
        "model": {"prediction": "data", "coarser_input": True},
        "snr_gamma": 5.0,
        "group_shares": [0.2, 0.2, 0.6],
    },
    "coarser_memory": {"model": {"coarser_input": True}, "group_shares": [0.2, 0.2, 0.6]},
    "context_noise": {"context_noise": 0.3},
    "data_noise": {"model": {"prediction": "data"}, "snr_gamma": 5.0, "context_noise": 0.3},
}
"""Settings of a rung, other than those of the experiment as it was when the ladder began."""

START: Settings = {
    "targets_per_context": 4,
    "snr_gamma": None,
    "group_shares": None,
    "context_noise": 0.0,
    "model": {"frozen_context": True, "prediction": "velocity", "coarser_input": False},
}


def settings_of(rung: str, latents: Path, out: Path, seed: int, steps: int) -> TrainDiffusionConfig:
    """A rung's training; its odometry is that of the world that the latents were recorded in."""
    changed = RUNGS[rung]
    world = LatentDataset(latents).index.source["world_settings"]
    turn = 90 / world["frames_per_action"]
    model = {"odometry": [[world["step"], 0.0], [0.0, turn], [0.0, -turn]]} | START["model"] | changed.get("model", {})
    return load_experiment(
        TrainDiffusionConfig,
        diffusion_train.CONF,
        "tiny_millivid",
        **START | changed | {"data": latents, "out": out, "model": model},
        training={"steps": steps, "seed": seed, "threads": 1, "ema": 0.99} | changed.get("training", {}),
    )


def steps_for(tflop: float, config: TrainDiffusionConfig) -> int:
    """How many steps of a training cost so much arithmetic, by what one example costs."""
    dataset = LatentDataset(config.data)
    model = VideoDiT(config.model.resolve(dataset))
    chunk = make_schedule(**config.schedule).chunk(model.config.tokens_per_level)  # type: ignore[arg-type]
    task = DiffusionTask(model, dataset, chunk, config)
    batch = task.examples.collate([task.examples.example(0, torch.Generator().manual_seed(0))])
    flop = (1 + BACKWARD) * count_flops(task, batch, False, torch.device("cpu"))
    return round(tflop * 1e12 / flop / config.training.batch_size)


def climb(words: argparse.Namespace, rung: str, seed: int) -> dict[str, Any]:
    """Train and measure one rung."""
    folder = words.work / f"{rung}-{seed}"
    if (done := folder / "result.json").is_file():
        return read_json(done, dict[str, Any])
    steps = steps_for(words.tflop, settings_of(rung, words.latents, folder / "run", seed, steps=1000))
    train_diffusion(settings_of(rung, words.latents, folder / "run", seed, steps))
    cost = read_json(folder / "run" / TRAINED_FILE, dict[str, Any])
    found = {"rung": rung, "seed": seed, "settings": RUNGS[rung], "steps": steps, "cost": cost}
    results = measure(words, folder / "run/model", folder)
    found["rollouts"] = {
        metric: {horizon: value for horizon, (value, _, _) in figures.items()}
        for metric, figures in figures_of(results, "made").items()
    }
    found["memory"] = results.memory.to_dict() if results.memory else None
    found["probe"] = probe(folder / "run/model", words.clips, words.tokenizer, videos=min(12, words.videos))
    done.write_text(json.dumps(found, indent=1) + "\n")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Rollouts, then the finest step alone and on its own frames, then errors at t = .7, a line for each rung."""
    horizons = list(rows[0]["rollouts"]["psnr"])
    head = [f"{metric} {horizon}" for metric in ("PSNR", "LPIPS") for horizon in horizons]
    lines = [
        f"| rung | seed | steps | hours | {' | '.join(head)} | LPIPS: finest, context true | finest, own | error by level |",
        "| --- | --: | --: | --: |" + " --: |" * (len(head) + 2) + " --- |",
    ]
    for row in rows:
        losses, errors = row["probe"]["losses"], row["probe"]["errors"]
        alone, own = (losses[name] for name in ("each finest step, its context true", "the finest level"))
        last = list(alone)[-1]
        figures = [f"{value:.2f}" for value in row["rollouts"]["psnr"].values()]
        figures += [f"{value:.3f}" for value in row["rollouts"]["lpips"].values()]
        figures += [f"{alone[last][1]:.3f}", f"{own[last][1]:.3f}", " ".join(f"{e[1]:.3f}" for e in errors.values())]
        lines.append(
            f"| {row['rung']} | {row['seed']} | {row['steps']} | {row['cost']['seconds'] / 3600:.2f} | {' | '.join(figures)} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, default=WEIGHTS / "tokenizer")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tflop", type=float, default=25.0)
    parser.add_argument("--rungs", nargs="+", default=list(RUNGS), choices=list(RUNGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--frames", type=int, default=128)
    words = parser.parse_args(arguments)
    rows = [climb(words, rung, seed) for rung in words.rungs for seed in words.seeds]
    print(table(rows))
    if words.out:
        words.out.write_text(json.dumps({"machine": describe_machine("cpu"), "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
