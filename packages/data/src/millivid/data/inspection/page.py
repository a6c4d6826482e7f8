"""An inspection as a page: one HTML file with everything inside, and a JSON file with the numbers."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from ..atomic import replacing, write_json
from .charts import bar_svg, histogram_svg
from .findings import Flag, Inspection, Shown, VideoNumbers, as_json
from .flags import NAMED
from .maps import map_svg, overview_svg, time_colour
from .motion import NEGLIGIBLE, STUCK_SECONDS
from .pictures import address
from .pixels import BLACK_BRIGHTNESS, BLANK_DEVIATION, STILL_DIFFERENCE
from .text import ROWS, bytes_text, camera_text, facts, hours_text, number, sampling_text, travel_text

IDS = 500
"""Ids of a flag that the page lists; the JSON file has all."""


def write_inspection(inspection: Inspection, out: str | Path) -> Path:
    """Write ``index.html`` and ``inspection.json`` into the folder ``out``; each appears whole or not at all.

    Returns the page's path. The same inspection gives the same files.
    """
    page, value = render_page(inspection), as_json(inspection)
    path = Path(out) / "index.html"
    write_json(path.with_name("inspection.json"), value)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render_page(inspection: Inspection) -> str:
    """The page as text; nothing in it comes from elsewhere, and what the dataset says is escaped."""
    template = Template((files(__package__) / "page.html").read_text(encoding="utf-8"))
    sections = (_splits, _actions, _map, _sheet, _frames, _about)
    return template.substitute(
        title=escape(inspection.name),
        facts="".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _head(inspection)
        ),
        flags="".join(_flag(flag) for flag in inspection.flags) or '<li class="good">No problems found.</li>',
        times=", ".join(time_colour(share) for share in (0, 0.5, 1)),
        sections="\n".join(section(inspection) for section in sections),
    )


def _head(inspection: Inspection) -> list[tuple[str, str]]:
    height, width = inspection.size
    return [
        ("videos", f"{len(inspection.videos):,}"),
        ("frames", f"{inspection.frames:,}"),
        (f"at {inspection.fps:g} per second", hours_text(inspection.hours)),
        ("pixels, height × width", f"{height}×{width}"),
        ("on disk", bytes_text(inspection.bytes)),
    ]


def _flag(flag: Flag) -> str:
    ids = ""
    if len(flag.videos) > NAMED:
        more = f" and {len(flag.videos) - IDS:,} more" if len(flag.videos) > IDS else ""
        ids = f"<details><summary>which</summary>{escape(', '.join(flag.videos[:IDS]))}{more}</details>"
    return f'<li class="{flag.severity}"><b>{escape(flag.kind.replace("_", " "))}</b>{escape(flag.sentence)}{ids}</li>'


def _section(name: str, title: str, body: str, lead: str = "") -> str:
    lead = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f'<section aria-labelledby="h-{name}"><h2 id="h-{name}">{title}</h2>{lead}{body}</section>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are HTML, the first of a row is its head."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{' class=wide' if '<svg' in cell else ''}>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _card(title: str, svg: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{svg}</div>'


def _splits(inspection: Inspection) -> str:
    rows = [
        [escape(one.name), f"{one.videos:,}", f"{one.frames:,}", hours_text(one.hours), f"{one.sampled:,}"]
        for one in inspection.splits
    ]
    body = _table(["split", "videos", "frames", "time", "videos sampled"], rows)
    lengths = inspection.lengths
    if lengths is None:
        return _section("splits", "Videos", body)
    if lengths.histogram is None:
        return _section("splits", "Videos", body, f"All videos have {lengths.longest:,} frames.")
    lead = f"Videos have {lengths.shortest:,} to {lengths.longest:,} frames, {lengths.median:,g} in the median."
    chart = histogram_svg(lengths.histogram, values="frames", counted="videos")
    return _section(
        "splits", "Videos", f'{body}<div class="charts">{_card("Lengths, share of videos", chart)}</div>', lead
    )


def _actions(inspection: Inspection) -> str:
    if inspection.components:
        rows = [
            [escape(one.name), *(number(value) for value in (one.mean, one.std, one.low, one.high))]
            for one in inspection.components
        ]
        cards = "".join(
            _card(one.name, histogram_svg(one.histogram, values="value", counted="frames"))
            for one in inspection.components[:ROWS]
        )
        body = _table(["component", "mean", "std", "lowest", "highest"], rows) + f'<div class="charts">{cards}</div>'
        return _section("actions", "Actions", body, "Continuous. Charts: share of the frames of the sampled videos.")
    if not inspection.actions:
        return _section("actions", "Actions", "", "None in this dataset.")
    most = max(action.share for action in inspection.actions) or 1.0
    ordered = sorted(inspection.actions, key=lambda action: -action.share)
    rows = [
        [escape(one.name), bar_svg(one.share / most), f"{one.share:.1%}", f"{one.frames:,}", f"{one.held:.1f}"]
        for one in ordered[:ROWS]
    ]
    more = f'<p class="fine">And {len(ordered) - ROWS} that are taken less.</p>' if len(ordered) > ROWS else ""
    body = _table(["action", "", "share", "frames", "held for, frames"], rows) + more
    return _section("actions", "Actions", body)


def _map(inspection: Inspection) -> str:
    travel = inspection.travel
    if travel is None:
        names = ", ".join(inspection.pose_names) or "none"
        return _section("map", "Where cameras go", "", f"Poses are {names}; a map needs x and z, or x and y.")
    heads, keys = ["split", "distance per video", "back to a place"], ["distance", "places"]
    if travel.turning_up is not None:
        heads, keys = [*heads, "back to a view", "turned per video"], [*keys, "views", "turned"]
    forms = {"distance": ",.1f", "places": ".1%", "views": ".1%", "turned": ",.0f"}
    rows = [
        [escape(one.name)]
        + [
            number(getattr(one, key), forms[key]) + ("°" if key == "turned" and one.turned is not None else "")
            for key in keys
        ]
        for one in inspection.splits
    ]
    numbers = {video.id: video for video in inspection.videos}
    maps = "".join(
        f'<figure class="card">{map_svg(one.path, one.back, travel.radius, one.id)}<figcaption>{_caption(one)}<br>'
        f"{_map_numbers(numbers[one.id])}</figcaption></figure>"
        for one in (*inspection.shown, *inspection.flagged_shown)
        if one.path is not None and one.back is not None and len(one.path) > 1
    )
    if inspection.paths:
        every = f"{len(inspection.paths):,} videos, each from its own start"
        maps = f'<figure class="card">{overview_svg(inspection.paths)}<figcaption>{every}</figcaption></figure>{maps}'
    right, down = travel.plane
    seen = '<span><i class="seen"></i>to a view</span>' if travel.turning_up is not None else ""
    key = (
        '<p class="key"><span><i></i>first to last frame, dot to ring</span><span><i class="again"></i>comes back to a place'
        f"</span>{seen}<span>{right} to the right, {down} downward</span></p>"
    )
    text = f"The camera {camera_text(travel)}. {travel_text(travel)}"
    return _section("map", "Where cameras go", f'{_table(heads, rows)}{key}<div class="maps">{maps}</div>', text)


def _caption(one: Shown) -> str:
    split = f" <span>{escape(one.split)}</span>" if one.split else ""
    return f"<b>{escape(one.id)}</b>{split}" + "".join(
        f"<em>{escape(kind.replace('_', ' '))}</em>" for kind in one.flags
    )


def _map_numbers(video: VideoNumbers) -> str:
    text = f"distance {number(video.distance, ',.1f')}, back to places {number(video.places, '.0%')}"
    return text + (f", views {video.views:.0%}" if video.views is not None else "")


def _sheet(inspection: Inspection) -> str:
    def sheet(videos: Sequence[Shown]) -> str:
        return "".join(
            f'<figure class="sheet"><figcaption>{_caption(one)}</figcaption><div class="tiles">'
            + "".join(
                f'<div><img src="{address(pixels)}" alt="frame {moment}"><small>{moment:,}</small></div>'
                for moment, pixels in zip(one.moments, one.frames, strict=True)
            )
            + "</div></figure>"
            for one in videos
        )

    body = sheet(inspection.shown)
    if inspection.flagged_shown:
        body = f"<h3>With flags</h3>{sheet(inspection.flagged_shown)}<h3>Evenly chosen</h3>{body}"
    lead = "Below each frame its index. Large frames are made smaller."
    return _section("sheet", "What frames show", body, lead if body else "No frame could be read.")


def _frames(inspection: Inspection) -> str:
    pixels = inspection.pixels
    if pixels is None:
        return ""
    rows = [
        [name, *(f"{value:.1f}" for value in values)] for name, values in (("mean", pixels.mean), ("std", pixels.std))
    ]
    charts = _card(
        "Brightness, share of pixels",
        histogram_svg(pixels.brightness, values="brightness, 0 to 255", counted="pixels"),
    )
    shares = f"Black: {pixels.black:.1%} of the frames; of a single colour: {pixels.blank:.1%}."
    if pixels.differences is not None and pixels.difference is not None:
        label = "mean absolute difference, 0 to 255"
        chart = histogram_svg(pixels.differences, values=label, counted="neighbours")
        charts += _card(f"Change from frame to frame, mean {pixels.difference:.1f}", chart)
        shares += f" The same as the next: {number(pixels.still, '.1%')}."
    body = _table(["0 to 255", "red", "green", "blue"], rows) + f'<div class="charts">{charts}</div>'
    return _section("frames", "Frame statistics", body, f"{sampling_text(inspection)} {shares}")


def _about(inspection: Inspection) -> str:
    entries = [
        *facts(inspection),
        ("black", f"A frame whose mean brightness is below {BLACK_BRIGHTNESS:g} of 255."),
        ("single colour", f"No colour channel deviates by {BLANK_DEVIATION:g} of 255 or more."),
        ("the same", f"Neighbours that differ by at most {STILL_DIFFERENCE:g} of 255 on average."),
        (
            "stuck",
            f"At least {STUCK_SECONDS:g} second of actions that elsewhere move or turn the camera, with changes of at most "
            f"{NEGLIGIBLE:.0%} of the usual step and turn.",
        ),
    ]
    notes = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries)
    source = escape(json.dumps(dict(inspection.source), indent=2, ensure_ascii=False, default=str))
    body = (
        f'<dl class="notes">{notes}</dl><details><summary>The whole source, as dataset.json has it</summary><pre>{source}</pre>'
        '</details><p class="fine">The numbers of each video are in inspection.json beside this page.</p>'
    )
    return _section("about", "About", body)
