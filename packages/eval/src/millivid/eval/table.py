"""The horizon table of a report: rows are runs, columns are metric times horizon (the paper's Table 1)."""

import math
from dataclasses import dataclass

from .metrics import FrameMetric
from .palette import Look
from .results import Results

ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure as text, its standard error as text (empty if undefined), and whether no other run's is better."""

    text: str
    error: str
    best: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run's cells, metric by metric, horizon by horizon."""

    look: Look
    cells: tuple[Cell, ...]


def format_figure(value: float, decimals: int) -> str:
    """Fixed decimals; ∞ for an infinite PSNR."""
    return "∞" if math.isinf(value) else f"{value:.{decimals}f}"


def horizon_rows(results: Results, looks: tuple[Look, ...]) -> tuple[Row, ...]:
    """The table's rows: runs in order, then bounds. Only runs, not bounds, compete for best."""
    ordered = sorted(looks, key=lambda look: look.role == "bound")
    competing = [look.name for look in looks if look.role == "run"]
    rows = []
    for look in ordered:
        cells = []
        for metric in results.metrics:
            for horizon in results.horizons:
                scores = results.scores[look.name][metric.name]
                text = format_figure(scores.horizons[horizon.name], metric.decimals)
                rivals = [results.scores[name][metric.name].horizons[horizon.name] for name in competing]
                best = len(competing) > 1 and look.role == "run" and text == _best(metric, rivals)
                error = scores.stderr[horizon.name]
                cells.append(
                    Cell(text=text, error="" if math.isnan(error) else f"{error:.{metric.decimals}f}", best=best)
                )
        rows.append(Row(look=look, cells=tuple(cells)))
    return tuple(rows)


def _best(metric: FrameMetric, figures: list[float]) -> str:
    return format_figure(max(figures) if metric.better == "higher" else min(figures), metric.decimals)


def markdown(results: Results, looks: tuple[Look, ...], title: str, descriptions: dict[str, str]) -> str:
    """The table as a Markdown page, with what it was computed over."""
    columns = [f"{m.label} {ARROWS[m.better]} {h.label}" for m in results.metrics for h in results.horizons]
    lines = [
        f"# {title}",
        "",
        f"{len(results.ids)} videos, {results.num_frames} generated frames each, after {results.start} frames of "
        f"context; {sizes_text(results)} pixels.",
        "",
        "| | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row in horizon_rows(results, looks):
        name = row.look.name.replace("|", "\\|")
        name = f"*{name}* (bound)" if row.look.role == "bound" else name
        lines.append(f"| {name} | " + " | ".join(f"**{c.text}**" if c.best else c.text for c in row.cells) + " |")
    lines.append("")
    if any(metric.name == "psnr" for metric in results.metrics):
        lines += [
            "PSNR is that of the squared error averaged over a horizon's frames and all videos. The authors' code",
            "records each frame's own PSNR instead; the mean of those is",
            "",
            "| PSNR, mean over frames | " + " | ".join(h.label for h in results.horizons) + " |",
            "| --- |" + " ---: |" * len(results.horizons),
        ]
        for look in sorted(looks, key=lambda look: look.role == "bound"):
            figures = results.scores[look.name]["psnr"].extra["frame_mean"]
            cells = " | ".join(format_figure(figures[h.name], 2) for h in results.horizons)
            lines.append(f"| {look.name.replace('|', chr(92) + '|')} | {cells} |")
        lines.append("")
    lines += [f"- {name}: {text}" for name, text in descriptions.items()]
    lines += [f"- {name} is missing: {reason}" for name, reason in results.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def sizes_text(results: Results) -> str:
    """`64x64`, or `64x64 and 80x48` where videos differ."""
    return " and ".join(f"{width}x{height}" for width, height in results.sizes)
