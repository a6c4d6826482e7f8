"""The tables of memory: what can be remembered against what cannot, run by run."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..horizons import Horizon
from ..memory import FRAME_KINDS, PIXEL_KINDS, FrameKind, Memory, PixelKind
from ..metrics import Metric
from ..revisits import NEVER
from .palette import Look
from .table import Cell, cell

Kind = FrameKind | PixelKind
Part = tuple[str, Sequence[Kind], str | None, tuple[int, int] | None]
"""A row's text, kinds, horizon and gap."""

MEMORY_TEXT = (
    "Recall / invention: frames whose view the context shows, and frames whose view it does not show; by horizon, and by how "
    "many frames ago the view was last seen. Frames that go on from the context without having looked away are neither; they "
    "are the row above. Pixels: those of surfaces that the context shows, and those of others. n: how many frames or pixels. "
    "Recall above invention is memory only as far as both come equally late: compare within a horizon, and with the bounds."
)


@dataclass(frozen=True, kw_only=True)
class MemoryRow:
    """One row: how many items each kind has, and every run's cells; None where a kind does not occur."""

    text: str
    counts: str
    cells: tuple[tuple[Cell | None, ...], ...]


def memory_rows(
    memory: Memory, metric: Metric, horizons: Sequence[Horizon], looks: Sequence[Look]
) -> tuple[MemoryRow, ...]:
    """Continued views; then recall against invention over all frames, by horizon, by gap, and by pixel where it is known.

    Cells in the order of `looks`.
    """
    parts: list[Part] = [
        ("view goes on from the context", ("continued",), None, None),
        ("all frames", FRAME_KINDS, None, None),
    ]
    parts += [(horizon.label, FRAME_KINDS, horizon.name, None) for horizon in horizons]
    parts += [(gap_text(gap), FRAME_KINDS, None, gap) for gap in memory.gaps]
    if getattr(metric, "has_map", False):
        parts.append(("pixels, by surface", PIXEL_KINDS, None, None))
    rows = []
    for text, kinds, horizon, gap in parts:
        groups = [memory.find(kind, horizon, gap) for kind in kinds]
        if not any(groups):
            continue
        counts = [0 if group is None else group.figures[looks[0].name][metric.name].items for group in groups]
        cells = tuple(
            tuple(None if group is None else cell(group.figures[look.name][metric.name], metric) for group in groups)
            for look in looks
        )
        rows.append(MemoryRow(text=text, counts=" / ".join(f"{count:,}" for count in counts), cells=cells))
    return tuple(rows)


def gap_text(gap: tuple[int, int]) -> str:
    """`seen 17-32 frames ago`, with an en dash, or `never seen`."""
    return "never seen" if gap == (NEVER, NEVER) else f"seen {gap[0]}\N{EN DASH}{gap[1]} frames ago"
