"""All tables of a report as Markdown (metrics.md)."""

from collections.abc import Callable, Mapping, Sequence

from ..metrics import Metric
from ..results import Results
from .loop_table import LOOPS_TEXT, Loops, loop_metrics, loop_rows
from .memory_table import MEMORY_TEXT, memory_rows
from .palette import Look
from .table import ARROWS, SET_HEADS, Cell, Row, format_figure, horizon_rows, in_order, set_rows, sizes_text


def markdown(
    results: Results, looks: tuple[Look, ...], title: str, descriptions: Mapping[str, str], loops: Loops
) -> str:
    """All tables as a Markdown page, with what they were computed over."""
    of = "" if len(results.ids) == results.reference_videos else f" of the reference's {results.reference_videos}"
    lines = [
        f"# {title}",
        "",
        f"{len(results.ids)} videos{of}, {results.num_frames} generated frames each, after {results.start} frames of "
        f"context; {sizes_text(results)} pixels.",
        "",
    ]
    heads = tuple(f"{m.label} {ARROWS[m.better]} {h.label}" for m in results.metrics for h in results.horizons)
    rows = horizon_rows(results, looks)
    lines += _lines(heads, rows, lambda c: (f"**{c.text}**" if c.best else c.text) + ("†" if c.few else ""))
    if any(c.few for row in rows for c in row.cells):
        lines += ["† fewer items than feature dimensions: compare only with sets of the same size.", ""]
    lines += ["95 % intervals, by bootstrap over videos:", ""]
    lines += _lines(heads, rows, lambda c: c.interval or "\N{EN DASH}")
    lines += _frame_means(results, looks) + _sets(results, looks)
    if results.memory is not None:
        lines += ["## Memory", "", MEMORY_TEXT, ""]
        for metric in results.frame_metrics:
            lines += _memory(results, metric, in_order(looks))
    lines += loops_markdown(loops) if loops else []
    lines += [f"- {name}: {text}" for name, text in descriptions.items()]
    lines += [f"- {name} is missing: {reason}" for name, reason in results.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def _lines(heads: Sequence[str], rows: Sequence[Row], text: Callable[[Cell], str]) -> list[str]:
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    lines += [f"| {_name(row.look)} | " + " | ".join(text(c) for c in row.cells) + " |" for row in rows]
    return [*lines, ""]


def _name(look: Look) -> str:
    name = _escaped(look.name)
    return f"*{name}* (bound)" if look.role == "bound" else name


def _frame_means(results: Results, looks: Sequence[Look]) -> list[str]:
    if not any(metric.name == "psnr" for metric in results.metrics):
        return []
    lines = [
        "PSNR is that of the squared error averaged over a horizon's frames and all videos. The authors' code",
        "records each frame's own PSNR instead; the mean of those is",
        "",
        "| PSNR, mean over frames | " + " | ".join(h.label for h in results.horizons) + " |",
        "| --- |" + " ---: |" * len(results.horizons),
    ]
    for look in in_order(looks):
        figures = results.scores[look.name]["psnr"].extra["frame_mean"]
        cells = " | ".join(format_figure(figures[h.name], 2) for h in results.horizons)
        lines.append(f"| {_escaped(look.name)} | {cells} |")
    return [*lines, ""]


def _sets(results: Results, looks: Sequence[Look]) -> list[str]:
    if not results.set_metrics:
        return []
    lines = ["Sets of features, with 95 % intervals over videos:", "", "| | " + " | ".join(SET_HEADS) + " |"]
    lines.append("| --- | --- | --- |" + " ---: |" * (len(SET_HEADS) - 2))
    lines += [f"| {_name(look)} | " + " | ".join(cells) + " |" for look, cells in set_rows(results, looks)]
    return [*lines, ""]


def _memory(results: Results, metric: Metric, looks: Sequence[Look]) -> list[str]:
    assert results.memory is not None
    lines = [
        f"| {metric.label} {ARROWS[metric.better]} recall / invention | n | " + " | ".join(map(_name, looks)) + " |",
        "| --- | ---: |" + " ---: |" * len(looks),
    ]
    for row in memory_rows(results.memory, metric, results.horizons, looks):
        cells = (" / ".join("\N{EN DASH}" if c is None else c.text for c in run) for run in row.cells)
        lines.append(f"| {row.text} | {row.counts} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def loops_markdown(loops: Loops) -> list[str]:
    """The loops' tables, one per metric, as lines of Markdown."""
    lines = ["## Loop closure", "", LOOPS_TEXT, ""]
    for name, runs in loop_metrics(loops).items():
        metric = loops[runs[0]][name].metric
        heads = " | ".join(map(_escaped, runs))
        lines.append(f"| {metric.label} of both ends {ARROWS[metric.better]} / closure ↓ | {heads} |")
        lines.append("| --- |" + " ---: |" * len(runs))
        lines += [f"| {row.text} | " + " | ".join(row.cells) + " |" for row in loop_rows(loops, name)]
        lines.append("")
    return lines


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")
