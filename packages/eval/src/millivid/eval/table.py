"""The tables of a report: runs by metric and horizon (the paper's Table 1), sets, memory, loops."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .figures import Figure
from .loop_closure import LoopClosure, LoopFigures
from .memory import FRAME_KINDS, PIXEL_KINDS, FrameKind, Memory, PixelKind
from .metrics import Metric
from .palette import Look
from .results import Results
from .revisits import NEVER
from .sets import SetFigure

ARROWS = {"higher": "↑", "lower": "↓"}
Kind = FrameKind | PixelKind
Loops = Mapping[str, Mapping[str, LoopClosure]]
"""By run, by metric."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure as text, its 95 % interval as text (empty if undefined), and whether no other run's is better.

    few: the figure of a set with fewer items than feature dimensions.
    """

    text: str
    interval: str
    best: bool
    few: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run's cells, metric by metric, horizon by horizon."""

    look: Look
    cells: tuple[Cell, ...]


def format_figure(value: float, decimals: int) -> str:
    """Fixed decimals; ∞ for an infinite PSNR, an en dash for what is undefined."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return "∞" if math.isinf(value) else f"{value:.{decimals}f}"


def format_interval(figure: Figure, decimals: int) -> str:
    """`12.1 to 13.4`; empty where it is undefined."""
    if math.isnan(figure.low) or math.isnan(figure.high):
        return ""
    return f"{format_figure(figure.low, decimals)} to {format_figure(figure.high, decimals)}"


def cell(figure: Figure, metric: Metric, rivals: Sequence[Figure] = ()) -> Cell:
    """A figure as a cell; `rivals`: the figures among which it may be the best."""
    text = format_figure(figure.value, metric.decimals)
    values = [rival.value for rival in rivals if not math.isnan(rival.value)]
    best = (max(values) if metric.better == "higher" else min(values)) if len(values) > 1 else math.nan
    return Cell(
        text=text,
        interval=format_interval(figure, metric.decimals),
        best=not math.isnan(best) and text == format_figure(best, metric.decimals),
        few=isinstance(figure, SetFigure) and not figure.enough,
    )


def in_order(looks: Sequence[Look]) -> list[Look]:
    """Runs first, then bounds."""
    return sorted(looks, key=lambda look: look.role == "bound")


def horizon_rows(results: Results, looks: Sequence[Look]) -> tuple[Row, ...]:
    """The table's rows: runs in order, then bounds. Only runs, not bounds, compete for best."""
    competing = [look.name for look in looks if look.role == "run"]
    rows = []
    for look in in_order(looks):
        cells = []
        for metric in results.metrics:
            for horizon in results.horizons:
                rivals = [results.figure(name, metric.name, horizon.name) for name in competing]
                figure = results.figure(look.name, metric.name, horizon.name)
                cells.append(cell(figure, metric, rivals if look.role == "run" else ()))
        rows.append(Row(look=look, cells=tuple(cells)))
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class MemoryRow:
    """What can be remembered against what cannot, for one gap: how many items either has, and both cells of every run."""

    text: str
    counts: str
    cells: tuple[tuple[Cell | None, Cell | None], ...]


def memory_rows(memory: Memory, metric: Metric, looks: Sequence[Look]) -> tuple[MemoryRow, ...]:
    """Recall against invention: all frames, pixels where they are told apart, and by gap. Cells in the order of `looks`."""
    parts: list[tuple[str, Sequence[Kind], tuple[int, int] | None]] = [("all frames", FRAME_KINDS, None)]
    parts += [(gap_text(gap), FRAME_KINDS, gap) for gap in memory.gaps]
    if memory.has_pixels and getattr(metric, "has_map", False):
        parts.append(("pixels, by surface", PIXEL_KINDS, None))
    rows = []
    for text, kinds, gap in parts:
        figures = [group.figures if (group := memory.find(kind, gap=gap)) else None for kind in kinds]
        counts = [0 if found is None else found[looks[0].name][metric.name].items for found in figures]
        cells = [
            tuple(None if found is None else cell(found[look.name][metric.name], metric) for found in figures)
            for look in looks
        ]
        rows.append(
            MemoryRow(
                text=text,
                counts=" / ".join(f"{count:,}" for count in counts),
                cells=tuple((first, second) for first, second in cells),
            )
        )
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class LoopRow:
    """Loops of one gap: by run, how many pairs, and the distance and the closure between their ends as text."""

    text: str
    cells: tuple[str, ...]
    intervals: tuple[str, ...]


LOOPS_TEXT = (
    "Frames that come back to a view after being away, against the earlier frame of that view: their distance, and closure, "
    "that distance over the mean one to frames on the way (0: came back exactly, 1: as far as what was seen on the way). No "
    "true frame is needed. A video that stands still has no closure; its pairs are left out and counted as frozen."
)


