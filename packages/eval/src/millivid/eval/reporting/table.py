"""The tables of a report: runs by metric and horizon (the paper's Table 1), and sets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..figures import Figure
from ..metrics import Metric
from ..results import Results
from ..sets import SetFigure
from .palette import Look

ARROWS = {"higher": "↑", "lower": "↓"}


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
                mmd = _significant(figure.mmd.value)
                if not math.isnan(figure.mmd.low):
                    mmd += f" ({_significant(figure.mmd.low)} to {_significant(figure.mmd.high)})"
                counts = (f"{figure.items}{few}", str(figure.dim))
                cells = (metric.label, horizon.label, *counts, distance, mmd)
                rows.append((look, tuple(text.replace(" ()", "") for text in cells)))
    return rows


SET_HEADS = ("metric", "horizon", "items", "dimensions", "Fréchet distance ↓", "MMD ↓")


def _significant(value: float) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.3g}"


def sizes_text(results: Results) -> str:
    """`64x64`, or `64x64 and 80x48` where videos differ."""
    return " and ".join(f"{width}x{height}" for width, height in results.sizes)
