"""The tables of a report, from its results: for the page, for metrics.md, and for anyone else's Markdown."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..evaluation import Role
from ..figures import Figure
from ..horizons import Horizon
from ..memory import FRAME_KINDS, PIXEL_KINDS, FrameKind, PixelKind
from ..results import MetricInfo, Results
from ..revisits import NEVER
from ..sets import SetFigure

MEMORY_TEXT = (
    "Recall / invention: frames whose view the context shows, and frames whose view it does not show; by horizon, and by how "
    "many frames ago the view was last seen. Frames that go on from the context without having looked away are neither; they "
    "are the row above. Pixels: those of surfaces that the context shows, and those of others. n: how many frames or pixels. "
    "Recall above invention is memory only as far as both come equally late: compare within a horizon, and with the bounds."
)
DASH = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure as text, its 95 % interval as text (empty if undefined), and whether no other run's is better.

    few: the figure of a set with fewer items than feature dimensions. small: a count beside figures.
    """

    text: str
    low: str = ""
    high: str = ""
    best: bool = False
    few: bool = False
    small: bool = False

    @property
    def interval(self) -> str:
        """`12.1 to 13.4`; empty where it is undefined."""
        return f"{self.low} to {self.high}" if self.low else ""


@dataclass(frozen=True)
class Name:
    """What a row or a column is called, and the role of the run if it is one's."""

    text: str
    role: Role | None = None

    @property
    def markdown(self) -> str:
        text = self.text.replace("|", "\\|")
        return f"*{text}* (bound)" if self.role == "bound" else text


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: its name and its cells, several figures in each."""

    name: Name
    cells: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Heads and rows of equal length. groups: what stands above how many heads each, where something does."""

    corner: str = ""
    heads: tuple[Name, ...]
    rows: tuple[Row, ...]
    groups: tuple[tuple[str, int], ...] = ()

    @property
    def firsts(self) -> set[int]:
        """The columns that a group begins with."""
        return {sum(count for _, count in self.groups[:i]) for i in range(len(self.groups))}

    def markdown(self, text: Callable[[Cell], str] = lambda cell: cell.text) -> list[str]:
        """Lines of Markdown, the last one empty. text: how a cell is written."""
        above = [name for name, count in self.groups for _ in range(count)] or [""] * len(self.heads)
        heads = [f"{group} {head.markdown}".strip() for group, head in zip(above, self.heads, strict=True)]
        lines = [f"| {self.corner}".rstrip() + f" | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
        for row in self.rows:
            cells = (" / ".join(map(text, figures)) for figures in row.cells)
            lines.append(f"| {row.name.markdown} | {' | '.join(cells)} |")
        return [*lines, ""]


def cell_of(figure: Figure | None, metric: MetricInfo, rivals: Sequence[Figure] = ()) -> Cell:
    """A figure as a cell; `rivals`: the figures among which it may be the best."""
    if figure is None:
        return Cell(text=DASH)
    text = format_figure(figure.value, metric.decimals)
    values = [rival.value for rival in rivals if not math.isnan(rival.value)]
    best = (max(values) if metric.better == "higher" else min(values)) if len(values) > 1 else math.nan
    known = not math.isnan(figure.low) and not math.isnan(figure.high)
    return Cell(
        text=text,
        low=format_figure(figure.low, metric.decimals) if known else "",
        high=format_figure(figure.high, metric.decimals) if known else "",
        best=not math.isnan(best) and text == format_figure(best, metric.decimals),
        few=isinstance(figure, SetFigure) and not figure.enough,
    )


def format_figure(value: float, decimals: int) -> str:
    """Fixed decimals; ∞ for an infinite PSNR, an en dash for what is undefined."""
    if math.isnan(value):
        return DASH
    return "∞" if math.isinf(value) else f"{value:.{decimals}f}"


def run_table(
    results: Results,
    columns: Sequence[tuple[str, Callable[[str], Cell]]],
    *,
    runs: Sequence[str] | None = None,
    corner: str = "",
    groups: tuple[tuple[str, int], ...] = (),
) -> Table:
    """A row per run, models and then bounds. columns: their heads, and what makes the cell of a run."""
    rows = (
        Row(name=Name(run, results.roles[run]), cells=tuple((cell(run),) for _, cell in columns))
        for run in (results.runs if runs is None else runs)
    )
    return Table(corner=corner, heads=tuple(Name(head) for head, _ in columns), rows=tuple(rows), groups=groups)


def horizon_table(results: Results, metrics: Sequence[MetricInfo]) -> Table:
    """Runs by metric and horizon (the paper's Table 1). Only models, not bounds, compete for best."""
    competing = [run for run in results.runs if results.roles[run] == "run"]

    def cell(metric: MetricInfo, horizon: Horizon, run: str) -> Cell:
        rivals = [results.figure(name, metric.name, horizon.name) for name in competing] if run in competing else []
        return cell_of(results.figure(run, metric.name, horizon.name), metric, rivals)

    columns = [(horizon.label, partial(cell, metric, horizon)) for metric in metrics for horizon in results.horizons]
    return run_table(results, columns, groups=tuple((metric.title, len(results.horizons)) for metric in metrics))


def frame_mean_table(results: Results) -> Table:
    """The mean of each frame's own PSNR."""

    def cell(horizon: Horizon, run: str) -> Cell:
        return Cell(text=format_figure(results.scores[run]["psnr"].frame_mean[horizon.name], 2))

    columns = [(horizon.label, partial(cell, horizon)) for horizon in results.horizons]
    return run_table(results, columns, corner="PSNR, mean over frames")


def set_table(results: Results) -> Table | None:
    """Per set metric, horizon and run: items, dimensions, distance and MMD with their intervals; None without such."""
    rows = []
    for metric in results.set_metrics:
        for horizon in results.horizons:
            for run in results.runs:
                figure = results.figure(run, metric.name, horizon.name)
                assert isinstance(figure, SetFigure)
                distance = cell_of(figure, metric)
                mmd, low, high = (
                    DASH if math.isnan(value) else f"{value:.3g}"
                    for value in (figure.mmd.value, figure.mmd.low, figure.mmd.high)
                )
                texts = (
                    metric.label,
                    horizon.label,
                    f"{figure.items}{'' if figure.enough else ' (few)'}",
                    f"{figure.dim}",
                    f"{distance.text} ({distance.interval})" if distance.interval else distance.text,
                    mmd if math.isnan(figure.mmd.low) else f"{mmd} ({low} to {high})",
                )
                cells = tuple((Cell(text=text),) for text in texts)
                rows.append(Row(name=Name(run, results.roles[run]), cells=cells))
    heads = ("metric", "horizon", "items", "dimensions", "Fréchet distance ↓", "MMD ↓")
    return Table(heads=tuple(map(Name, heads)), rows=tuple(rows)) if rows else None


def memory_tables(results: Results) -> list[Table]:
    """A table per metric: continued views; then recall against invention, by horizon, by gap, and by pixel if known."""
    memory = results.memory
    if memory is None:
        return []
    parts: list[tuple[str, Sequence[FrameKind | PixelKind], str | None, tuple[int, int] | None]] = [
        ("view goes on from the context", ("continued",), None, None),
        ("all frames", FRAME_KINDS, None, None),
        *((horizon.label, FRAME_KINDS, horizon.name, None) for horizon in results.horizons),
        *((gap_text(gap), FRAME_KINDS, None, gap) for gap in memory.gaps),
        ("pixels, by surface", PIXEL_KINDS, None, None),
    ]
    tables = []
    for metric in results.frame_metrics:
        rows = []
        for text, kinds, horizon, gap in parts:
            groups = [memory.find(kind, horizon, gap) for kind in kinds]
            by_run = {
                run: [None if group is None else group.figures[run].get(metric.name) for group in groups]
                for run in results.runs
            }
            first = by_run[results.runs[0]]
            if not any(first):
                continue
            counts = " / ".join(f"{0 if figure is None else figure.items:,}" for figure in first)
            cells = tuple(tuple(cell_of(figure, metric) for figure in figures) for figures in by_run.values())
            rows.append(Row(name=Name(text), cells=((Cell(text=counts, small=True),), *cells)))
        heads = (Name("n"), *(Name(run, results.roles[run]) for run in results.runs))
        tables.append(Table(corner=f"{metric.title} recall / invention", heads=heads, rows=tuple(rows)))
    return tables


def gap_text(gap: tuple[int, int]) -> str:
    """`seen 17-32 frames ago`, with an en dash, or `never seen`."""
    return "never seen" if gap == (NEVER, NEVER) else f"seen {gap[0]}{DASH}{gap[1]} frames ago"


def sizes_text(results: Results) -> str:
    """`64x64`, or `64x64 and 80x48` where videos differ."""
    return " and ".join(f"{width}x{height}" for width, height in results.sizes)


def tables_as_markdown(results: Results, title: str) -> str:
    """All tables as a Markdown page, with what they were computed over."""
    of = "" if len(results.ids) == results.reference_videos else f" of the reference's {results.reference_videos}"
    table = horizon_table(results, results.metrics)
    lines = [
        f"# {title}",
        "",
        f"{len(results.ids)} videos{of}, {results.num_frames} generated frames each, after {results.start} frames of "
        f"context; {sizes_text(results)} pixels.",
        "",
        *table.markdown(lambda c: (f"**{c.text}**" if c.best else c.text) + ("†" if c.few else "")),
    ]
    if any(cell.few for row in table.rows for cells in row.cells for cell in cells):
        lines += ["† fewer items than feature dimensions: compare only with sets of the same size.", ""]
    lines += ["95 % intervals, by bootstrap over videos:", "", *table.markdown(lambda cell: cell.interval or DASH)]
    if results.metric("psnr"):
        lines += [
            "PSNR is that of the squared error averaged over a horizon's frames and all videos. The authors' code",
            "records each frame's own PSNR instead; the mean of those is",
            "",
            *frame_mean_table(results).markdown(),
        ]
    if sets := set_table(results):
        lines += ["Sets of features, with 95 % intervals over videos:", "", *sets.markdown()]
    if memory := memory_tables(results):
        lines += ["## Memory", "", MEMORY_TEXT, "", *(line for one in memory for line in one.markdown())]
    lines += [f"- {name}: {text}" for name, text in results.descriptions.items()]
    lines += [f"- {name} is missing: {reason}" for name, reason in results.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"
