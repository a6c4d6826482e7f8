"""Plans as pictures: what single steps read and write, and in which order a chunk is written."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .checks import ScheduleError
from .chunk import Chunk
from .plan import Plan
from .steps import Role
from .text import check_step_index, describe_step, target_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PENDING, _WRITTEN, _CONTEXT, _TARGET = range(4)
_COLOURS = {_CONTEXT: "#2f6f9f", _TARGET: "#f28e2b", _WRITTEN: "#c9dbe6", _PENDING: "#f3f1ee"}
_NAMES = {_TARGET: "target: written now", _CONTEXT: "context: read", _WRITTEN: "already written", _PENDING: "pending"}
_LEVEL_COLOURS = ("#3b1c5a", "#a23b72", "#3a9188", "#a3bf4b", "#d9b23c", "#7d8597")
_INK = "#33373b"
_MAX_PANELS, _MAX_PICTURES = 6, 120


def draw_plan_png(
    plan_or_chunk: Plan | Chunk, path: str | os.PathLike[str], steps: Sequence[int] | None = None
) -> None:
    """Draw steps as panels (levels as rows, frames as columns) above the order in which the chunk is written.

    steps: step indices within the chunk, at most 24; by default the first step of every sampling group, one step that
        is well under way, and the last. A Plan is drawn at its first chunk, in frames of the video.

    Needs matplotlib (`pip install matplotlib`, ImportError otherwise). Raises ScheduleError for steps that
    the chunk does not have. The file appears whole or not at all.
    """
    chunk, start = _unpack(plan_or_chunk)
    chosen = _informative_steps(chunk) if steps is None else [check_step_index(chunk, step) for step in steps]
    if not 1 <= len(chosen) <= 24:
        raise ScheduleError(f"{len(chosen)} steps were asked for; expected 1 to 24 of the chunk's {len(chunk.steps)}")
    heights = [0.34 * chunk.num_levels + 0.75] * len(chosen) + [3.4] * (len(chunk.steps) > 1)  # inches
    figure = _new_figure(11, sum(heights) + 1.2, plan_or_chunk)
    panels = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
    for axes, step_index in zip(panels, chosen, strict=False):
        _draw_step(axes, chunk, step_index, start)
    if len(chunk.steps) > 1:
        _draw_order(panels[-1], chunk, start)
    with _whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130, facecolor="white")


def draw_plan_gif(plan: Plan | Chunk, path: str | os.PathLike[str]) -> None:
    """Animate the steps of a chunk (a Plan's first), four a second, one per step and at most 120; it loops.

    Needs matplotlib (`pip install matplotlib`, ImportError otherwise). The file appears whole or not at
    all.
    """
    chunk, start = _unpack(plan)
    figure = _new_figure(9, 0.42 * chunk.num_levels + 1.9, plan)
    axes = figure.subplots()

    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=4)
    with _whole_file(path) as temporary, writer.saving(figure, str(temporary), dpi=90):
        for step_index in range(min(len(chunk.steps), _MAX_PICTURES)):
            axes.clear()
            _draw_step(axes, chunk, step_index, start)
            writer.grab_frame(facecolor="white")


def _unpack(plan_or_chunk: Plan | Chunk) -> tuple[Chunk, int]:
    if isinstance(plan_or_chunk, Plan):
        return plan_or_chunk.chunk, plan_or_chunk.chunk_starts[0]
    return plan_or_chunk, 0


def _informative_steps(chunk: Chunk) -> list[int]:
    """First step of every group, one from the middle of the chunk and the last, in order."""
    groups = [step.group for step in chunk.steps]
    firsts = sorted(groups.index(group) for group in set(groups))[: _MAX_PANELS - 2]
    last = len(groups) - 1
    return sorted({*firsts, (firsts[-1] + last) // 2, last})


def _states(chunk: Chunk, step_index: int) -> NDArray[np.int64]:
    roles = chunk.steps[step_index].roles
    states = np.where(chunk.available(step_index), _WRITTEN, _PENDING)
    states[roles == Role.CONTEXT] = _CONTEXT
    states[roles == Role.TARGET] = _TARGET
    return states


def _draw_step(axes: "Axes", chunk: Chunk, step_index: int, start: int) -> None:
    from matplotlib.colors import ListedColormap

    # Taller rows for more tokens per frame, in a compressed scale: 256 and 4 tokens must both stay readable.
    heights = 1 + 0.35 * np.log2(np.array(chunk.tokens_per_level) / chunk.tokens_per_level[-1])
    edges = np.concatenate(([0.0], np.cumsum(heights)))
    frames = np.arange(chunk.num_frames + 1) + start
    gaps = chunk.num_frames <= 100
    axes.pcolormesh(
        frames,
        edges,
        _states(chunk, step_index),
        cmap=ListedColormap([_COLOURS[state] for state in range(4)]),
        vmin=-0.5,
        vmax=3.5,
        edgecolors="white" if gaps else "none",
        linewidth=0.6 if gaps else 0,
        rasterized=not gaps,
    )
    axes.hlines(edges[1:-1], frames[0], frames[-1], colors="white", linewidth=2.5)
    _mark_target_start(axes, chunk, start)
    axes.invert_yaxis()
    labels = [f"level {level} · {tokens}" for level, tokens in enumerate(chunk.tokens_per_level)]
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, labels, fontsize=8)
    axes.set_title(describe_step(chunk, step_index, start), loc="left", fontsize=9.5, color=_INK, pad=4)
    _clean(axes)


def _draw_order(axes: "Axes", chunk: Chunk, start: int) -> None:
    """One bar per step and written span: x frames, y step, coloured by level; coarse levels run ahead of fine ones."""
    from matplotlib.ticker import MaxNLocator

    for level in range(chunk.num_levels):
        colour, label = _LEVEL_COLOURS[level % len(_LEVEL_COLOURS)], f"level {level}"
        for index, step in enumerate(chunk.steps):
            if level in step.target_levels:  # each of a step's levels has its own lane of the step's bar
                lane = 0.86 / len(step.target_levels)
                top = index - 0.43 + step.target_levels.index(level) * lane
                spans = [(start + first, last + 1 - first) for first, last in target_spans(step.roles[level])]
                axes.broken_barh(spans, (top, lane), facecolors=colour, label=label)
                label = "_"  # once in the legend
    axes.set_xlim(start, start + chunk.num_frames)
    axes.set_ylim(len(chunk.steps) - 0.5, -0.5)
    _mark_target_start(axes, chunk, start)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_ylabel("rollout step", fontsize=8, color=_INK)
    axes.set_xlabel("frame", fontsize=8, color=_INK)
    axes.set_title("order of writing", loc="left", fontsize=9.5, color=_INK, pad=4)
    axes.legend(loc="lower left", fontsize=8, frameon=False)
    _clean(axes)
    axes.set_facecolor("#faf9f7")


def _mark_target_start(axes: "Axes", chunk: Chunk, start: int) -> None:
    axes.axvline(start + chunk.target_start, color=_INK, linewidth=1.2, linestyle=(0, (3, 2)))
    if chunk.num_clipped_frames:
        axes.axvline(
            start + chunk.num_frames - chunk.num_clipped_frames, color="#d1495b", linewidth=1.2, linestyle=(0, (1, 1.5))
        )


def _clean(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, colors=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))


def _new_figure(width: float, height: float, plan_or_chunk: Plan | Chunk) -> "Figure":
    """A figure with legend and caption that belongs to no window and touches no global matplotlib state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    handles = [
        Patch(facecolor=_COLOURS[state], edgecolor="#d8d5d0" if state == _PENDING else "none", label=name)
        for state, name in _NAMES.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=9, frameon=False, handlelength=1.2)
    figure.supxlabel(_caption(plan_or_chunk), fontsize=9, color=_INK, linespacing=1.5, x=0.01, ha="left")
    return figure


def _caption(plan_or_chunk: Plan | Chunk) -> str:
    chunk, _ = _unpack(plan_or_chunk)
    steps, frames = len(chunk.steps), chunk.num_kept_frames
    size = f"{chunk.num_tokens:,} tokens per step{' at most' if chunk.pads else ''}"
    memory = f"{_count(chunk.num_context_frames, 'frame')} of memory"
    pace = f"{_count(steps, 'step')} for {_count(frames, 'frame')} ({steps / frames:.3g} per frame)"
    marks = ["dashed line: first new frame"]
    if chunk.num_clipped_frames:
        marks.append("dotted line: frames behind it are clipped")
    if isinstance(plan_or_chunk, Plan):
        count, last = len(plan_or_chunk.chunk_starts), plan_or_chunk.video_end - 1
        shown = f"first of {count} chunks" if count > 1 else "one chunk"
        marks.insert(0, f"{shown}; {_count(len(plan_or_chunk), 'step')} for frames {plan_or_chunk.start}-{last}")
    return "\n".join("  ·  ".join(line) for line in ([size, memory, pace], marks))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


@contextlib.contextmanager
def _whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`, renamed to it when the block ends well and removed otherwise."""
    target = Path(path)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        temporary = Path(folder) / target.name
        yield temporary
        temporary.replace(target)
