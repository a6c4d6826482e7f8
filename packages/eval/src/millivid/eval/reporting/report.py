"""Write a report: a folder with figures, plots, pictures, side-by-side videos and one page."""

import glob
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import EvaluationError
from ..protocol import build_protocol, versions
from ..results import Results
from ..scores import ABANDONED_SECONDS
from ..videos import VideoSource, check_ids
from .loop_table import Loops
from .markdown import loops_markdown, markdown
from .palette import DARK, LIGHT, Look, looks

FORMAT = "millivid.eval.report"
VERSION = 2
METRICS = "metrics.json"


def write_report(
    results: Results,
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    out: str | os.PathLike[str],
    *,
    title: str,
    context_frames: int | None = None,
    roles: Mapping[str, str] | None = None,
    protocol: Mapping[str, Any] | None = None,
    descriptions: Mapping[str, str] | None = None,
    panels: Sequence[str] | None = None,
    max_videos: int = 8,
    strip_videos: int = 3,
    alongside: Sequence[str] = (),
    loops: Loops | None = None,
) -> Path:
    """Write metrics.json, metrics.md, plots, picture strips, videos/*.mp4 and an index.html that holds all of it to `out`.

    `context_frames`: checked against the results' first frame where given. `roles`: "run" or "bound" by run ("run"
    where not named). `protocol`: further JSON values (seed, checkpoint, command) for metrics.json's "settings".
    `descriptions`: a line on a run or a bound, by name. `panels`: the runs to picture, by default those that are no
    bounds. The first `max_videos` videos are shown, the first `strip_videos` in the strip.

    Everything is made in a temporary folder beside `out` and then moved into place, metrics.json first. An existing
    folder is only written to if it is empty or holds a report of this format; of an old report only the files that it
    lists are removed. `alongside`: names in `out` that may be there besides and are left alone. `loops`: how runs close
    loops, by run and metric.
    Returns the path of index.html. Needs the extra [report]. Raises EvaluationError.
    """
    if not results.ids or max_videos < 1 or strip_videos < 0:
        raise EvaluationError(f"a report shows at least 1 video; max_videos={max_videos}, strip_videos={strip_videos}")
    if context_frames is not None and context_frames != results.start:
        raise EvaluationError(
            f"context_frames is {context_frames}, but the results compare frames from {results.start} on; generated "
            "frame 1 must follow the context"
        )
    names = list(results.scores)
    all_looks = looks(names, roles)
    shown = _panels(all_looks, panels)
    unknown = [name for name in descriptions or {} if name not in names]
    if unknown:
        raise EvaluationError(f"descriptions name {unknown}, which are not runs; these are: {', '.join(names)}")
    absent = [look.name for look in shown if look.name not in runs]
    if absent:
        raise EvaluationError(f"no videos were given for {absent}, which are to be shown")
    ids = list(results.ids[:max_videos])
    check_ids({"the reference": reference, **{look.name: runs[look.name] for look in shown}}, ids)
    out = Path(out)
    old = check_report_folder(out, alongside)
    try:
        from .curves import draw_curves, draw_memory
        from .page import render_page
        from .side_by_side import write_side_by_side
        from .strip import draw_recall, draw_strip
    except ImportError as error:
        raise ImportError(f"a report needs more packages: pip install 'millivid-eval[report]' ({error})") from error

    with _made_beside(out, old) as temporary:
        videos = {id: f"videos/{name}.mp4" for id, name in _file_names(ids).items()}
        (temporary / "videos").mkdir()
        for id, file in videos.items():
            write_side_by_side(results, runs, reference, shown, id, temporary / file)
        recall = False
        for suffix, theme in (("", LIGHT), ("-dark", DARK)):
            if results.frame_metrics:
                paths = [temporary / f"curves{suffix}{kind}" for kind in (".png", ".svg")]
                draw_curves(results, all_looks, paths, theme)
                if results.memory is not None:
                    paths = [temporary / f"memory{suffix}{kind}" for kind in (".png", ".svg")]
                    draw_memory(results.memory, results.frame_metrics, all_looks, paths, theme)
            if results.memory is not None:
                recall = draw_recall(results, runs, reference, shown, ids, temporary / f"recall{suffix}.png", theme)
            if strip_videos:
                draw_strip(results, runs, reference, shown, ids[:strip_videos], temporary / f"strip{suffix}.png", theme)
        descriptions = dict(descriptions or {})
        described = build_protocol(results, runs, reference, protocol or {})
        text = render_page(
            results,
            all_looks,
            title=title,
            folder=temporary,
            videos=videos,
            strips=min(strip_videos, len(ids)),
            recall=recall,
            panels=shown,
            descriptions=descriptions,
            protocol=described,
            loops=loops or {},
        )
        (temporary / "index.html").write_text(text, encoding="utf-8")
        (temporary / "metrics.md").write_text(
            markdown(results, all_looks, title, descriptions, loops or {}), encoding="utf-8"
        )
        content = {
            "title": title,
            "roles": {look.name: look.role for look in all_looks},
            "descriptions": descriptions,
            **results.to_dict(),
            "loops": _plain(loops or {}),
            "protocol": described,
        }
        _write_metrics(temporary, content)
    return out / "index.html"


