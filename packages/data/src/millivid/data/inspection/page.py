"""An inspection as a page: one HTML file with everything inside, and a JSON file with the numbers."""

import json
from importlib.resources import files
from pathlib import Path

from ..atomic import write_json, write_text
from . import camera, flags, frames, report, tables
from .findings import Inspection, as_json


def write_inspection(inspection: Inspection, out: str | Path) -> Path:
    """Write ``index.html`` and ``inspection.json`` into the folder ``out``; each appears whole or not at all.

    Returns the page's path. The same inspection gives the same files.

    Raises:
        ImportError: matplotlib, jinja2 or Pillow is missing.
    """
    page, value = _render(inspection), as_json(inspection)
    path = Path(out) / "index.html"
    write_json(path.with_name("inspection.json"), value)
    write_text(path, page)
    return path


def _render(inspection: Inspection) -> str:
    try:
        import jinja2

        from . import charts
    except ImportError as error:
        raise ImportError(
            f"a page needs matplotlib, jinja2 and Pillow ({error}): pip install matplotlib jinja2 pillow"
        ) from error
    stuck = f"{tables.STUCK_SECONDS:g} second of actions that elsewhere move or turn the camera"
    meanings = [
        ("black", f"A frame whose mean brightness is below {frames.BLACK_BRIGHTNESS:g} of 255."),
        ("single colour", f"No colour channel deviates by {frames.BLANK_DEVIATION:g} of 255 or more."),
        ("the same", f"Neighbours that differ by at most {frames.STILL_DIFFERENCE:g} of 255 on average."),
        ("stuck", f"At least {stuck}, with changes of at most {camera.NEGLIGIBLE:.0%} of the usual step and turn."),
    ]
    # Nothing in the page comes from elsewhere, and what the dataset says is escaped.
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "page.html").read_text(encoding="utf-8"))
    return template.render(
        found=inspection,
        sections=report.sections(inspection),
        notes=[*report.facts(inspection), *meanings],
        source=json.dumps(dict(inspection.index.source), indent=2, ensure_ascii=False, default=str),
        report=report,
        charts=charts,
        named=flags.NAMED,
    )
