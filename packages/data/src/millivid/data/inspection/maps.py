"""Maps of where cameras went, seen from above, as SVG coloured by the page's style."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from .charts import round_ticks

SIDE = 240
MARGIN = 14
FOOT = 22
"""Height below the map for its scale."""
TIMES = ((47, 109, 246), (178, 72, 200), (232, 113, 10))
"""Colours of the first frame, of the middle, and of the last."""
PIECES = 24
"""Colours that a path changes through."""
WIDEST = (6.0, 16.0)
"""Pixels that a shade is wide, at least and at most."""
POINTS = 480
"""Points of a path that are drawn."""

Path = NDArray[np.float32]


def map_svg(path: Path, back: NDArray[np.int64], radius: float, name: str) -> str:
    """One path, coloured by time, from a dot to a ring, shaded where it comes back (1: to a place, 2: to a view).

    The shade is as wide as the radius of a place, within limits; it is stronger where the camera comes back again.
    """
    place = _placing([path])
    thick = min(max(radius * place.scale, WIDEST[0]), WIDEST[1])
    parts = []
    for kind, least in (("again", 1), ("seen", 2)):
        for first, last in _stretches(back >= least):
            drawn = _points(path[first:last] if last - first > 1 else path[[first, first]], place)
            parts.append(f'<polyline class="{kind}" points="{drawn}" stroke-width="{thick:.1f}"/>')
    thin = path[np.unique(np.linspace(0, len(path) - 1, min(POINTS, len(path))).round().astype(int))]
    ends = np.linspace(0, len(thin) - 1, PIECES + 1).round().astype(int)
    for piece, (first, last) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        if last > first:
            drawn = _points(thin[first : last + 1], place)
            parts.append(f'<polyline class="way" points="{drawn}" stroke="{time_colour(piece / (PIECES - 1))}"/>')
    (x, y), (end_x, end_y) = place.of(*map(float, path[0])), place.of(*map(float, path[-1]))
    parts.append(f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="4.5" class="ring" stroke="{time_colour(1)}"/>')
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{time_colour(0)}"/>')
    return _svg(parts, place, f"way of the camera in {name}, seen from above")


def overview_svg(paths: Sequence[Path]) -> str:
    """All paths, each from its own start, which is in the same place."""
    place = _placing([*paths, np.zeros((1, 2), np.float32)])
    opacity = min(max(20 / max(len(paths), 1), 0.3), 0.9)
    ways = (
        f'<polyline class="ways" stroke-opacity="{opacity:.2f}" points="{_points(path, place)}"/>' for path in paths
    )
    parts = list(ways)
    x, y = place.of(0.0, 0.0)
    parts.append(f'<circle class="start" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    return _svg(parts, place, f"ways of {len(paths)} cameras from their start, seen from above")


def time_colour(share: float) -> str:
    """The colour of a moment, 0 for the first and 1 for the last frame."""
    at = min(max(share, 0.0), 1.0) * (len(TIMES) - 1)
    first = min(int(at), len(TIMES) - 2)
    mixed = (round(a + (b - a) * (at - first)) for a, b in zip(TIMES[first], TIMES[first + 1], strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


class _Placing:
    """Where places are on the picture: the same scale both ways, in the middle."""

    def __init__(self, low: Path, high: Path) -> None:
        extent = float(max(*(high - low), 0.0))
        self.extent = extent or 1.0
        self.scale = (SIDE - 2 * MARGIN) / self.extent
        self._middle = ((low + high) / 2).astype(float)

    def of(self, right: float, down: float) -> tuple[float, float]:
        return (
            SIDE / 2 + (right - self._middle[0]) * self.scale,
            SIDE / 2 + (down - self._middle[1]) * self.scale,
        )


def _placing(paths: Sequence[Path]) -> _Placing:
    every = np.concatenate(paths)
    return _Placing(every.min(axis=0), every.max(axis=0))


def _points(path: Path, place: _Placing) -> str:
    return " ".join("{:.1f},{:.1f}".format(*place.of(*map(float, point))) for point in path)


def _stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Each unbroken run of flags: its first frame and the one after its last."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _svg(parts: Sequence[str], place: _Placing, label: str) -> str:
    length = round_ticks(0, place.extent / 2, 2)[-1] or place.extent / 2
    end, y = MARGIN + length * place.scale, SIDE + FOOT - 8
    ruler = (
        f'<path class="ruler" d="M{MARGIN} {y - 4}v4H{end:.1f}v-4"/><text x="{end + 6:.1f}" y="{y}">{length:g}</text>'
    )
    label = escape(label, quote=True)
    return f'<svg viewBox="0 0 {SIDE} {SIDE + FOOT}" role="img" aria-label="{label}">{"".join(parts)}{ruler}</svg>'
