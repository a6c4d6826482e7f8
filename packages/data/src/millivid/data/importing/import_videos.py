"""Turning a folder of anyone's videos, with or without tables beside them, into a clip dataset."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

from ..atomic import MINUTE, remove_leftovers
from ..clip_writer import ClipWriter
from ..clips import CLIP_FORMAT
from ..errors import DatasetError
from ..index_file import HIGHEST_FPS, INDEX_NAME, LOWEST_FPS, load_index
from ..video import LARGEST_SIDE
from .frame_fitting import Fit
from .import_released import Errors
from .import_report import RECORDS, ImportRecord, ImportReport, read_record, some_names
from .side_agreement import Columns, Outline, agree, outline
from .side_tables import require_parquet
from .side_tracks import ColumnRules, Role, find_side_tables, read_side_data
from .video_cutting import Cutting, cut_video
from .video_folder import FolderVideo, common_size, find_videos, first_rate, video_splits


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What the tables of all videos say.

    tables: of each video that has any. columns: what the dataset has. left_out: videos that do not fit -> why.
    """

    tables: dict[str, dict[Role, Path]]
    columns: Columns
    left_out: dict[str, str]
    remarks: tuple[str, ...]


def import_videos(
    source: str | Path,
    out: str | Path,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    fps: float | None = None,
    frames: int = 0,
    action_columns: Sequence[str] | None = None,
    pose_columns: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    action_names: Sequence[str] | None = None,
    test_fraction: float = 0.01,
    errors: Errors = "skip",
    lossless: bool = False,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> ImportReport:
    """Import all videos below a folder as a clip dataset; may be interrupted and run again, with the same arguments.

    Run again later, it imports what is new or has another size in bytes, and drops what is gone from the folder or broken
    now. What the dataset is like (fps, size, names of actions) stays; where new files would change it, it is refused.

    Args:
        source: the folder. If all videos lie in folders ``train``, ``test``, ``val``, ``valid`` or ``validation``, these are
            the splits.
        out: the clip dataset; not inside of ``source``.
        size: (height, width) to make all frames; None if all have one size already.
        fit: "crop" covers the size and cuts off what is beyond it, "pad" puts the whole picture on black, "stretch"
            distorts it.
        fps: frames per second; None for the rate of the first video. Videos of another rate, or of an uneven one, are
            shown at this one: at each tick the last frame that has come.
        frames: cut videos into pieces of so many frames. 0 for whole videos; then the longest of them, resized, has to fit
            into memory: 3 x height x width bytes per frame.
        action_columns, pose_columns: which columns of the tables to take, in this order; empty for none; None for
            ``action``, ``action_*`` or ``action.*``, and for x, y, z, yaw, pitch, or ``pose_*`` or ``pose.*``.
        columns: names of the columns of tables without names (plain NPY, CSV without a header).
        action_names: names of actions that are whole numbers; or which words there are, in this order.
        test_fraction: share of the videos in the split ``test``, where folders are no splits.
        errors: whether a video that cannot be imported ends the import or is left out.
        lossless: as for `ClipWriter`.
        share: (i, n): import only every nth video from the ith on, so that n calls can share the work. The one that finds all
            imported finishes the dataset.
        progress: what the names of the videos to import are drawn through, `tqdm` for example.

    Raises:
        DatasetError: the folder, the settings or, with ``errors="raise"``, a video or a table is not as it has to be.
    """
    source, out = Path(source), Path(out)
    _check_settings(size, fit, fps, frames, test_fraction, errors, share)
    videos, tables, others = find_videos(source)
    if out.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"the output {out} lies inside of the source {source}; choose a folder outside of it")
    rules = ColumnRules(actions=_tuple(action_columns), poses=_tuple(pose_columns), names=_tuple(columns))
    survey = _look_at_tables(source, videos, tables, rules, action_names, errors)
    usable = [video for video in videos if video.name not in survey.left_out]
    if not usable:
        raise _none_imported(videos, survey.left_out)
    found_size = size or common_size(usable)
    found_fps, fps_of = _rate(out, fps, usable)
    writer = ClipWriter(
        out,
        fps=found_fps,
        size=found_size,
        action_names=survey.columns.action_names,
        action_type=survey.columns.action_type,
        pose_names=survey.columns.pose_names,
        lossless=lossless,
        source={
            "imported_from": "videos",
            "fit": fit if size else None,
            "frames": frames,
            "fps_of": fps_of,
            "columns": asdict(rules),
        },
    )
    cutting = Cutting(
        writer=writer,
        size=found_size,
        fit=fit,
        scaling=size is not None,
        fps=Fraction(found_fps).limit_denominator(1001),
        frames=frames,
        columns=survey.columns,
    )
    by_name = {video.name: video for video in usable}
    mine = {video.name for video in videos[share[0] :: share[1]]}
    for name in progress([name for name in by_name if name in mine]):
        video, beside = by_name[name], survey.tables.get(name, {})
        done = _record(writer, video, beside)
        if done is None or (done.skipped and errors == "raise"):
            record = ImportRecord(file=name, bytes=_bytes(video, beside))
            try:
                cut = cut_video(video.id, video.path, read_side_data(beside, rules), cutting)
                record = replace(record, videos=cut.videos, frames=cut.frames, notes=cut.notes)
            except DatasetError as error:
                if errors == "raise":
                    raise
                record = replace(record, skipped=_without_folder(error, source))
            record.write(out, video.id)
    records = {name: _record(writer, video, survey.tables.get(name, {})) for name, video in by_name.items()}
    remark = [f"{found_fps:g} frames per second, as {fps_of} has; fps= sets another rate"] if fps_of else []
    if others:
        remark.append(f"not looked at, for they do not end as videos do: {some_names(others)}")
    return _finish(writer, videos, records, survey, (*remark, *survey.remarks), test_fraction)


