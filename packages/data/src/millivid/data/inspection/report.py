"""What an inspection says: facts and tables as text and as one HTML page with pictures, and its numbers as JSON."""

import base64
import io
import json
import textwrap
from dataclasses import asdict
from datetime import timedelta
from importlib.resources import files
from typing import Any

import jinja2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from .frames import BLACK_BRIGHTNESS, BLANK_DEVIATION, STILL_DIFFERENCE
from .inspection import Flag, Inspection
from .tables import REACH, Travel

WIDTH = 100  # of a terminal
FORMATS = dict.fromkeys(("videos", "frames", "sampled", "turned"), "{:,.0f}".format)
FORMATS |= dict.fromkeys(("hours", "held", "distance"), "{:,.2f}".format)
FORMATS |= dict.fromkeys(("share", "moving", "turning", "places", "views"), "{:.1%}".format)
WRITTEN: dict[str, Any] = {"formatters": FORMATS, "float_format": "{:.3g}".format, "na_rep": "–", "max_rows": 30}

GREY, BLUE, YELLOW = "#808894", "#4a80f0", "#e0a01c"  # can be read on white and on black
TIMES = LinearSegmentedColormap.from_list("from first to last frame", ("#2f6df5", "#b248c8", "#e8710a"))
PIECES = 200  # of a path, each of its own colour, at most
CHARTS = ["frames", "distance", "places", "views", "brightness", "difference"]  # numbers of videos
STYLE: Any = {"savefig.transparent": True, "svg.fonttype": "none", "svg.hashsalt": "millivid"}
STYLE |= dict.fromkeys(("axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)


def facts(found: Inspection) -> dict[str, str]:
    """What was found, the tables and the flags aside."""
    index, names, videos = found.index, ", ".join(found.index.action_names), found.videos
    frames, size = videos.frames.sum(), videos.bytes.sum() / 1e6
    kind = "continuous" if index.action_type == "continuous" else f"{len(index.action_names)} categorical"
    plain = [f"{key} {value}" for key, value in index.source.items() if isinstance(value, str | int | float | bool)]
    low, median, high = videos.frames.quantile([0, 0.5, 1]).fillna(0)
    lengths = f"{high:,.0f} frames each"
    if low < high:
        lengths = f"{low:,.0f} to {high:,.0f} frames, {median:,g} in the median"
    return {
        "videos": f"{len(videos):,}; {lengths}",
        "frames": f"{frames:,}; {timedelta(seconds=round(frames / index.fps))} at {index.fps:g} per second",
        "size": f"{'x'.join(map(str, index.size))} pixels (height x width), {'lossless' if index.lossless else 'lossy'}",
        "on disk": f"{size:,.1f} MB, {size * 1000 / max(frames, 1):,.2f} MB per 1,000 frames",
        "actions": f"{kind}: {names}" if names else "none",
        "poses": ", ".join(index.pose_names) or "none",
        "source": ", ".join(plain) or "not said",
        "pictures": _pictures(found),
        "camera": _camera(found),
        "tables": "Means over videos: the distance that a camera goes, degrees turned, shares of frames in which it moves, "
        "turns, comes back to places and views. Actions: frames that they are held for on average.",
    }


def _pictures(found: Inspection) -> str:
    pixels, every = found.pixels, len(found.videos)
    if pixels is None:
        return "No frame could be read."
    text = f"From {pixels['frames']:,} frames, and the next of each, of {pixels['videos']:,} of the {every:,} videos"
    if len(found.sampled) < every:
        others = found.videos.sampled_frames.count() - pixels["videos"]
        text += f", evenly chosen from each split; for the flags, {others:,} with the fewest bytes per frame too"
    mean, std = (", ".join(f"{value:.1f}" for value in pixels[key]) for key in ("mean", "std"))
    return (
        f"{text}. Red, green, blue (of 255): mean {mean}; deviation {std}. Black (mean brightness below "
        f"{BLACK_BRIGHTNESS:g}): {pixels['black']:.1%}; of a single colour (no channel deviates by {BLANK_DEVIATION:g}): "
        f"{pixels['blank']:.1%}; the same as the next (mean difference at most {STILL_DIFFERENCE:g}): {pixels['still']:.1%}."
    ).replace("nan%", "–")


def _camera(found: Inspection) -> str:
    travel = found.travel
    if travel is None:
        return "Unknown: that needs readable poses with x and z, or x and y."
    return (
        f"Usually moves by {travel.step:.3g} and turns by {travel.turn:.3g}° per frame, if at all. A frame comes back to a "
        f"place if an earlier one, at least {travel.gap} frames before, lies within {travel.radius:.3g} ({REACH:g} usual "
        "steps), and the camera was farther away in between; to a view if that is true of frames that look in the same "
        f"direction, to {travel.angle:g} degrees."
    )


def tables(found: Inspection) -> list[pd.DataFrame]:
    """Splits and actions, to be printed as `WRITTEN` says."""
    named = {"split": found.splits.dropna(axis=1, how="all"), "action": found.actions}
    if "share" in found.actions:
        named["action"] = found.actions.sort_values("share", ascending=False, kind="stable")
    short = {name: table.rename(index=lambda row: row[:32]) for name, table in named.items() if len(table)}
    return [table.rename_axis(index=None, columns=name) for name, table in short.items()]


def as_text(found: Inspection) -> str:
    """The report for a terminal of 100 columns; the flags come last."""
    lines = [f"{found.name}  ({found.folder})", ""]
    for name, value in facts(found).items():
        lines += _wrap(value, f"  {name:<9}", max_lines=8)
    for table in tables(found):
        lines += ["", *textwrap.indent(table.to_string(**WRITTEN), "  ").splitlines()]
    problems = sum(flag.severity == "problem" for flag in found.flags)
    counts = {"problem": problems, "remark": len(found.flags) - problems}
    summary = " and ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in counts.items() if count)
    lines += ["", f"{summary} found:" if summary else "No problems found."]
    for flag in found.flags:
        lines += _wrap(flag.sentence, "  ! " if flag.severity == "problem" else "  - ")
    return "\n".join(line[:WIDTH] for line in lines) + "\n"


def _wrap(text: str, first: str, max_lines: int | None = None) -> list[str]:
    """Lines that begin below the text of the first."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), max_lines=max_lines)


def as_page(found: Inspection) -> str:
    """The page; nothing in it comes from elsewhere, and what the dataset says is escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"histogram": _histogram, "map": _map, "picture": _picture}
    template = environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))
    charts = [numbers for _, numbers in found.videos[CHARTS].items() if numbers.nunique() > 1]
    with matplotlib.rc_context(STYLE):
        return template.render(found=found, facts=facts(found), tables=tables(found), written=WRITTEN, charts=charts)


