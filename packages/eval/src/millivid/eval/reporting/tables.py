"""The tables of a report, from its results: for the page, for metrics.md, and for anyone else's Markdown."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..evaluation import Role
from ..figures import Figure
from ..horizons import Horizon
from ..memory import FRAME_KINDS, PIXEL_KINDS, Kind
from ..results import MetricInfo, Results
from ..revisits import NEVER
from ..sets import SetFigure

INTERVALS_TEXT = "In brackets: 95 % intervals, by bootstrap over videos."
FEW_TEXT = "fewer items than feature dimensions: compare only with sets of the same size"
PSNR_TEXT = (
    "PSNR is that of the squared error averaged over a horizon's frames and all videos. The authors' code records each "
    "frame's own PSNR instead; the mean of those is higher:"
)
SETS_TEXT = (
    "Beside each Fréchet distance: the maximum mean discrepancy (MMD) of the same features, and how many items a set has; "
    "its intervals too are over videos."
)
MEMORY_TEXT = (
    "Recall / invention: frames whose view the context shows, and frames whose view it does not show; by horizon, and by how "
    "many frames ago the view was last seen. Frames that go on from the context without having looked away are neither; they "
    "are the first row. Pixels: those of surfaces that the context shows, and those of others. n: how many frames or pixels. "
    "Recall above invention is memory only as far as both come equally late: compare within a horizon, and with the bounds."
)
DASH = "\N{EN DASH}"


def markdown_text(text: str) -> str:
    """Anyone's words as they stand, in a line of Markdown: no table, picture, link, code or HTML is made of them."""
    return re.sub(r"([\\`*<|]|\](?=[(\[:]))", r"\\\1", " ".join(text.split()))


@dataclass(frozen=True)
class Cell:
    """A figure as text, with its 95 % interval (empty if undefined); or the name of a row or a column.

    best: no other run's is better. few: of a set with fewer items than feature dimensions. role: of the run that is named.
    """

    text: str
    interval: str = ""
    best: bool = False
    few: bool = False
    role: Role | None = None

    @property
    def markdown(self) -> str:
        """`**18.74** (18.48-19.01)`, with an en dash."""
        text = markdown_text(self.text)
        text = f"*{text}* (bound)" if self.role == "bound" else f"**{text}**" if self.best else text
        return text + ("†" if self.few else "") + (f" ({self.interval})" if self.interval else "")


@dataclass(frozen=True)
class Table:
    """Heads and rows of equal length, names first."""

    heads: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def markdown(self) -> str:
        heads, *rows = ([cell.markdown for cell in row] for row in (self.heads, *self.rows))
        lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell_of(figure: Figure, decimals: int) -> Cell:
    """A figure as a cell."""
    low, high = (format_figure(end, decimals) for end in (figure.low, figure.high))
    known = not math.isnan(figure.low) and not math.isnan(figure.high)
    few = isinstance(figure, SetFigure) and not figure.enough
    return Cell(format_figure(figure.value, decimals), f"{low}{DASH}{high}" if known else "", few=few)


def format_figure(value: float, decimals: int) -> str:
    """Fixed decimals; ∞ for an infinite PSNR, an en dash for what is undefined."""
    if math.isnan(value):
        return DASH
    return "∞" if math.isinf(value) else f"{value:.{decimals}f}"


def run_table(
    results: Results, corner: str, cell: Callable[[str, Horizon], Cell], runs: Sequence[str] | None = None
) -> Table:
    """A row per run, models and then bounds, and a column per horizon. cell: made of both."""
    heads = (Cell(corner), *(Cell(horizon.label) for horizon in results.horizons))
    rows = (
        (Cell(run, role=results.roles[run]), *(cell(run, horizon) for horizon in results.horizons))
        for run in (results.runs if runs is None else runs)
    )
    return Table(heads, tuple(rows))


def horizon_tables(results: Results, runs: Sequence[str] | None = None) -> list[Table]:
    """Runs by horizon, a table per metric (the paper's Table 1). Only models, not bounds, compete for best."""
    competing = [run for run in (results.runs if runs is None else runs) if results.roles[run] == "run"]

    def cell(metric: MetricInfo, run: str, horizon: Horizon) -> Cell:
        made = cell_of(results.figure(run, metric.name, horizon.name), metric.decimals)
        rivals = [results.figure(name, metric.name, horizon.name).value for name in competing]
        rivals = [value for value in rivals if not math.isnan(value)]
        if run not in competing or len(rivals) < 2:
            return made
        best = max(rivals) if metric.better == "higher" else min(rivals)
        return replace(made, best=made.text == format_figure(best, metric.decimals))

    return [run_table(results, metric.title, partial(cell, metric), runs) for metric in results.metrics]


