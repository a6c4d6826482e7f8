"""The tables of loop closure, run by run."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..loop_closure import LoopClosure, LoopFigures
from .table import format_figure, format_interval

Loops = Mapping[str, Mapping[str, LoopClosure]]
"""By run, by metric."""


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


def loop_metrics(loops: Loops) -> dict[str, list[str]]:
    """By metric, the runs that have it."""
    names = dict.fromkeys(name for by_metric in loops.values() for name in by_metric)
    return {name: [run for run in loops if name in loops[run]] for name in names}
