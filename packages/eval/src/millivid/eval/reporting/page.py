"""The report's page: one HTML file with its style and script inside, that opens from the file system."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from ..figures import json_number
from ..results import Results
from .pictures import AWAY
from .style import CONTEXT_COLOUR, RunStyle
from .tables import MEMORY_TEXT, horizon_table, memory_tables, set_table, sizes_text

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".mp4": "video/mp4"}


def render_page(
    results: Results,
    styles: Sequence[RunStyle],
    *,
    title: str,
    folder: Path,
    videos: Mapping[str, str],
    panels: Sequence[str],
    strips: int,
    fps: float,
) -> str:
    """The page as text, with everything it shows inside.

    folder: holds the pictures and, by id, `videos`, which show the runs `panels` at `fps`. strips: videos in the strip.
    """
    templates = files(__package__) / "templates"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((templates / "page.html").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        css=Markup((templates / "page.css").read_text(encoding="utf-8")),
        js=Markup((templates / "page.js").read_text(encoding="utf-8")),
        data=Markup(_script_json(page_data(results, styles, videos, fps))),
        results=results,
        embed=lambda name: embed(folder / name),
        there=lambda name: (folder / name).is_file(),
        horizon_table=horizon_table(results, results.metrics),
        set_table=set_table(results),
        memory_tables=memory_tables(results),
        memory_text=MEMORY_TEXT,
        units={metric.title: metric.unit for metric in results.metrics},
        colours={style.name: style.colour for style in styles},
        panels=panels,
        videos=videos,
        strips=strips,
        sizes=sizes_text(results),
        away=AWAY,
        context_colour=CONTEXT_COLOUR,
        protocol_text=json.dumps(results.protocol, indent=2, ensure_ascii=False, default=str),
    )


def embed(file: Path) -> str:
    """A file as an address that holds the file itself."""
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def page_data(results: Results, styles: Sequence[RunStyle], videos: Mapping[str, str], fps: float) -> dict[str, Any]:
    """What the page's script draws from: per metric and run, the mean curve and that of every shown video."""
    rows = [results.ids.index(id) for id in videos]

    def curves(style: RunStyle) -> dict[str, Any]:
        scores = {metric.name: results.scores[style.name][metric.name] for metric in results.frame_metrics}
        return {
            "name": style.name,
            "role": style.role,
            "colour": style.colour,
            "dash": " ".join(f"{d:g}" for d in style.dash),
            "mean": {name: _numbers(one.curve) for name, one in scores.items()},
            "videos": {name: list(map(_numbers, np.asarray(one.frames)[rows])) for name, one in scores.items()},
        }

    return {
        "fps": fps,
        "context": results.start,
        "total": results.stop,
        "contextColour": CONTEXT_COLOUR,
        "horizons": [{"name": h.name, "first": h.first, "last": h.last} for h in results.horizons],
        "videos": list(videos),
        "metrics": [
            {"name": m.name, "label": m.label, "better": m.better, "unit": m.unit, "decimals": m.decimals}
            for m in results.frame_metrics
        ],
        "runs": [curves(style) for style in styles],
    }


def _numbers(values: Any) -> list[float | None]:
    rounded = (json_number(value) for value in values)
    return [None if value is None else float(f"{value:.4g}") for value in rounded]


def _script_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, whatever the names in it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