def frame_mean_table(results: Results) -> Table:
    """The mean of each frame's own PSNR."""
    means = {run: scores["psnr"].frame_mean for run, scores in results.scores.items()}
    return run_table(
        results, "PSNR, mean over frames", lambda run, horizon: Cell(format_figure(means[run][horizon.name], 2))
    )


def set_tables(results: Results) -> list[Table]:
    """Per metric of sets: the discrepancy by run and horizon, and beneath how many items it is of."""

    def figure(metric: MetricInfo, run: str, horizon: Horizon) -> SetFigure:
        found = results.figure(run, metric.name, horizon.name)
        assert isinstance(found, SetFigure)
        return found

    def cell(metric: MetricInfo, run: str, horizon: Horizon) -> Cell:
        mmd = figure(metric, run, horizon).mmd
        interval = "" if math.isnan(mmd.low) else f"{mmd.low:.3g} to {mmd.high:.3g}"
        return Cell(DASH if math.isnan(mmd.value) else f"{mmd.value:.3g}", interval)

    tables = []
    for metric in results.set_metrics:
        table = run_table(results, f"{metric.label}: MMD ↓", partial(cell, metric))
        figures = [figure(metric, results.runs[0], horizon) for horizon in results.horizons]
        items = (Cell(f"{found.items}", few=not found.enough) for found in figures)
        counts = (Cell(f"items of {figures[0].dim} dimensions"), *items)
        tables.append(Table(table.heads, (*table.rows, counts)))
    return tables


def memory_table(results: Results, metric: MetricInfo) -> Table:
    """Continued views; then recall and invention, of all frames, by horizon, by gap, and by pixel if known.

    A column per run, and a row for all that occurs. Needs `results.memory`.
    """
    assert results.memory is not None
    parts: list[tuple[str, Kind, str | None, tuple[int, int] | None]] = [
        ("view goes on from the context", "continued", None, None),
        *((f"{kind}, all frames", kind, None, None) for kind in FRAME_KINDS),
        *((f"{kind}, {h.label}", kind, h.name, None) for h in results.horizons for kind in FRAME_KINDS),
        *((f"{kind}, {gap_text(gap)}", kind, None, gap) for gap in results.memory.gaps for kind in FRAME_KINDS),
        *((kind, kind, None, None) for kind in PIXEL_KINDS),
    ]
    rows = []
    for text, kind, horizon, gap in parts:
        group = results.memory.find(kind, horizon, gap)
        if group is not None and all(metric.name in group.figures[run] for run in results.runs):
            figures = [group.figures[run][metric.name] for run in results.runs]
            cells = (cell_of(figure, metric.decimals) for figure in figures)
            rows.append((Cell(text), Cell(f"{figures[0].items:,}"), *cells))
    heads = (Cell(metric.title), Cell("n"), *(Cell(run, role=results.roles[run]) for run in results.runs))
    return Table(heads, tuple(rows))


def memory_tables(results: Results) -> list[Table]:
    """A table per metric; none without memory."""
    return [] if results.memory is None else [memory_table(results, metric) for metric in results.frame_metrics]


def gap_text(gap: tuple[int, int]) -> str:
    """`seen 17-32 frames ago`, with an en dash, or `never seen`."""
    return "never seen" if gap == (NEVER, NEVER) else f"seen {gap[0]}{DASH}{gap[1]} frames ago"


def sizes_text(results: Results) -> str:
    """`64x64`, or `64x64 and 80x48` where videos differ."""
    return " and ".join(f"{width}x{height}" for width, height in results.sizes)


def tables_as_markdown(results: Results, title: str) -> str:
    """All tables as a Markdown page, with what they were computed over."""
    of = "" if len(results.ids) == results.reference_videos else f" of the reference's {results.reference_videos}"
    tables = horizon_tables(results)
    parts = [
        f"# {markdown_text(title)}",
        f"{len(results.ids)} videos{of}, {results.num_frames} generated frames each, after {results.start} frames of "
        f"context; {sizes_text(results)} pixels. {INTERVALS_TEXT}",
        *(table.markdown for table in tables),
    ]
    if any(cell.few for table in tables for row in table.rows for cell in row):
        parts.append(f"† {FEW_TEXT}.")
    if results.metric("psnr"):
        parts += [PSNR_TEXT, frame_mean_table(results).markdown]
    if sets := set_tables(results):
        parts += [SETS_TEXT, *(table.markdown for table in sets)]
    if memory := memory_tables(results):
        parts += ["## Memory", MEMORY_TEXT, *(table.markdown for table in memory)]
    notes = [f"- {markdown_text(f'{name}: {text}')}" for name, text in results.descriptions.items()]
    notes += [f"- {markdown_text(f'{name} is missing: {reason}')}" for name, reason in results.skipped.items()]
    return "\n\n".join([*parts, "\n".join(notes)]).rstrip() + "\n"
