"""RESULTS.md of a reproduction: who remembers, with intervals, and what it took."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from millivid.data.atomic import write_text
from millivid.diffusion import VideoDiT, VideoModelInfo
from millivid.eval import Results, read_results
from millivid.eval.figures import Figure
from millivid.eval.memory import FRAME_KINDS, PIXEL_KINDS, FrameKind, PixelKind
from millivid.eval.reporting.tables import Cell, Table, cell_of, run_table
from millivid.eval.results import MetricInfo
from millivid.rollout import make_schedule

OURS, RIVALS = "millivid", ("framepack", "full_resolution")
METRICS = ("psnr", "lpips", "ssim")


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
    def one(self) -> str:
        return _with_interval(cell_of(self.first, self.metric))

    @property
    def other(self) -> str:
        return _with_interval(cell_of(self.second, self.metric))


def write_results(out: Path, models: Sequence[str]) -> Path:
    """Write RESULTS.md into a reproduction's folder, from its report and its runs, and a card beside all its weights.

    Returns the path of RESULTS.md.
    """
    results = read_results(out / "report" / "metrics.json")
    run = json.loads((out / "run.json").read_text())
    trained = [Trained.read(out, name) for name in models]
    tokenizers = {folder.name: _cost(folder) for folder in (out / "tokenizers").iterdir()}
    shared = {"results": results, "made_by": _made_by(results, run), "seed": run["settings"]["seed"]}
    for model in trained:
        examples, tflop, hours = model.cost
        what_it_took = (
            f"{model.schedule}. {model.tokens:,} tokens a step, {model.context_frames} frames of context, "
            f"{model.parameters:,} parameters. {examples} training examples, {tflop} Tflop, {hours} hours."
        )
        card = {"title": f"Video model: {model.name}", "what_it_took": what_it_took, **shared}
        _write(out / "weights" / model.name / "README.md", "card", tables=horizon_tables(results, [model.name]), **card)
    for variant, (examples, tflop, hours) in tokenizers.items():
        what_it_took = f"{examples} training frames, {tflop} Tflop, {hours} hours."
        card = {"title": f"Tokenizer: {variant}", "what_it_took": what_it_took, **shared}
        is_bound = variant == "adaptive"
        folder = out / "weights" / ("tokenizer" if is_bound else f"tokenizer_{variant}")
        _write(
            folder / "README.md", "card", tables=horizon_tables(results, ["true latents"]) if is_bound else [], **card
        )
    return _write(
        out / "RESULTS.md",
        "results",
        recall=(out / "report" / "recall.png").is_file(),
        claims=list(_claims(results, models)),
        tables=horizon_tables(results, list(results.roles)),
        memory=memory_tables(results),
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
            recall, invention = (_remembered(results, OURS, kind, horizon) for kind in FRAME_KINDS)
            if recall and invention:
                yield Claim(f"{metric.label}, {horizon}: recall above invention", metric, recall, invention)


def _metrics(results: Results, *names: str) -> list[MetricInfo]:
    """Those of these that are there."""
    return [metric for name in names if (metric := results.metric(name)) is not None]


def _with_interval(cell: Cell) -> str:
    return f"{cell.text} ({cell.low}\N{EN DASH}{cell.high})" if cell.low else cell.text


def horizon_tables(results: Results, runs: Sequence[str]) -> list[str]:
    """Runs by horizon as Markdown, a table per metric."""

    def cell(metric: MetricInfo, horizon: str, run: str) -> Cell:
        return cell_of(results.figure(run, metric.name, horizon), metric)

    tables = []
    for metric in _metrics(results, *METRICS):
        columns = [(horizon.label, partial(cell, metric, horizon.name)) for horizon in results.horizons]
        tables.append(_markdown(run_table(results, columns, runs=runs, corner=metric.title)))
    return tables


def _markdown(table: Table) -> str:
    return "\n".join(table.markdown(_with_interval)).rstrip()


def memory_tables(results: Results) -> dict[str, str]:
    """Tables in Markdown of PSNR where there is something to remember and where there is not; none without memory or PSNR."""
    if results.memory is None or results.metric("psnr") is None:
        return {}
    (metric,) = _metrics(results, "psnr")

    def cell(part: Part, run: str) -> Cell:
        return cell_of(_remembered(results, run, *part), metric)

    gaps = sorted(g.gap for g in results.memory.groups if g.kind == "recall" and g.gap)
    parts: dict[str, dict[str, Part]] = {
        "kinds": {kind: (kind, None, None) for kind in (*FRAME_KINDS, *PIXEL_KINDS)},
        "horizons": {f"{kind}, {h.name}": (kind, h.name, None) for h in results.horizons for kind in FRAME_KINDS},
        "gaps": {f"{gap[0]}\N{EN DASH}{gap[1]}": ("recall", None, gap) for gap in gaps},
    }
    return {
        name: _markdown(run_table(results, [(head, partial(cell, part)) for head, part in columns.items()]))
        for name, columns in parts.items()
    }


Part = tuple[FrameKind | PixelKind, str | None, tuple[int, int] | None]
"""What memory is told apart by: kind, horizon, gap."""


def _remembered(
    results: Results,
    run: str,
    kind: FrameKind | PixelKind,
    horizon: str | None = None,
    gap: tuple[int, int] | None = None,
) -> Figure | None:
    """PSNR over frames or pixels of a kind; None where there are none."""
    group = results.memory.find(kind, horizon, gap) if results.memory is not None else None
    return None if group is None else group.figures[run].get("psnr")
