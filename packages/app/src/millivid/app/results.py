"""RESULTS.md of a reproduction: who remembers, with intervals, and what it took."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from millivid.diffusion import VideoDiT
from millivid.diffusion.framepack import FramePackPatchify
from millivid.diffusion.tokens import stack_tokens
from millivid.diffusion.train import VIDEO_MODEL_FILE
from millivid.rollout import Step, make_schedule

OURS, RIVALS = "millivid", ("framepack", "full_resolution")
METRICS = {"psnr": ("PSNR ↑", 2, +1), "lpips": ("LPIPS ↓", 3, -1), "ssim": ("SSIM ↑", 3, +1)}
"""Label, decimals, and the sign of better."""


@dataclass(frozen=True)
class Figures:
    """A report's metrics.json, asked by run, metric and horizon."""

    content: Mapping[str, Any]

    def of(self, run: str, metric: str, horizon: str) -> Mapping[str, Any]:
        """A figure's value and 95 % interval."""
        return self.content["runs"][run][metric]["horizons"][horizon]

    def memory(self, run: str, metric: str, kind: str, horizon: str | None = None) -> Mapping[str, Any] | None:
        """A figure over frames or pixels of a kind; None where there are none."""
        groups = (self.content["memory"] or {"groups": []})["groups"]
        found = (g for g in groups if (g["kind"], g["horizon"], g["gap"]) == (kind, horizon, None))
        return next((group["runs"][run][metric] for group in found), None)

    def better(self, metric: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether one figure is better than another by intervals that do not touch."""
        if None in (*one["interval"], *other["interval"]):
            return False
        (low, high), (their_low, their_high) = one["interval"], other["interval"]
        return low > their_high if METRICS[metric][2] > 0 else high < their_low


def write_results(out: Path, models: Sequence[str]) -> Path:
    """Write RESULTS.md into a reproduction's folder, from its report and its runs; returns its path."""
    figures = Figures(json.loads((out / "report" / "metrics.json").read_text()))
    run = json.loads((out / "run.json").read_text())
    lines = [
        *_head(figures, run),
        *_claims(figures, models),
        *_table(figures),
        *_memory(figures),
        *_training(out, models),
    ]
    file = out / "RESULTS.md"
    partial = file.with_suffix(".md.partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(file)
    return file


def _head(figures: Figures, run: Mapping[str, Any]) -> Iterator[str]:
    content, settings, launch = figures.content, run["settings"], run["launches"][-1]
    hardware = launch["hardware"]
    device = hardware["gpu"] or f"{hardware['cores']} cores of {hardware['processor']}, no GPU"
    commit = (launch["commit"] or "unknown")[:12]
    yield "# Results: does it remember?"
    yield ""
    yield (
        f"`millivid reproduce budget={settings['budget']:g} seed={settings['seed']}`, commit {commit}, torch "
        f"{launch['versions']['torch']}, {device}. {content['videos']} test videos of worlds that no model has seen: "
        f"{content['start']} frames are given, {content['frames']} generated from the actions alone. In brackets: 95 % "
        "intervals, by bootstrap over videos."
    )
    yield ""
    yield "![Truth and models, frame by frame](report/strip.png)"
    yield ""
    yield "![Curves over generated frames](report/curves.png)"
    yield ""


def _claims(figures: Figures, models: Sequence[str]) -> Iterator[str]:
    horizons = [horizon["name"] for horizon in figures.content["horizons"]][1:]
    rivals = [name for name in RIVALS if name in models]
    if OURS not in models or not rivals:
        return
    yield "## What was to be shown"
    yield ""
    yield "| claim | holds | |"
    yield "| --- | --- | --- |"
    for rival in rivals:
        for horizon in horizons:
            for metric in ("psnr", "lpips"):
                if metric not in figures.content["metrics"]:
                    continue
                ours, theirs = (figures.of(name, metric, horizon) for name in (OURS, rival))
                holds = "yes" if figures.better(metric, ours, theirs) else "**no**"
                yield (
                    f"| {METRICS[metric][0][:-2]}, {horizon}: better than {rival}, intervals apart | {holds} | "
                    f"{_told(metric, ours)} against {_told(metric, theirs)} |"
                )
    recall, invention = (figures.memory(OURS, "psnr", kind) for kind in ("recall", "invention"))
    if recall and invention:
        holds = "yes" if figures.better("psnr", recall, invention) else "**no**"
        told = f"{_told('psnr', recall)} against {_told('psnr', invention)}"
        yield f"| PSNR of views that the context shows, above that of new ones, intervals apart | {holds} | {told} |"
    yield ""


def _table(figures: Figures) -> Iterator[str]:
    content = figures.content
    for metric in (name for name in METRICS if name in content["metrics"]):
        heads = (f"{h['name']} {h['first']}\N{EN DASH}{h['last']}" for h in content["horizons"])
        yield f"| {METRICS[metric][0]} | {' | '.join(heads)} |"
        yield "| --- |" + " ---: |" * len(content["horizons"])
        for name, role in content["roles"].items():
            cells = (_told(metric, figures.of(name, metric, h["name"])) for h in content["horizons"])
            yield f"| {f'*{name}*' if role == 'bound' else name} | {' | '.join(cells)} |"
        yield ""


def _memory(figures: Figures) -> Iterator[str]:
    if figures.content["memory"] is None:
        return
    yield "## Memory"
    yield ""
    yield (
        "Recall: frames whose view the context shows, but not just before. Invention: frames whose view nothing shows. By "
        "pixel: surfaces that the context shows, and others. PSNR; the bounds tell how much of a gap is no memory."
    )
    yield ""
    yield "![Error by how long ago the view was last seen](report/memory.png)"
    yield ""
    kinds = ("recall", "invention", "recalled pixels", "invented pixels")
    yield f"| | {' | '.join(kinds)} |"
    yield "| --- |" + " ---: |" * len(kinds)
    for name, role in figures.content["roles"].items():
        found = (figures.memory(name, "psnr", kind) for kind in kinds)
        cells = ("\N{EN DASH}" if figure is None else _told("psnr", figure) for figure in found)
        yield f"| {f'*{name}*' if role == 'bound' else name} | {' | '.join(cells)} |"
    yield ""


def _training(out: Path, models: Sequence[str]) -> Iterator[str]:
    yield "## What it took"
    yield ""
    yield "| | parameters | schedule | tokens | context frames | examples | Tflop | hours |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for name in models:
        folder = out / "models" / name
        about, took = (
            json.loads((folder / file).read_text()) for file in (f"model/{VIDEO_MODEL_FILE}", "trained.json")
        )
        model = VideoDiT.from_pretrained(folder / "model")
        chunk = make_schedule(**about["schedule"]).chunk(model.config.tokens_per_level)
        settings = ", ".join(
            f"{key} {value}" for key, value in about["schedule"].items() if key not in ("name", "pads")
        )
        cells = (
            f"{sum(p.numel() for p in model.parameters()):,}",
            f"{about['schedule']['name']}: {settings}",
            f"{max(_sequence_length(model, step) for step in chunk.steps):,}",
            f"{chunk.num_context_frames:,}",
            f"{took['examples']:,}",
            f"{took['flop'] / 1e12:,.0f}",
            f"{took['seconds'] / 3600:.1f}",
        )
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    for folder in sorted((out / "tokenizers").iterdir()):
        took = json.loads((folder / "trained.json").read_text())
        cost = f"{took['flop'] / 1e12:,.0f} Tflop, {took['seconds'] / 3600:.1f} hours"
        yield f"Tokenizer, {folder.name}: {took['examples']:,} frames, {cost}."
        yield ""
    yield "Hours of one core for a video model, of all of them for a tokenizer, where there is no GPU."


def _sequence_length(model: VideoDiT, step: Step) -> int:
    """How many tokens the body attends over in a step."""
    columns = model.tokens_of(step)
    if isinstance(model.patchify, FramePackPatchify):
        return model.patchify(torch.zeros(1, len(columns), model.config.latent_channels), stack_tokens([columns]))[
            0
        ].shape[1]
    return len(columns)


def _told(metric: str, figure: Mapping[str, Any]) -> str:
    decimals = METRICS[metric][1]

    def number(value: float | None) -> str:
        return "\N{EN DASH}" if value is None else f"{value:.{decimals}f}"

    low, high = figure["interval"]
    return f"{number(figure['value'])} ({number(low)}\N{EN DASH}{number(high)})"
