"""RESULTS.md of a reproduction: who remembers, with intervals, and what it took."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from millivid.diffusion import VideoDiT, VideoModelInfo
from millivid.eval import Results, read_results
from millivid.eval.figures import Figure
from millivid.eval.memory import FRAME_KINDS
from millivid.eval.reporting.tables import cell_of, horizon_tables, markdown_text, memory_table
from millivid.eval.results import MetricInfo
from millivid.files import read_json, write_json, write_text
from millivid.rollout import make_schedule
from millivid.training.loop import TRAINED_FILE

OURS, RIVALS = "millivid", ("framepack", "full_resolution")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A video model and what it took."""

    name: str
    parameters: int
    schedule: str
    tokens: int
    context_frames: int
    cost: "Cost"

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
            schedule=markdown_text(f"{schedule['name']}: {settings}"),
            tokens=max(model.sequence_length(step) for step in chunk.steps),
            context_frames=chunk.num_context_frames,
            cost=Cost.of(folder),
        )


@dataclass(frozen=True)
class Cost:
    """What trained weights took."""

    examples: int
    flop: float
    seconds: float

    @classmethod
    def of(cls, *folders: Path) -> "Cost":
        """The sum of training runs, or of trained weights."""
        costs = [read_json(folder / TRAINED_FILE, cls) for folder in folders]
        return cls(*(sum(values) for values in zip(*map(astuple, costs), strict=True)))

    def save(self, folder: Path) -> None:
        """Write it beside the weights."""
        write_json(folder / TRAINED_FILE, asdict(self))

    @property
    def cells(self) -> tuple[str, str, str]:
        """Examples, Tflop and hours."""
        return f"{self.examples:,}", f"{self.flop / 1e12:,.0f}", f"{self.seconds / 3600:.1f}"


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
    run = read_json(out / "run.json", dict[str, Any])
    trained = [Trained.read(out, name) for name in models]
    folders = sorted((out / "weights").glob("tokenizer*"))
    tokenizers = {folder.name.partition("_")[2] or "adaptive": folder for folder in folders}
    shared = {"results": results, "made_by": _made_by(results, run), "seed": run["settings"]["seed"]}
    for model in trained:
        card = {"title": f"Video model: {model.name}", "model": model, "cost": model.cost, **shared}
        _write(out / "weights" / model.name / "README.md", "card", tables=horizon_tables(results, [model.name]), **card)
    for variant, folder in tokenizers.items():
        tables = horizon_tables(results, ["true latents"]) if variant == "adaptive" else []
        card = {"title": f"Tokenizer: {variant}", "cost": Cost.of(folder)}
        _write(folder / "README.md", "card", tables=tables, **card, **shared)
    psnr = results.metric("psnr")
    return _write(
        out / "RESULTS.md",
        "results",
        recall=(out / "report" / "recall.png").is_file(),
        claims=list(_claims(results, models)),
        tables=horizon_tables(results),
        memory=None if results.memory is None or psnr is None else memory_table(results, psnr),
        trained=trained,
        tokenizers={variant: Cost.of(folder) for variant, folder in tokenizers.items()},
        **shared,
    )


def _write(file: Path, template: str, **content: Any) -> Path:
    text = (files(__package__) / "templates" / f"{template}.md.jinja").read_text(encoding="utf-8")
    page = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render(content)
    write_text(file, page.rstrip() + "\n")
    return file


def _made_by(results: Results, run: Mapping[str, Any]) -> str:
    settings, launches = run["settings"], run["launches"]
    machines = [launch["hardware"] for launch in launches]
    devices = dict.fromkeys(m["gpu"] or f"{m['cores']} cores of {m['processor']}, no GPU" for m in machines)
    commits = dict.fromkeys(re.sub(r"^(\w{12})\w*", r"\1", launch["commit"] or "unknown") for launch in launches)
    models = ",".join(name for name, role in results.roles.items() if role != "bound")
    init = f" init={Path(settings['init']).name}" if settings.get("init") else ""
    command = (
        f"millivid reproduce budget={settings['budget']:g} frames={settings['frames']} seed={settings['seed']} "
        f"models=[{models}]{init}"
    )
    return f"`{command}`, commit {', '.join(commits)}, torch {launches[-1]['versions']['torch']}, {'; '.join(devices)}"


def _claims(results: Results, models: Sequence[str]) -> Iterator[Claim]:
    horizons = [horizon.name for horizon in results.horizons][1:]
    rivals = [name for name in RIVALS if name in models]
    if OURS not in models or not rivals:
        return
    for rival in rivals:
        for horizon in horizons:
            for metric in results.metrics:
                if metric.name in ("psnr", "lpips"):
                    figures = (results.figure(name, metric.name, horizon) for name in (OURS, rival))
                    yield Claim(markdown_text(f"{metric.label}, {horizon}: better than {rival}"), metric, *figures)
    psnr, memory = results.metric("psnr"), results.memory
    if psnr is None or memory is None:
        return
    for horizon in horizons:
        groups = [group for kind in FRAME_KINDS if (group := memory.find(kind, horizon))]
        if len(groups) == len(FRAME_KINDS):
            recall, invention = (group.figures[OURS]["psnr"] for group in groups)
            yield Claim(f"{psnr.label}, {horizon}: recall above invention", psnr, recall, invention)
