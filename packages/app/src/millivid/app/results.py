"""RESULTS.md of a reproduction: who remembers, with intervals, and what it took."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from millivid.data.atomic import write_text
from millivid.diffusion import VideoDiT, VideoModelInfo
from millivid.eval import Results, read_results
from millivid.eval.figures import Figure
from millivid.eval.memory import FRAME_KINDS
from millivid.eval.reporting.tables import cell_of, horizon_tables, memory_table
from millivid.eval.results import MetricInfo
from millivid.rollout import make_schedule

OURS, RIVALS = "millivid", ("framepack", "full_resolution")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A video model and what it took."""

    name: str
    parameters: int
    schedule: str
    tokens: int
    context_frames: int
    cost: tuple[str, str, str]

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
            cost=_cost(out / "models" / name),
        )


@dataclass(frozen=True)
class Claim:
    """That one figure is better than another, by intervals that do not touch."""

    text: str
    metric: MetricInfo
    first: Figure
    second: Figure

    @property
    def holds(self) -> bool:
        """What is undefined is not better, and nothing is better than it."""
        if self.metric.better == "higher":
            return self.first.low > self.second.high
        return self.first.high < self.second.low

    @property
    def figures(self) -> str:
        """Both, with their intervals."""
        first, second = (cell_of(figure, self.metric.decimals).markdown for figure in (self.first, self.second))
        return f"{first} against {second}"


def write_results(out: Path, models: Sequence[str]) -> Path:
    """Write RESULTS.md into a reproduction's folder, from its report and its runs, and a card beside all its weights.

    Returns the path of RESULTS.md.
    """
    results = read_results(out / "report" / "metrics.json")
    run = json.loads((out / "run.json").read_text())
    trained = [Trained.read(out, name) for name in models]
    tokenizers = {folder.name: _cost(folder) for folder in (out / "tokenizers").iterdir()}
    shared = {"results": results, "made_by": _made_by(results, run), "seed": run["settings"]["seed"]}

    def write_card(folder: str, title: str, what_it_took: str, runs: Sequence[str]) -> None:
        tables = horizon_tables(results, runs) if runs else []
        file = out / "weights" / folder / "README.md"
        _write(file, "card", title=title, what_it_took=what_it_took, tables=tables, **shared)

    for model in trained:
        examples, tflop, hours = model.cost
        what_it_took = (
            f"{model.schedule}. {model.tokens:,} tokens a step, {model.context_frames} frames of context, "
            f"{model.parameters:,} parameters. {examples} training examples, {tflop} Tflop, {hours} hours."
        )
        write_card(model.name, f"Video model: {model.name}", what_it_took, [model.name])
    for variant, (examples, tflop, hours) in tokenizers.items():
        what_it_took = f"{examples} training frames, {tflop} Tflop, {hours} hours."
        is_bound = variant == "adaptive"
        folder = "tokenizer" if is_bound else f"tokenizer_{variant}"
        write_card(folder, f"Tokenizer: {variant}", what_it_took, ["true latents"] if is_bound else [])
    psnr = results.metric("psnr")
    return _write(
        out / "RESULTS.md",
        "results",
        recall=(out / "report" / "recall.png").is_file(),
        claims=list(_claims(results, models)),
        tables=horizon_tables(results),
        memory=None if results.memory is None or psnr is None else memory_table(results, psnr),
        trained=trained,
        tokenizers=tokenizers,
        **shared,
    )


def _write(file: Path, template: str, **content: Any) -> Path:
    text = (files(__package__) / "templates" / f"{template}.md.jinja").read_text(encoding="utf-8")
    page = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render(content)
    write_text(file, page.rstrip() + "\n")
    return file


def _cost(run: Path) -> tuple[str, str, str]:
    """Examples, Tflop and hours of a training run."""
    took = json.loads((run / "trained.json").read_text())
    return f"{took['examples']:,}", f"{took['flop'] / 1e12:,.0f}", f"{took['seconds'] / 3600:.1f}"


def _made_by(results: Results, run: Mapping[str, Any]) -> str:
    settings, launches = run["settings"], run["launches"]
    machines = [launch["hardware"] for launch in launches]
    devices = dict.fromkeys(m["gpu"] or f"{m['cores']} cores of {m['processor']}, no GPU" for m in machines)
    commits = dict.fromkeys(re.sub(r"^(\w{12})\w*", r"\1", launch["commit"] or "unknown") for launch in launches)
    models = ",".join(name for name, role in results.roles.items() if role != "bound")
    command = (
        f"millivid reproduce budget={settings['budget']:g} frames={settings['frames']} seed={settings['seed']} "
        f"models=[{models}]"
    )
    return f"`{command}`, commit {', '.join(commits)}, torch {launches[-1]['versions']['torch']}, {'; '.join(devices)}"


def _claims(results: Results, models: Sequence[str]) -> Iterator[Claim]:
    horizons = [horizon.name for horizon in results.horizons][1:]
    rivals = [name for name in RIVALS if name in models]
    if OURS not in models or not rivals:
        return
    for rival in rivals:
        for horizon in horizons:
            for metric in _metrics(results, "psnr", "lpips"):
                figures = (results.figure(name, metric.name, horizon) for name in (OURS, rival))
                yield Claim(f"{metric.label}, {horizon}: better than {rival}", metric, *figures)
    for horizon in horizons:
        for metric in _metrics(results, "psnr"):
            recall, invention = (results.memory and results.memory.find(kind, horizon) for kind in FRAME_KINDS)
            if recall and invention:
                figures = (group.figures[OURS][metric.name] for group in (recall, invention))
                yield Claim(f"{metric.label}, {horizon}: recall above invention", metric, *figures)


def _metrics(results: Results, *names: str) -> list[MetricInfo]:
    """Those of these that are there."""
    return [metric for name in names if (metric := results.metric(name)) is not None]
