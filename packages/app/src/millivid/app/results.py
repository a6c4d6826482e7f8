"""RESULTS.md of a reproduction: who remembers, with intervals, and what it took."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millivid.data.atomic import write_text
from millivid.diffusion import VideoDiT, VideoModelInfo
from millivid.rollout import make_schedule

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

    def memory(
        self, run: str, metric: str, kind: str, horizon: str | None = None, gap: Sequence[int] | None = None
    ) -> Mapping[str, Any] | None:
        """A figure over frames or pixels of a kind; None where there are none."""
        found = (g for g in self.groups if (g["kind"], g["horizon"], g["gap"]) == (kind, horizon, gap))
        return next((group["runs"][run][metric] for group in found), None)

    @property
    def groups(self) -> Sequence[Mapping[str, Any]]:
        """What memory is told apart by."""
        return (self.content["memory"] or {"groups": []})["groups"]

    def better(self, metric: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether one figure is better than another by intervals that do not touch."""
        if None in (*one["interval"], *other["interval"]):
            return False
        (low, high), (their_low, their_high) = one["interval"], other["interval"]
        return low > their_high if METRICS[metric][2] > 0 else high < their_low


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A video model and what it took."""

    name: str
    parameters: int
    schedule: str
    tokens: int
    context_frames: int
    took: Mapping[str, Any]

    @classmethod
    def read(cls, out: Path, name: str) -> "Trained":
        """Of a reproduction's folder."""
        folder = out / "weights" / name
        schedule = VideoModelInfo.read(folder).schedule
        model = VideoDiT.from_pretrained(folder)
        chunk = make_schedule(**schedule).chunk(model.config.tokens_per_level)
        settings = ", ".join(f"{key} {value}" for key, value in schedule.items() if key not in ("name", "pads"))
        return cls(
            name=name,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            schedule=f"{schedule['name']}: {settings}",
            tokens=max(model.sequence_length(step) for step in chunk.steps),
            context_frames=chunk.num_context_frames,
            took=json.loads((out / "models" / name / "trained.json").read_text()),
        )


def write_results(out: Path, models: Sequence[str]) -> Path:
    """Write RESULTS.md into a reproduction's folder, from its report and its runs, and a card beside all its weights.

    Returns the path of RESULTS.md.
    """
    figures = Figures(json.loads((out / "report" / "metrics.json").read_text()))
    run = json.loads((out / "run.json").read_text())
    trained = [Trained.read(out, name) for name in models]
    tokenizers = {
        folder.name: json.loads((folder / "trained.json").read_text()) for folder in (out / "tokenizers").iterdir()
    }
    for model in trained:
        _write(out / "weights" / model.name / "README.md", _video_card(model, figures, run))
    for variant, took in tokenizers.items():
        folder = out / "weights" / ("tokenizer" if variant == "adaptive" else f"tokenizer_{variant}")
        _write(folder / "README.md", _tokenizer_card(variant, took, figures, run))
    lines = [
        *_head(figures, run),
        *_claims(figures, models),
        *_table(figures, figures.content["roles"]),
        *_memory(figures),
        *_training(trained, tokenizers),
    ]
    return _write(out / "RESULTS.md", lines)


def _write(file: Path, lines: Iterable[str]) -> Path:
    write_text(file, "\n".join(lines).rstrip() + "\n")
    return file


def _made_by(figures: Figures, run: Mapping[str, Any]) -> str:
    settings, launches = run["settings"], run["launches"]
    machines = [launch["hardware"] for launch in launches]
    devices = dict.fromkeys(m["gpu"] or f"{m['cores']} cores of {m['processor']}, no GPU" for m in machines)
    commits = dict.fromkeys(re.sub(r"^(\w{12})\w*", r"\1", launch["commit"] or "unknown") for launch in launches)
    models = ",".join(name for name, role in figures.content["roles"].items() if role != "bound")
    command = (
        f"millivid reproduce budget={settings['budget']:g} frames={settings['frames']} seed={settings['seed']} "
        f"models=[{models}]"
    )
    return f"`{command}`, commit {', '.join(commits)}, torch {launches[-1]['versions']['torch']}, {'; '.join(devices)}"


def _head(figures: Figures, run: Mapping[str, Any]) -> Iterator[str]:
    content = figures.content
    yield "# Results: does it remember?"
    yield ""
    yield (
        f"{_made_by(figures, run)}. {content['videos']} test videos of worlds that no model has seen: {content['start']} "
        f"frames are given, {content['frames']} generated from the actions alone. In brackets: 95 % intervals, by bootstrap "
        "over videos."
    )
    yield ""
    if "recall.png" in content["files"]:
        yield (
            "The first view of each video to come back after 64 frames or more: in the context, in truth, and as each model "
            "draws it."
        )
        yield ""
        yield "![Views that came back](report/recall.png)"
        yield ""
    yield "![Truth and models, frame by frame](report/strip.png)"
    yield ""
    yield "![Curves over generated frames](report/curves.png)"
    yield ""


