"""The plot of every metric over the generated frames (curves.png)."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .palette import Look, Theme
from .results import Results
from .table import ARROWS


def draw_curves(results: Results, looks: tuple[Look, ...], path: Path, theme: Theme) -> None:
    """One panel per metric, side by side; runs solid, bounds dashed, horizons shaded in turn and named."""
    count = len(results.metrics)
    figure = Figure(figsize=(4.6 * count + 0.4, 4.3), dpi=160, facecolor=theme.background)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count, squeeze=False)[0]
    frames = np.arange(1, results.num_frames + 1)
    for axis, metric in zip(axes, results.metrics, strict=True):
        _style(axis, theme)
        for look in looks:
            curve = results.scores[look.name][metric.name].curve
            curve = np.where(np.isfinite(curve), curve, np.nan)
            axis.plot(
                frames,
                curve,
                color=look.colour,
                linewidth=2.1 if look.role == "run" else 1.5,
                dashes=look.dash or (None, None),
                marker="o" if len(frames) == 1 else None,
                zorder=3 if look.role == "run" else 2,
            )
        unit = f" ({metric.unit})" if metric.unit else ""
        title = f"{metric.label}{unit}"
        axis.set_title(title, loc="left", fontsize=13, fontweight="bold", color=theme.ink, pad=24)
        axis.set_title(
            f"{ARROWS[metric.better]} {metric.better} is better", loc="right", fontsize=9.5, color=theme.muted, pad=24
        )
        axis.set_xlabel("generated frame", fontsize=10, color=theme.muted, labelpad=6)
        _mark_horizons(axis, results, theme)
    handles = [
        Line2D([], [], color=k.colour, linewidth=2.4 if k.role == "run" else 1.6, dashes=k.dash or (None, None))
        for k in looks
    ]
    labels = [look.name if look.role == "run" else f"{look.name} (bound)" for look in looks]
    legend = figure.legend(
        handles, labels, loc="lower center", ncols=min(len(looks), 5), frameon=False, fontsize=10.5, handlelength=2.6,
        columnspacing=2.4,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(theme.ink)
    legend_rows = -(-len(looks) // 5)
    figure.tight_layout(rect=(0, 0.035 + 0.055 * legend_rows, 1, 1), w_pad=2.2)
    figure.savefig(path, facecolor=theme.background)


def _style(axis: Axes, theme: Theme) -> None:
    axis.set_facecolor(theme.background)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
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
