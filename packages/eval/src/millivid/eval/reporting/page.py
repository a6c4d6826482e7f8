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
from . import tables
from .pictures import AWAY
from .plots import frame_ticks
from .style import CONTEXT_COLOUR, RunStyle

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".mp4": "video/mp4"}


def render_page(
    results: Results,
    styles: Sequence[RunStyle],
    *,
    title: str,
    folder: Path,
    videos: Mapping[str, str],
    panels: Sequence[str],
    fps: float,
) -> str:
    """The page as text, with everything it shows inside.

    folder: holds the pictures and, by id, `videos`, which show the runs `panels` at `fps`.
    """
    templates = files(__package__) / "templates"
    page, css, js = ((templates / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(page).render(
        title=title,
        css=Markup(css),
        js=Markup(js),
        data=page_data(results, styles, list(videos), fps),
        results=results,
        styles=styles,
        colours={style.name: style.colour for style in styles},
        context_colour=CONTEXT_COLOUR,
        videos={id: embed(folder / file) for id, file in videos.items()},
        pictures={path.name: embed(path) for path in folder.iterdir() if path.suffix in TYPES},
        panels=panels,
        frame_ticks=frame_ticks(results),
        away=AWAY,
        tables=tables,
        protocol_text=json.dumps(results.protocol, indent=2, ensure_ascii=False, default=str),
    )


def embed(file: Path) -> str:
    """A file as an address that holds the file itself."""
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def page_data(results: Results, styles: Sequence[RunStyle], ids: Sequence[str], fps: float) -> dict[str, Any]:
    """What the page's script draws from: per run and metric, the mean curve and that of every shown video."""
    rows = [results.ids.index(id) for id in ids]

    def curves(run: str) -> dict[str, Any]:
        scores = {metric.name: results.scores[run][metric.name] for metric in results.frame_metrics}
        return {
            "mean": {name: _numbers(one.curve) for name, one in scores.items()},
            "videos": {name: list(map(_numbers, np.asarray(one.frames)[rows])) for name, one in scores.items()},
        }

    runs = [curves(style.name) for style in styles]
    return {"fps": fps, "context": results.start, "total": results.stop, "videos": ids, "runs": runs}


def _numbers(values: Any) -> list[float | None]:
    rounded = (json_number(value) for value in values)
    return [None if value is None else float(f"{value:.4g}") for value in rounded]
