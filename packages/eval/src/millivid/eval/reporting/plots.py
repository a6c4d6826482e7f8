"""The plots of a report: every metric over the generated frames, and over how long ago a view was last seen."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..memory import FRAME_KINDS
from ..results import MetricInfo, Results
from ..revisits import NEVER
from .style import RunStyle, Theme


def draw_curves(results: Results, styles: Sequence[RunStyle], paths: Sequence[Path], theme: Theme) -> None:
    """One panel per metric, side by side; runs solid, bounds dashed, horizons shaded in turn and named."""
    figure, axes = _panels(results.frame_metrics, theme)
    frames = np.arange(1, results.num_frames + 1)
    for axis, metric in zip(axes, results.frame_metrics, strict=True):
        for style in styles:
            curve = np.asarray(results.scores[style.name][metric.name].curve)
            axis.plot(
                frames,
                np.where(np.isfinite(curve), curve, np.nan),
                color=style.colour,
                linewidth=2.1 if style.role == "run" else 1.5,
                dashes=style.dash or (None, None),
                marker="o" if len(frames) == 1 else None,
                zorder=3 if style.role == "run" else 2,
            )
        axis.set_xlabel("generated frame", fontsize=10, color=theme.muted, labelpad=6)
        _mark_horizons(axis, results, theme)
    _save(figure, _handles(styles), [style.label for style in styles], paths, theme)


def draw_memory(results: Results, styles: Sequence[RunStyle], paths: Sequence[Path], theme: Theme) -> None:
    """One panel per metric: figures by how long ago the view was last seen, filled for recall, open for invention."""
    memory = results.memory
    assert memory is not None
    figure, axes = _panels(results.frame_metrics, theme)
    gaps = memory.gaps
    for axis, metric in zip(axes, results.frame_metrics, strict=True):
        for number, style in enumerate(styles):
            aside = (number - (len(styles) - 1) / 2) * min(0.12, 0.6 / len(styles))
            for kind in FRAME_KINDS:
                found = [(x, memory.find(kind, gap=gap)) for x, gap in enumerate(gaps)]
                points = [
                    (x + aside, group.figures[style.name][metric.name]) for x, group in found if group is not None
                ]
                points = [(x, f) for x, f in points if np.isfinite(f.value)]
                ends = [np.nan_to_num([abs(f.value - f.low), abs(f.high - f.value)], posinf=0) for _, f in points]
                axis.errorbar(
                    [x for x, _ in points],
                    [f.value for _, f in points],
                    yerr=np.transpose(ends) if points else None,
                    color=style.colour,
                    linestyle="none" if kind == "invention" else "solid" if style.role == "run" else (0, (3, 2)),
                    linewidth=2.0 if style.role == "run" else 1.3,
                    elinewidth=1.0,
                    marker="o",
                    markersize=6,
                    markerfacecolor=style.colour if kind == "recall" else theme.background,
                )
        axis.set_xticks(range(len(gaps)), ["never" if gap == (NEVER, NEVER) else f"{gap[0]}–{gap[1]}" for gap in gaps])
        axis.set_xlim(-0.6, len(gaps) - 0.4)
        axis.set_xlabel("frames since the view was last seen", fontsize=10, color=theme.muted, labelpad=6)
    handles, labels = _handles(styles), [style.label for style in styles]
    for kind in FRAME_KINDS:
        face = theme.muted if kind == "recall" else theme.background
        handles.append(Line2D([], [], color=theme.muted, marker="o", linestyle="none", markerfacecolor=face))
        labels.append(f"{kind}: view {'in' if kind == 'recall' else 'not in'} the context")
    _save(figure, handles, labels, paths, theme)


def _panels(metrics: Sequence[MetricInfo], theme: Theme) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(4.6 * len(metrics) + 0.4, 4.3), dpi=160, facecolor=theme.background)
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        _style(axis, theme)
        unit = f" ({metric.unit})" if metric.unit else ""
        axis.set_title(f"{metric.label}{unit}", loc="left", fontsize=13, fontweight="bold", color=theme.ink, pad=24)
        better = f"{metric.title[-1]} {metric.better} is better"
        axis.set_title(better, loc="right", fontsize=9.5, color=theme.muted, pad=24)
    return figure, axes


def _handles(styles: Sequence[RunStyle]) -> list[Line2D]:
    return [
        Line2D([], [], color=s.colour, linewidth=2.4 if s.role == "run" else 1.6, dashes=s.dash or (None, None))
        for s in styles
    ]


def _save(figure: Figure, handles: list[Line2D], labels: list[str], paths: Sequence[Path], theme: Theme) -> None:
    columns = max(1, int(figure.get_figwidth() // 2.6))
    figure.legend(
        handles, labels, loc="lower center", ncols=min(len(labels), columns), frameon=False, fontsize=10.5,
        handlelength=2.6, columnspacing=2.4, labelcolor=theme.ink,
    )  # fmt: skip
    legend_rows = -(-len(labels) // columns)
    figure.tight_layout(rect=(0, 0.035 + 0.055 * legend_rows, 1, 1), w_pad=2.2)
    for path in paths:
        # No date and no random names: the same figures give the same file.
        with matplotlib.rc_context({"svg.hashsalt": "millivid"}):
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, facecolor=theme.background, metadata=metadata)


def _style(axis: Axes, theme: Theme) -> None:
    axis.set_facecolor(theme.background)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(theme.rule)
    axis.grid(axis="y", color=theme.rule, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(colors=theme.muted, labelsize=9.5, length=0, pad=5)


def _mark_horizons(axis: Axes, results: Results, theme: Theme) -> None:
    last = results.num_frames
    axis.set_xlim(0.5, last + 0.5)
    ticks = sorted({1, *(h.last for h in results.horizons), last})
    axis.set_xticks([t for i, t in enumerate(ticks) if i in (0, len(ticks) - 1) or t - ticks[i - 1] > last * 0.06])
    for index, horizon in enumerate(results.horizons):
        left, right = horizon.first - 0.5, horizon.last + 0.5
        if index % 2 == 0:
            axis.axvspan(left, right, color=theme.band, linewidth=0, zorder=0)
        axis.text(
            (left + right) / 2, 1.02, horizon.name, transform=axis.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=9 if right - left > 0.12 * last else 7.5, color=theme.muted,
        )  # fmt: skip
