"""What an inspection says, in sections of sentences, tables and histograms, for the text and for the page alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .findings import Inspection, Row

ROWS = 30  # rows of a table, at most


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report; what it has not is empty."""

    title: str
    sentences: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    bars: Sequence[float] = ()  # one for each row, the longest 1
    charts: Sequence[tuple[str, str, Row]] = ()  # title, what is on the axis, histogram


def sections(inspection: Inspection) -> list[Section]:
    """All that was measured; the flags aside."""
    return [_videos(inspection), _actions(inspection), _frames(inspection), _camera(inspection)]


def facts(inspection: Inspection) -> list[tuple[str, str]]:
    """What a dataset is, as names and values."""
    index, frames, names = inspection.index, inspection.frames, ", ".join(inspection.index.action_names)
    kind = "continuous" if index.action_type == "continuous" else f"{len(index.action_names)} categorical"
    plain = [f"{key} {value}" for key, value in index.source.items() if isinstance(value, str | int | float | bool)]
    return [
        ("videos", f"{len(inspection.videos):,}"),
        ("frames", f"{frames:,}, {hours_text(inspection.hours)} at {index.fps:g} per second"),
        ("pixels", f"{'x'.join(map(str, index.size))} (height x width), {'lossless' if index.lossless else 'lossy'}"),
        (
            "on disk",
            f"{bytes_text(inspection.bytes)}, {bytes_text(inspection.bytes * 1000 / max(frames, 1))} per 1,000 frames",
        ),
        ("actions", f"{kind}: {names}" if names else "none"),
        ("poses", ", ".join(index.pose_names) or "none"),
        ("source", ", ".join(plain) or "not said"),
    ]


def hours_text(hours: float) -> str:
    """A length of time in the unit that suits it."""
    if hours >= 1:
        return f"{hours:,.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 1 else f"{hours * 3600:.1f} seconds"


def bytes_text(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def number(form: str) -> Callable[[Any], str]:
    """How a number is written; a dash where it is not known."""
    return lambda value: "–" if value is None else format(value, form)


Columns = Sequence[tuple[str, str, Callable[[Any], str]]]
"""Of a table: the head of each, the number that it shows, and how that is written."""


def _table(rows: Sequence[Row], columns: Columns) -> dict[str, Any]:
    first = f"first {ROWS} of {len(rows)}" if len(rows) > ROWS else ""
    cells = [[row["name"], *(write(row[key]) for _, key, write in columns)] for row in rows[:ROWS]]
    return {"heads": [first, *(head for head, _, _ in columns)], "rows": cells}


def _videos(inspection: Inspection) -> Section:
    lengths = inspection.lengths
    sentences, charts = [], []
    if lengths and lengths["histogram"]:
        shortest, longest, median = (lengths[key] for key in ("shortest", "longest", "median"))
        sentences = [f"Videos have {shortest:,} to {longest:,} frames, {median:,g} in the median."]
        charts = [("Lengths, share of videos", "frames", lengths["histogram"])]
    elif lengths:
        sentences = [f"All videos have {lengths['longest']:,} frames."]
    count = number(",")
    columns = [("videos", "videos", count), ("frames", "frames", count), ("time", "hours", hours_text)]
    columns += [("videos sampled", "sampled", count)]
    return Section(title="Videos", sentences=sentences, charts=charts, **_table(inspection.splits, columns))


def _actions(inspection: Inspection) -> Section:
    actions, components = sorted(inspection.actions, key=lambda row: -row["share"]), inspection.components
    if components:
        keys = (("mean", "mean"), ("std", "std"), ("lowest", "low"), ("highest", "high"))
        table = _table(components, [(head, key, number(".3g")) for head, key in keys])
        charts = [(row["name"], "value", row["histogram"]) for row in components[:ROWS]]
        sentence = "Continuous. Histograms: frames of the sampled videos."
        return Section(title="Actions", sentences=[sentence], charts=charts, **table)
    if not actions:
        return Section(title="Actions", sentences=["None in this dataset."])
    columns = [("frames", "frames", number(",")), ("share", "share", number(".1%"))]
    columns += [("held for, frames", "held", number(".1f"))]
    bars = [row["share"] / (actions[0]["share"] or 1) for row in actions[:ROWS]]
    return Section(title="Actions", bars=bars, **_table(actions, columns))


def _camera(inspection: Inspection) -> Section:
    travel, title = inspection.travel, "Where cameras go"
    if travel is None:
        names = ", ".join(inspection.index.pose_names) or "none"
        return Section(title=title, sentences=[f"Poses are {names}; a map needs x and z, or x and y."])
    moves = f"The camera moves in {travel.moving:.1%} of the frames, usually by {travel.step:.3g}"
    columns = [("distance per video", "distance", number(",.1f")), ("back to a place", "places", number(".1%"))]
    if travel.turning_up is not None and travel.turning_down is not None:
        moves += f"; turns by {travel.turn:.3g}°: yaw grows in {travel.turning_up:.1%} and falls in {travel.turning_down:.1%}"
        columns += [("back to a view", "views", number(".1%")), ("degrees turned", "turned", number(",.0f"))]
    returns = (
        f"A frame comes back to a place if an earlier one, at least {travel.gap} frames before, lies within "
        f"{travel.radius:.3g} (4 usual steps), and the camera was farther away in between; to a view if that is true of "
        f"frames that look in the same direction, to {travel.angle:g} degrees."
    )
    table = _table(inspection.splits, columns)
    return Section(title=title, sentences=[f"{moves}. {returns}"], **table)


def _frames(inspection: Inspection) -> Section:
    pixels, every, title = inspection.pixels, len(inspection.videos), "Frame statistics"
    if pixels is None:
        return Section(title=title, sentences=["No frame could be read."])
    count, sampling = pixels["videos"], f"From {pixels['frames']:,} frames, and the neighbour of each, of"
    if len(inspection.sampled) == every:
        sampling += f" {'all' if count == every else f'{count:,} of the {every:,}'} videos."
    else:
        others = sum("sampled_frames" in video for video in inspection.videos) - count
        sampling += f" {count:,} of the {every:,} videos, evenly chosen from each split. For the flags, the {others} "
        sampling += "others with the fewest bytes per frame were looked at too."
    shares = f"Black: {pixels['black']:.1%} of the frames; of a single colour: {pixels['blank']:.1%}."
    charts = [("Brightness, share of pixels", "brightness, 0 to 255", pixels["brightness"])]
    if pixels["differences"]:
        shares += f" The same as the next: {pixels['still']:.1%}."
        change = f"Change to the next, mean {pixels['difference']:.1f}"
        charts += [(change, "mean absolute difference, 0 to 255", pixels["differences"])]
    rows = [[name, *(f"{value:.1f}" for value in pixels[name])] for name in ("mean", "std")]
    heads = ["0 to 255", "red", "green", "blue"]
    return Section(title=title, sentences=[f"{sampling} {shares}"], heads=heads, rows=rows, charts=charts)