def _histogram(numbers: pd.Series) -> str:
    figure = Figure(figsize=(3, 2.3), layout="constrained")
    axis = figure.subplots()
    axis.hist(numbers.dropna(), bins=24, color=BLUE)
    axis.set(xlabel=numbers.name, ylabel="videos")
    return _svg(figure)


def _map(path: pd.DataFrame, radius: float) -> str:
    figure = Figure(figsize=(3, 3), layout="constrained")
    axis, points = figure.subplots(), path.iloc[:, :2].to_numpy()
    axis.set_aspect("equal", adjustable="datalim")
    axis.invert_yaxis()
    axis.set(xlabel=path.columns[0], ylabel=path.columns[1])
    width = np.clip(radius / max(np.ptp(points, axis=0).max(), 1e-9) * 72 * 2.6, 6, 18)  # points, of a place
    for least, colour in ((1, GREY), (2, YELLOW)):
        again = np.where(path[["back"]] >= least, points, np.nan).repeat(2, axis=0)  # a single frame is drawn too
        axis.plot(*again.T, color=colour, alpha=0.4, linewidth=width, solid_capstyle="round")
    some = points[:: 1 + len(points) // PIECES]
    pieces = [*np.stack([some[:-1], some[1:]], axis=1)]
    axis.add_collection(LineCollection(pieces, array=np.arange(len(pieces)), cmap=TIMES))
    axis.plot(*points[0], "o", color=TIMES(0.0))
    axis.plot(*points[-1], "o", color=TIMES(1.0), markerfacecolor="none")
    return _svg(figure)


def _picture(pixels: NDArray[np.uint8]) -> str:
    Image.fromarray(pixels).save(file := io.BytesIO(), "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _svg(figure: Figure) -> str:
    figure.savefig(file := io.BytesIO(), format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def as_json(found: Inspection) -> dict[str, Any]:
    """Everything but the pictures, as JSON values; what is not known is missing or null."""
    keys = ("fps", "size", "lossless", "action_type", "action_names", "pose_names", "source")
    value = {"format": "millivid-inspection", "version": 2, "name": found.name}
    value |= {key: getattr(found.index, key) for key in keys} | vars(found)
    value["bytes"] = int(found.videos.bytes.sum())
    shortest, median, longest = found.videos.frames.quantile([0, 0.5, 1])
    value["lengths"] = {"shortest": shortest, "median": median, "longest": longest}
    del value["index"], value["shown"]
    plain: dict[str, Any] = json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        rows = value.reset_index().convert_dtypes().astype(object).to_dict("records")
        return [{key: one for key, one in row.items() if pd.notna(one)} for row in rows]
    return asdict(value) if isinstance(value, Flag | Travel) else str(value)