def loop_rows(loops: Loops, metric: str) -> tuple[LoopRow, ...]:
    """All pairs, and by how many frames lie between them; a cell per run that has this metric, `distance / closure`."""
    found = {run: by_metric[metric] for run, by_metric in loops.items() if metric in by_metric}
    gaps = {gap: None for closure in found.values() for gap in closure.by_gap}
    rows = []
    for gap in (None, *sorted(gaps, key=lambda gap: int(gap.split("-")[0]))):
        figures = [c.overall if gap is None else c.by_gap.get(gap) for c in found.values()]
        decimals = [closure.metric.decimals for closure in found.values()]
        rows.append(
            LoopRow(
                text="all pairs" if gap is None else f"back after {gap.replace('-', chr(0x2013))} frames",
                cells=tuple(_loop_cell(f, d) for f, d in zip(figures, decimals, strict=True)),
                intervals=tuple("" if f is None else format_interval(f.closure, 3) for f in figures),
            )
        )
    return tuple(rows)


def _loop_cell(figures: LoopFigures | None, decimals: int) -> str:
    if figures is None:
        return "\N{EN DASH}"
    counts = f"{figures.pairs} pairs" + (f", {figures.frozen} frozen" if figures.frozen else "")
    return f"{format_figure(figures.distance.value, decimals)} / {format_figure(figures.closure.value, 3)} ({counts})"


def loops_markdown(loops: Loops) -> list[str]:
    """The loops' tables, one per metric, as lines of Markdown."""
    lines = ["## Loop closure", "", LOOPS_TEXT, ""]
    for metric in dict.fromkeys(name for by_metric in loops.values() for name in by_metric):
        runs = [run for run, by_metric in loops.items() if metric in by_metric]
        about = loops[runs[0]][metric].metric
        heads = [run.replace("|", "\\|") for run in runs]
        lines.append(f"| {about.label} of both ends {ARROWS[about.better]} / closure ↓ | " + " | ".join(heads) + " |")
        lines.append("| --- |" + " ---: |" * len(runs))
        lines += [f"| {row.text} | " + " | ".join(row.cells) + " |" for row in loop_rows(loops, metric)]
        lines.append("")
    return lines


def gap_text(gap: tuple[int, int]) -> str:
    """`seen 17-32 frames ago`, with an en dash, or `never seen`."""
    return "never seen" if gap == (NEVER, NEVER) else f"seen {gap[0]}\N{EN DASH}{gap[1]} frames ago"


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
            lines += _memory(results.memory, metric, in_order(looks))
    lines += loops_markdown(loops) if loops else []
    lines += [f"- {name}: {text}" for name, text in descriptions.items()]
    lines += [f"- {name} is missing: {reason}" for name, reason in results.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


MEMORY_TEXT = (
    "Recall / invention: frames whose view the context shows, and frames whose view it does not show; by how many frames ago "
    "the view was last seen. Pixels: those of surfaces that the context shows, and those of others. n: how many frames or "
    "pixels. Definitions: docs/evaluation.md."
)


def _memory(memory: Memory, metric: Metric, looks: Sequence[Look]) -> list[str]:
    lines = [
        f"| {metric.label} {ARROWS[metric.better]} recall / invention | n | " + " | ".join(map(_name, looks)) + " |",
        "| --- | ---: |" + " ---: |" * len(looks),
    ]
    for row in memory_rows(memory, metric, looks):
        cells = (" / ".join("\N{EN DASH}" if c is None else c.text for c in pair) for pair in row.cells)
        lines.append(f"| {row.text} | {row.counts} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _lines(heads: Sequence[str], rows: Sequence[Row], text: Callable[[Cell], str]) -> list[str]:
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    lines += [f"| {_name(row.look)} | " + " | ".join(text(c) for c in row.cells) + " |" for row in rows]
    return [*lines, ""]


def _name(look: Look) -> str:
    name = look.name.replace("|", "\\|")
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
        lines.append(f"| {look.name.replace('|', chr(92) + '|')} | {cells} |")
    return [*lines, ""]


def set_rows(results: Results, looks: Sequence[Look]) -> list[tuple[Look, tuple[str, ...]]]:
    """Per run, set metric and horizon: metric, horizon, items, dimensions, distance and MMD with their intervals."""
    rows = []
    for metric in results.set_metrics:
        for horizon in results.horizons:
            for look in in_order(looks):
                figure = results.sets[look.name][metric.name][horizon.name]
                few = "" if figure.enough else " (few)"
                distance = (
                    f"{format_figure(figure.value, metric.decimals)} ({format_interval(figure, metric.decimals)})"
                )
                mmd = f"{format_figure(figure.mmd.value, 4)} ({format_interval(figure.mmd, 4)})"
                counts = (f"{figure.items}{few}", str(figure.dim))
                cells = (metric.label, horizon.label, *counts, distance, mmd)
                rows.append((look, tuple(text.replace(" ()", "") for text in cells)))
    return rows


SET_HEADS = ("metric", "horizon", "items", "dimensions", "Fréchet distance ↓", "MMD ↓")


def _sets(results: Results, looks: Sequence[Look]) -> list[str]:
    if not results.set_metrics:
        return []
    lines = ["Sets of features, with 95 % intervals over videos:", "", "| | " + " | ".join(SET_HEADS) + " |"]
    lines.append("| --- | --- | --- |" + " ---: |" * (len(SET_HEADS) - 2))
    lines += [f"| {_name(look)} | " + " | ".join(cells) + " |" for look, cells in set_rows(results, looks)]
    return [*lines, ""]


def sizes_text(results: Results) -> str:
    """`64x64`, or `64x64 and 80x48` where videos differ."""
    return " and ".join(f"{width}x{height}" for width, height in results.sizes)