def write_loops(
    loops: Loops,
    out: str | os.PathLike[str],
    *,
    title: str,
    skipped: Mapping[str, str] | None = None,
    alongside: Sequence[str] = (),
) -> Path:
    """Write metrics.json and metrics.md of loops alone to the folder `out`; returns the path of metrics.md.

    skipped: why metrics are not there, by name. alongside: as in `write_report`. Raises EvaluationError where
    `check_report_folder` does.
    """
    out, skipped = Path(out), dict(skipped or {})
    with _made_beside(out, check_report_folder(out, alongside)) as temporary:
        missing = [f"- {name} is missing: {reason}" for name, reason in skipped.items()]
        text = "\n".join([f"# {title}", "", *loops_markdown(loops), *missing]).rstrip() + "\n"
        (temporary / "metrics.md").write_text(text, encoding="utf-8")
        _write_metrics(temporary, {"title": title, "skipped": skipped, "loops": _plain(loops), "versions": versions()})
    return out / "metrics.md"


@contextmanager
def _made_beside(out: Path, old: list[str]) -> Iterator[Path]:
    """A temporary folder beside `out` that is moved into its place, file by file where `out` is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    parent = out.absolute().parent
    for left in parent.glob(f".{glob.escape(out.name)}.report-*.tmp"):  # of a run that was killed
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    temporary = (
        parent / f".{out.name}.report-{uuid.uuid4().hex}.tmp"
    )  # not mkdtemp, whose folders only their owner may read
    temporary.mkdir()
    try:
        yield temporary
        _move_into_place(temporary, out, old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_metrics(folder: Path, content: Mapping[str, Any]) -> None:
    """metrics.json, which lists what else is in the folder."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    content = {"format": FORMAT, "version": VERSION, **content, "files": [METRICS, *files]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
    (folder / METRICS).write_text(text + "\n", encoding="utf-8")


def _plain(loops: Loops) -> dict[str, Any]:
    return {run: {name: closure.to_dict() for name, closure in by_metric.items()} for run, by_metric in loops.items()}


def _panels(all_looks: tuple[Look, ...], panels: Sequence[str] | None) -> tuple[Look, ...]:
    if panels is None:
        return tuple(look for look in all_looks if look.role == "run") or all_looks
    by_name = {look.name: look for look in all_looks}
    unknown = [name for name in panels if name not in by_name]
    if unknown or not panels:
        raise EvaluationError(f"panels {list(panels)} must name runs; these are: {', '.join(by_name)}")
    return tuple(by_name[name] for name in panels)


def _file_names(ids: Sequence[str]) -> dict[str, str]:
    """A file name for each id: what every file system and address takes, and no two alike (also in case)."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for id in ids:
        stem = name = re.sub(r"[^A-Za-z0-9_-]+", "_", id).strip("_")[:80] or "video"
        number = 2
        while name.lower() in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.lower())
        names[id] = name
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
        content = json.loads((out / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise EvaluationError(f"{out} holds something other than a report; give a new folder, or empty this one")
    files = [file for file in content.get("files", []) if isinstance(file, str)]
    return [f for f in files if not PurePosixPath(f).is_absolute() and ".." not in PurePosixPath(f).parts]


def _move_into_place(temporary: Path, out: Path, old: list[str]) -> None:
    if not out.exists():
        os.replace(temporary, out)
        return
    # metrics.json first: a folder with some of its files is then a report that can be written anew.
    files = json.loads((temporary / METRICS).read_text(encoding="utf-8"))["files"]
    for file in files:
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary / file, out / file)
    for file in set(old) - set(files):
        (out / file).unlink(missing_ok=True)
