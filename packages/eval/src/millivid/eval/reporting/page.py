"""The report's page: one HTML file with its style and script inside, that opens from the file system."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ..metrics import Metric
from ..results import Results, json_number
from .loop_table import LOOPS_TEXT, Loops, loop_metrics, loop_rows
from .memory_table import MEMORY_TEXT, MemoryRow, memory_rows
from .palette import CONTEXT_COLOUR, Look
from .strip import AWAY
from .table import ARROWS, SET_HEADS, horizon_rows, in_order, set_rows, sizes_text

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".mp4": "video/mp4"}


def render_page(
    results: Results,
    looks: Sequence[Look],
    *,
    title: str,
    folder: Path,
    videos: Mapping[str, str],
    strips: int,
    recall: bool,
    panels: Sequence[Look],
    descriptions: Mapping[str, str],
    protocol: Mapping[str, Any],
    loops: Loops,
) -> str:
    """The page as text, with everything it shows inside. `folder` holds the pictures and, by id, `videos`."""
    templates = files(__package__) / "templates"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((templates / "page.html").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        css=Markup((templates / "page.css").read_text(encoding="utf-8")),
        js=Markup((templates / "page.js").read_text(encoding="utf-8")),
        data=Markup(_script_json(page_data(results, looks, videos))),
        results=results,
        embed=lambda name: embed(folder / name),
        set_heads=SET_HEADS,
        set_rows=set_rows(results, looks),
        memory=_memory(results, looks),
        memory_text=MEMORY_TEXT,
        ordered=in_order(looks),
        loops=[(name, runs, loop_rows(loops, name)) for name, runs in loop_metrics(loops).items()],
        loops_text=LOOPS_TEXT,
        sizes=sizes_text(results),
        rows=horizon_rows(results, tuple(looks)),
        arrows=ARROWS,
        looks=looks,
        panels=panels,
        videos=videos,
        strips=strips,
        recall=recall,
        away=AWAY,
        descriptions=descriptions,
        bounds=[look for look in looks if look.role == "bound"],
        has_psnr=any(metric.name == "psnr" for metric in results.metrics),
        context_colour=CONTEXT_COLOUR,
        protocol_text=json.dumps(protocol, indent=2, ensure_ascii=False, default=str),
        versions=protocol.get("versions", {}),
    )


def _memory(results: Results, looks: Sequence[Look]) -> list[tuple[Metric, tuple[MemoryRow, ...]]]:
    if results.memory is None:
        return []
    ordered = in_order(looks)
    return [(m, memory_rows(results.memory, m, results.horizons, ordered)) for m in results.frame_metrics]


def embed(file: Path) -> str:
    """A file as an address that holds the file itself."""
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def page_data(results: Results, looks: Sequence[Look], videos: Mapping[str, str]) -> dict[str, Any]:
    """What the page's script draws from: per metric and run, the mean curve and that of every shown video."""
    rows = [results.ids.index(id) for id in videos]
    return {
        "fps": results.fps,
        "context": results.start,
        "total": results.stop,
        "contextColour": CONTEXT_COLOUR,
        "horizons": [{"name": h.name, "first": h.first, "last": h.last} for h in results.horizons],
        "videos": list(videos),
        "metrics": [
            {"name": m.name, "label": m.label, "better": m.better, "unit": m.unit, "decimals": m.decimals}
            for m in results.frame_metrics
        ],
        "runs": [
            {
                "name": look.name,
                "role": look.role,
                "colour": look.colour,
                "dash": " ".join(f"{d:g}" for d in look.dash),
                "mean": {name: _numbers(scores.curve) for name, scores in results.scores[look.name].items()},
                "videos": {
                    name: [_numbers(scores.frames[row]) for row in rows]
                    for name, scores in results.scores[look.name].items()
                },
            }
            for look in looks
        ],
    }


def _numbers(values: Any) -> list[float | None]:
    rounded = (json_number(value) for value in values)
    return [None if value is None else float(f"{value:.4g}") for value in rounded]


def _script_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, whatever the names in it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
