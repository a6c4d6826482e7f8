"""Histograms and maps by matplotlib, frames by Pillow, to stand in a page and take their colours from its style."""

import base64
import io
import re
from collections.abc import Sequence
from itertools import pairwise

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from .findings import Row

INK, MUTED, RULE, ACCENT, SEEN = "#14171c", "#5f6976", "#e1e5ea", "#2f6df6", "#f2b01e"
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SEEN: "seen"}  # of the page's style
TIMES = ("#2f6df5", "#b248c8", "#e8710a")  # colours of the first frame, of the middle, and of the last
PIECES = 24  # colours that a path changes through
WIDEST = (6.0, 16.0)  # points that the shade of a place is wide, at least and at most

Path = NDArray[np.float32]


def png_address(pixels: NDArray[np.uint8]) -> str:
    """A frame as an address that holds it as PNG."""
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def histogram_svg(histogram: Row, title: str, label: str) -> Markup:
    """A histogram in percent. label: what is on the horizontal axis, with its unit."""
    figure, axis = _axes(3.6, 2.1)
    shares = 100 * np.array(histogram["counts"]) / max(sum(histogram["counts"]), 1)
    axis.bar(histogram["edges"][:-1], shares, np.diff(histogram["edges"]) * 0.92, align="edge", color=ACCENT)
    axis.set_xlabel(label, color=MUTED, fontsize=8)
    axis.yaxis.set_major_formatter("{x:g} %")
    axis.grid(axis="y", color=RULE, linewidth=0.7)
    return _svg(figure, f"{title}, by {label}")


def map_svg(path: Path, back: NDArray[np.int64], radius: float, video: str) -> Markup:
    """A path, coloured by time, from a dot to a ring, shaded where it comes back (1: to a place, 2: to a view)."""
    figure, axis = _map_axes()
    width = np.clip(radius / max(np.ptp(path, axis=0).max(), 1e-9) * 72 * 2.4, *WIDEST)
    for least, colour, alpha in ((1, INK, 0.14), (2, SEEN, 0.5)):
        again = np.where((back >= least)[:, None], path, np.nan).repeat(2, axis=0)  # a single frame is drawn too
        axis.plot(*again.T, color=colour, alpha=alpha, linewidth=width, solid_capstyle="round")
    ends = np.linspace(0, len(path) - 1, PIECES + 1).round().astype(int)
    colours = LinearSegmentedColormap.from_list("time", TIMES)(np.linspace(0, 1, PIECES))
    pieces = [path[first : last + 1] for first, last in pairwise(ends)]
    axis.add_collection(LineCollection(pieces, colors=colours, linewidth=1.6, capstyle="round"))
    axis.plot(*path[-1], "o", markersize=7, markerfacecolor="none", markeredgecolor=TIMES[-1], markeredgewidth=1.6)
    axis.plot(*path[0], "o", markersize=7, color=TIMES[0], markeredgewidth=0)
    return _svg(figure, f"path of the camera in {video}, seen from above")


def overview_svg(paths: Sequence[Path]) -> Markup:
    """All paths, each from its own start, which is in the same place."""
    figure, axis = _map_axes()
    opacity = min(max(20 / max(len(paths), 1), 0.3), 0.9)
    axis.add_collection(LineCollection(list(paths), colors=ACCENT, alpha=opacity, linewidth=0.7))
    axis.plot(0, 0, "o", markersize=5, color=INK)
    return _svg(figure, f"paths of {len(paths)} cameras from their start, seen from above")


def _map_axes() -> tuple[Figure, Axes]:
    """Axes of the same scale both ways, the second downward."""
    figure, axis = _axes(2.7, 2.7)
    axis.set_aspect("equal", adjustable="datalim")
    axis.invert_yaxis()
    for ruler in (axis.xaxis, axis.yaxis):
        ruler.set_major_locator(MaxNLocator(3))
    axis.grid(color=RULE, linewidth=0.7)
    axis.margins(0.08)
    return figure, axis


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A drawing of this size in inches, without a frame."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.add_subplot(frameon=False)
    axis.set_axisbelow(True)
    axis.tick_params(colors=MUTED, labelsize=8, length=0)
    return figure, axis


def _svg(figure: Figure, name: str) -> Markup:
    """The drawing as an element of a page; always the same for the same figure."""
    buffer, none = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "millivid"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=none)
    # An element of a page needs no namespaces; names and clips would be those of the other drawings there.
    text = re.sub(r' (xmlns\S*="http|id="[a-z]+_\d+|clip-path=")[^"]*"', "", buffer.getvalue())
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1))