def _finish(
    writer: ClipWriter,
    videos: Sequence[FolderVideo],
    records: dict[str, ImportRecord | None],
    survey: _Survey,
    remarks: tuple[str, ...],
    test_fraction: float,
) -> ImportReport:
    """Finish the dataset, if all that can be imported is, and it is not finished with just these videos already."""
    known = {name: record for name, record in records.items() if record}
    skipped = {name: record.skipped for name, record in known.items() if record.skipped} | survey.left_out
    notes = {
        video.name: (*([f"called {video.id}: {video.renamed}"] if video.renamed else []), *known[video.name].notes)
        for video in videos
        if video.name in known and video.name not in skipped
    }
    remove_leftovers(writer.folder / RECORDS, older_than=MINUTE)
    splits: dict[str, list[str]] = {}
    missing = len(records) - len(known)
    if not missing:
        if len(skipped) == len(videos):
            if not writer.written():  # other settings may do better
                shutil.rmtree(writer.folder / RECORDS, ignore_errors=True)
                (writer.folder / INDEX_NAME).unlink(missing_ok=True)
            raise _none_imported(videos, skipped)
        pieces = {video.id: known[video.name].videos for video in videos if video.name in known}
        chosen = video_splits(videos, test_fraction)
        splits = {name: list(chain.from_iterable(pieces.get(id, ()) for id in ids)) for name, ids in chosen.items()}
        unlisted = any((writer.folder / "videos").glob("*.sha256"))  # written, but not in the index yet
        if unlisted or not writer.complete() or load_index(writer.folder, CLIP_FORMAT)["splits"] != splits:
            writer.finish(splits)
    return ImportReport(
        videos=sum(len(record.videos) for record in known.values()),
        frames=sum(record.frames for record in known.values()),
        sources=len(videos),
        skipped=dict(sorted(skipped.items())),
        notes={name: lines for name, lines in notes.items() if lines},
        remarks=remarks,
        splits={name: len(ids) for name, ids in splits.items()},
        missing=missing,
    )


