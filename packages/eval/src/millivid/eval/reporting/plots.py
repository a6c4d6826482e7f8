"""The plots of a report: every metric over the generated frames, and over how long ago a view was last seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..memory import FRAME_KINDS
from ..results import MetricInfo, Results
from ..revisits import NEVER
from .style import BAND, INK, RULE, RunStyle

LOOK: Any = {
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": RULE,
    "figure.facecolor": "none", "axes.facecolor": "none", "figure.dpi": 160, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": RULE, "grid.linewidth": 0.7,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5,
    "figure.constrained_layout.use": True, "figure.constrained_layout.w_pad": 0.16, "figure.constrained_layout.h_pad": 0.08,
    "text.parse_math": False,  # a run may be called $x
    "svg.hashsalt": "millivid",  # no random names: the same figures give the same file
}  # fmt: skip


@matplotlib.rc_context(LOOK)
def draw_curves(results: Results, styles: Sequence[RunStyle], paths: Sequence[Path]) -> None:
    """One panel per metric, side by side; runs solid, bounds dashed, horizons shaded in turn and named."""
    figure, axes = _panels(results.frame_metrics, "generated frame")
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
        _mark_horizons(axis, results)
    _save(figure, _handles(styles), paths)


@matplotlib.rc_context(LOOK)
def draw_memory(results: Results, styles: Sequence[RunStyle], paths: Sequence[Path]) -> None:
    """One panel per metric: figures by how long ago the view was last seen, filled for recall, open for invention."""
    memory = results.memory
    assert memory is not None
    figure, axes = _panels(results.frame_metrics, "frames since the view was last seen")
    gaps = memory.gaps
    for axis, metric in zip(axes, results.frame_metrics, strict=True):
        for number, style in enumerate(styles):
            aside = (number - (len(styles) - 1) / 2) * min(0.12, 0.6 / len(styles))
            for kind in FRAME_KINDS:
                groups = [(x + aside, memory.find(kind, gap=gap)) for x, gap in enumerate(gaps)]
                points = [(x, group.figures[style.name][metric.name]) for x, group in groups if group is not None]
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
                    fillstyle="full" if kind == "recall" else "none",
                )
        axis.set_xticks(range(len(gaps)), ["never" if gap == (NEVER, NEVER) else f"{gap[0]}–{gap[1]}" for gap in gaps])
        axis.set_xlim(-0.6, len(gaps) - 0.4)
    kinds = (("recall: view in the context", INK), ("invention: view not in the context", "none"))
    dots = [
        Line2D([], [], color=INK, marker="o", linestyle="none", markerfacecolor=face, label=text)
        for text, face in kinds
    ]
    _save(figure, [*_handles(styles), *dots], paths)


def frame_ticks(results: Results) -> list[int]:
    """Generated frames to name beneath a curve: the first, the ends of horizons that are not too near, and the last."""
    last = results.num_frames
    ticks = sorted({1, *(h.last for h in results.horizons), last})
    return [t for i, t in enumerate(ticks) if i in (0, len(ticks) - 1) or t - ticks[i - 1] > last * 0.06]


def _panels(metrics: Sequence[MetricInfo], across: str) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(4.6 * len(metrics) + 0.4, 4.3))
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        unit = f" ({metric.unit})" if metric.unit else ""
        axis.set_title(f"{metric.label}{unit}", loc="left", fontsize=13, fontweight="bold", pad=24)
        axis.set_title(f"{metric.title[-1]} {metric.better} is better", loc="right", fontsize=9.5, pad=24)
        axis.set_xlabel(across, labelpad=6)
    return figure, axes


def _handles(styles: Sequence[RunStyle]) -> list[Line2D]:
    return [Line2D([], [], color=s.colour, linewidth=2, dashes=s.dash or (None, None), label=s.label) for s in styles]


def _save(figure: Figure, handles: list[Line2D], paths: Sequence[Path]) -> None:
    columns = max(1, int(figure.get_figwidth() // 2.6))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), columns), handlelength=2.6)
    for path in paths:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _mark_horizons(axis: Axes, results: Results) -> None:
    axis.set_xlim(0.5, results.num_frames + 0.5)
    axis.set_xticks(frame_ticks(results))
    for index, horizon in enumerate(results.horizons):
        left, right = horizon.first - 0.5, horizon.last + 0.5
        if index % 2 == 0:
            axis.axvspan(left, right, color=BAND, linewidth=0, zorder=0)
        axis.text(
            (left + right) / 2, 1.02, horizon.name, transform=axis.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=9 if right - left > 0.12 * results.num_frames else 7.5,
        )  # fmt: skip
