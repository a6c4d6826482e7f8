"""Write a report: a folder with figures, plots, pictures, side-by-side videos and one page."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millivid.files.atomic import remove_leftovers, temporary_beside
from millivid.files.json_reader import read_json

from ..errors import EvaluationError
from ..evaluation import Evaluation
from ..results import FORMAT, VERSION, Results
from ..score_files import ABANDONED_SECONDS
from .style import INK, run_styles
from .tables import tables_as_markdown

METRICS = "metrics.json"
WRITTEN = re.compile(
    r"metrics\.(json|md)|index\.html|(curves|memory)\.(png|svg)|(recall|strip)\.png|videos/[A-Za-z0-9_-]+\.mp4"
)
"""The files of a report."""
USUAL_FPS = 20.0
"""What videos are played at whose rate nobody knows."""


def write_report(
    evaluation: Evaluation,
    results: Results,
    out: str | os.PathLike[str],
    *,
    title: str,
    max_videos: int = 8,
    strip_videos: int = 3,
    alongside: Sequence[str] = (),
) -> Path:
    """Write metrics.json, metrics.md, plots, picture strips, videos/*.mp4 and an index.html that holds all of it to `out`.

    `results`: of `summarise(evaluation)`. The first `max_videos` videos are shown, the first `strip_videos` in the strip;
    bounds only where there is nothing else.

    Everything is made in a temporary folder beside `out` and then moved into place, metrics.json first. An existing
    folder is only written to if it is empty or holds a report of this format; of an old report only the files that it
    lists are removed. `alongside`: names in `out` that may be there besides and are left alone.
    Returns the path of index.html. Needs the extra [report]. Raises EvaluationError.
    """
    if max_videos < 1 or strip_videos < 0:
        raise EvaluationError(f"a report shows at least 1 video; max_videos={max_videos}, strip_videos={strip_videos}")
    out = Path(out)
    old = check_report_folder(out, alongside)
    try:
        from .page import render_page
        from .pictures import Shown, draw_recall, draw_strip
        from .plots import draw_curves, draw_memory
        from .side_by_side import write_side_by_side
    except ImportError as error:
        raise ImportError(f"a report needs more packages: pip install av matplotlib pillow jinja2 ({error})") from error

    styles = run_styles(results.roles)
    panels = [style for style in styles if style.role == "run"] or list(styles)
    rates = (source.rate(results.ids[0]) for source in (evaluation.reference, *evaluation.runs.values()))
    fps = next((rate for rate in rates if rate is not None), USUAL_FPS)
    ids = list(results.ids[:max_videos])
    shown = [Shown("truth", INK, evaluation.reference)]
    shown += (Shown(style.name, style.colour, evaluation.runs[style.name]) for style in panels)
    with _made_beside(out, old) as temporary:
        videos = {id: f"videos/{name}.mp4" for id, name in _file_names(ids).items()}
        (temporary / "videos").mkdir()
        for id, file in videos.items():
            write_side_by_side(results, shown, id, temporary / file, fps)
        if results.frame_metrics:
            draw_curves(results, styles, [temporary / f"curves.{kind}" for kind in ("png", "svg")])
        if results.frame_metrics and results.memory is not None:
            draw_memory(results, styles, [temporary / f"memory.{kind}" for kind in ("png", "svg")])
        if results.memory is not None:
            draw_recall(results, shown, ids, temporary / "recall.png")
        if strip_videos:
            draw_strip(results, shown, ids[:strip_videos], temporary / "strip.png")
        page = render_page(
            results,
            styles,
            title=title,
            folder=temporary,
            videos=videos,
            panels=[style.name for style in panels],
            fps=fps,
        )
        (temporary / "index.html").write_text(page, encoding="utf-8")
        (temporary / "metrics.md").write_text(tables_as_markdown(results, title), encoding="utf-8")
        head = {"format": FORMAT, "version": VERSION, "title": title}
        content = {**head, **results.to_dict(), "files": [METRICS, *_files(temporary)]}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        (temporary / METRICS).write_text(text + "\n", encoding="utf-8")
    return out / "index.html"


@contextmanager
def _made_beside(out: Path, old: Sequence[str]) -> Iterator[Path]:
    """A temporary folder that becomes `out`, or whose files go where those of the `old` report were."""
    parent = out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent, ABANDONED_SECONDS)
    temporary = temporary_beside(out.absolute())
    temporary.mkdir()  # not by tempfile, whose folders only their owner may read
    try:
        yield temporary
        if not out.exists():
            os.replace(temporary, out)
            return
        # metrics.json first: a folder with some of its files is then a report that can be written anew.
        files = sorted(_files(temporary), key=lambda file: file != METRICS)
        for file in files:
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / file, out / file)
        for file in set(old) - set(files):
            (out / file).unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _file_names(ids: Sequence[str]) -> dict[str, str]:
    """A file name for each id: what every file system and address takes, and no two alike (also in case)."""
    names: dict[str, str] = {}
    for id in ids:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", id).strip("_")[:80] or "video"
        taken = {name.lower() for name in names.values()}
        candidates = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
        names[id] = next(name for name in candidates if name.lower() not in taken)
    return names


def check_report_folder(out: str | os.PathLike[str], alongside: Sequence[str] = ()) -> list[str]:
    """The files of the report that `out` holds, none for a new or empty folder; `alongside` may be there besides.

    Raises EvaluationError if it holds something else: worth asking before a long evaluation.
    """
    out = Path(out)
    if not out.exists():
        above = next(parent for parent in out.absolute().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise EvaluationError(f"{out} cannot be made, for {above} is no folder that can be written to")
        return []
    if not out.is_dir():
        raise EvaluationError(f"{out} is a file; a report is a folder")
    if all(path.name in alongside for path in out.iterdir()):
        return []
    try:
        content = read_json(out / METRICS, dict[str, Any])
    except ValueError:
        content = {}
    if content.get("format") != FORMAT:
        raise EvaluationError(f"{out} holds something other than a report; give a new folder, or empty this one")
    listed = content.get("files")
    files = [file for file in listed if isinstance(file, str)] if isinstance(listed, list) else []
    # What anyone's file lists is deleted only where it is what a report has, and where it lies in this folder.
    inside = out.resolve()
    return [file for file in files if WRITTEN.fullmatch(file) and (out / file).resolve().is_relative_to(inside)]