def _look_at_tables(
    source: Path,
    videos: Sequence[FolderVideo],
    tables: dict[str, Path],
    rules: ColumnRules,
    action_names: Sequence[str] | None,
    errors: Errors,
) -> _Survey:
    """Read all tables once: the dataset's actions are what occurs in any of them."""
    beside: dict[str, dict[Role, Path]] = {}
    outlines: dict[str, Outline] = {}
    left_out: dict[str, str] = {}
    unused: dict[str, str] = {}
    for video in videos:
        try:
            found = find_side_tables(video.name, tables)
            if any(path.suffix.lower() == ".parquet" for path in found.values()):
                require_parquet()
            side = read_side_data(found, rules)
        except DatasetError as error:
            if errors == "raise" or isinstance(error.__cause__, ImportError):
                raise
            left_out[video.name] = _without_folder(error, source)
            continue
        beside[video.name], outlines[video.name] = found, outline(side)
        for column in side.unused:
            unused.setdefault(column, video.name)
    agreed, misfits = agree(outlines, action_names)
    if misfits and errors == "raise":
        raise DatasetError(next(iter(misfits.values())))
    remarks = []
    if unused:
        remarks.append(f"columns that were not used: {some_names([repr(name) for name in unused])}")
    taken = {path for found in beside.values() for path in found.values()}
    strays = sorted({path.relative_to(source).as_posix() for path in tables.values() if path not in taken})
    if strays and not left_out:
        remarks.append(f"tables that stand beside no video: {some_names(strays)}")
    return _Survey(tables=beside, columns=agreed, left_out=left_out | misfits, remarks=tuple(remarks))


def _rate(out: Path, fps: float | None, videos: Sequence[FolderVideo]) -> tuple[float, str | None]:
    """Frames per second: as asked for, as before, or as the first video has them; and which video that is."""
    if fps is not None:
        return float(fps), None
    if (out / INDEX_NAME).is_file():
        index = load_index(out, CLIP_FORMAT)
        return float(index["fps"]), index["source"].get("fps_of")
    return first_rate(videos)


def _record(writer: ClipWriter, video: FolderVideo, beside: dict[Role, Path]) -> ImportRecord | None:
    """What is known of a source file, if it is still the same file and what was made of it is there."""
    record = read_record(writer.folder, video.id)
    same = record and record.file == video.name and record.bytes == _bytes(video, beside)
    return record if record and same and all(writer.done(id) for id in record.videos) else None


def _none_imported(videos: Sequence[FolderVideo], why: Mapping[str, str]) -> DatasetError:
    return DatasetError(f"none of the {len(videos)} videos could be imported; the first: {min(why.items())[1]}")


def _bytes(video: FolderVideo, beside: dict[Role, Path]) -> dict[str, int]:
    paths = [("video", video.path), *beside.items()]
    return {what: path.stat().st_size if path.is_file() else -1 for what, path in paths}


def _without_folder(error: DatasetError, source: Path) -> str:
    """The message with paths in the source folder instead of in the machine."""
    text = str(error).replace(f"{source}/", "").replace(f"{source}\\", "")
    return os.fsencode(text).decode("utf-8", "backslashreplace")  # names of files need not be UTF-8, JSON does


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _check_settings(
    size: tuple[int, int] | None,
    fit: Fit,
    fps: float | None,
    frames: int,
    test_fraction: float,
    errors: Errors,
    share: tuple[int, int],
) -> None:
    for good, what in (
        (
            size is None or (len(size) == 2 and 1 <= min(size) <= max(size) <= LARGEST_SIDE),
            f"size is {size}; (height, width) of 1 to {LARGEST_SIDE} pixels are expected",
        ),
        (fit in ("crop", "pad", "stretch"), f"fit is {fit!r}; 'crop', 'pad' or 'stretch' is expected"),
        (
            fps is None or LOWEST_FPS <= fps <= HIGHEST_FPS,
            f"fps is {fps}; a number from {LOWEST_FPS} to {HIGHEST_FPS} is expected",
        ),
        (
            frames == 0 or frames > 1,
            f"frames is {frames}; 0 for whole videos, or at least 2 frames per piece are expected",
        ),
        (0 <= test_fraction <= 1, f"test_fraction is {test_fraction}; a number from 0 to 1 is expected"),
        (errors in ("raise", "skip"), f"errors is {errors!r}; 'raise' or 'skip' is expected"),
        (0 <= share[0] < share[1], f"share is {share}; (i, n) with 0 <= i < n is expected"),
    ):
        if not good:
            raise DatasetError(what)