def _claims(figures: Figures, models: Sequence[str]) -> Iterator[str]:
    horizons = [horizon["name"] for horizon in figures.content["horizons"]][1:]
    rivals = [name for name in RIVALS if name in models]
    if OURS not in models or not rivals or not horizons:
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
    for horizon in horizons:
        recall, invention = (figures.memory(OURS, "psnr", kind, horizon) for kind in ("recall", "invention"))
        if recall and invention:
            holds = "yes" if figures.better("psnr", recall, invention) else "**no**"
            told = f"{_told('psnr', recall)} against {_told('psnr', invention)}"
            yield f"| PSNR, {horizon}: recall above invention, intervals apart | {holds} | {told} |"
    yield ""


def _table(figures: Figures, names: Iterable[str]) -> Iterator[str]:
    content = figures.content
    for metric in (name for name in METRICS if name in content["metrics"]):
        heads = (f"{h['name']} {h['first']}\N{EN DASH}{h['last']}" for h in content["horizons"])
        yield f"| {METRICS[metric][0]} | {' | '.join(heads)} |"
        yield "| --- |" + " ---: |" * len(content["horizons"])
        for name in names:
            cells = (_told(metric, figures.of(name, metric, h["name"])) for h in content["horizons"])
            yield f"| {f'*{name}*' if content['roles'][name] == 'bound' else name} | {' | '.join(cells)} |"
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
    columns: list[Column] = [
        (kind, kind, None, None) for kind in ("recall", "invention", "recalled pixels", "invented pixels")
    ]
    yield from _memory_table(figures, columns)
    horizons = [horizon["name"] for horizon in figures.content["horizons"]]
    yield "By how late a frame comes:"
    yield ""
    yield from _memory_table(figures, [(f"{k}, {h}", k, h, None) for h in horizons for k in ("recall", "invention")])
    gaps = sorted(g["gap"] for g in figures.groups if g["kind"] == "recall" and g["gap"])
    yield "Revisits: recall by how many frames ago the view was last seen."
    yield ""
    yield from _memory_table(figures, [(f"{gap[0]}\N{EN DASH}{gap[1]}", "recall", None, gap) for gap in gaps])


Column = tuple[str, str, str | None, Sequence[int] | None]
"""Head, kind, horizon, gap."""


def _memory_table(figures: Figures, columns: Sequence[Column]) -> Iterator[str]:
    yield f"| | {' | '.join(head for head, *_ in columns)} |"
    yield "| --- |" + " ---: |" * len(columns)
    for name, role in figures.content["roles"].items():
        found = (figures.memory(name, "psnr", kind, horizon, gap) for _, kind, horizon, gap in columns)
        cells = ("\N{EN DASH}" if figure is None else _told("psnr", figure) for figure in found)
        yield f"| {f'*{name}*' if role == 'bound' else name} | {' | '.join(cells)} |"
    yield ""


def _training(trained: Sequence[Trained], tokenizers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "## What it took"
    yield ""
    yield "Hours by the clock; on a CPU the models train at the same time."
    yield ""
    yield "| | parameters | schedule | tokens | context frames | examples | Tflop | hours |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for model in trained:
        sizes = f"{model.parameters:,} | {model.schedule} | {model.tokens:,} | {model.context_frames:,}"
        yield f"| {model.name} | {sizes} | {' | '.join(_cost(model.took))} |"
    for variant, took in tokenizers.items():
        yield f"| {variant} tokenizer | | | | | {' | '.join(_cost(took))} |"


def _cost(took: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{took['examples']:,}", f"{took['flop'] / 1e12:,.0f}", f"{took['seconds'] / 3600:.1f}"


def _video_card(model: Trained, figures: Figures, run: Mapping[str, Any]) -> Iterator[str]:
    examples, tflop, hours = _cost(model.took)
    yield f"# Video model: {model.name}"
    yield ""
    yield (
        f"{model.schedule}. {model.tokens:,} tokens a step, {model.context_frames} frames of context, {model.parameters:,} "
        f"parameters. {examples} training examples, {tflop} Tflop, {hours} hours."
    )
    yield ""
    yield from _of_this_run([model.name], figures, run)


def _tokenizer_card(variant: str, took: Mapping[str, Any], figures: Figures, run: Mapping[str, Any]) -> Iterator[str]:
    examples, tflop, hours = _cost(took)
    yield f"# Tokenizer: {variant}"
    yield ""
    yield f"{examples} training frames, {tflop} Tflop, {hours} hours."
    yield ""
    yield from _of_this_run(["true latents"] if variant == "adaptive" else [], figures, run)


def _of_this_run(names: Sequence[str], figures: Figures, run: Mapping[str, Any]) -> Iterator[str]:
    content = figures.content
    yield (
        f"Made by {_made_by(figures, run)}. The data are those of its first stage, seed {run['settings']['seed']}. Weights in "
        "float16, loaded as float32; the figures are theirs. Licence: MIT, as the code."
    )
    yield ""
    if names:
        yield (
            f"{content['videos']} test videos of worlds that no model has seen, {content['start']} frames given, "
            f"{content['frames']} generated; in brackets 95 % intervals."
        )
        yield ""
        yield from _table(figures, names)


def _told(metric: str, figure: Mapping[str, Any]) -> str:
    decimals = METRICS[metric][1]

    def number(value: float | None) -> str:
        return "\N{EN DASH}" if value is None else f"{value:.{decimals}f}"

    low, high = figure["interval"]
    return f"{number(figure['value'])} ({number(low)}\N{EN DASH}{number(high)})"
