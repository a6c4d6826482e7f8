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
from .side_agreement import Columns, agree, in_common_form
from .side_tracks import ColumnRules, SideData, read_side_data
from .video_cutting import Cutting, cut_image, cut_video
from .video_folder import IMAGE_RATE, FolderVideo, common_size, find_videos, first_rate, video_splits


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """What the tables of all videos say.

    Attributes:
        data: of each video that can be imported, in the form that the dataset has.
        columns: what the dataset has.
        left_out: videos that do not fit -> why.
        remarks: for the report.
    """

    data: dict[str, SideData]
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

    In a folder without videos, each image becomes a video of one frame, without actions and poses.

    Run again later, it imports what is new or has another size in bytes, and drops what is gone from the folder or broken
    now. What the dataset is like (fps, size, names of actions) stays; where new files would change it, it is refused.

    Args:
        source: the folder. If all videos lie in folders ``train``, ``test``, ``val``, ``valid`` or ``validation``, these are
            the splits.
        out: the clip dataset; not inside of ``source``.
        size: (height, width) to make all frames; None if all have one size already.
        fit: "crop" covers the size and cuts off what is beyond it, "pad" puts the whole picture on black, "stretch"
            distorts it.
        fps: frames per second; None for the rate of the first video (1 for images). Videos of another rate, or of an uneven
            one, are shown at this one: at each tick the last frame that has come.
        frames: cut videos into pieces of so many frames. 0 for whole videos; then the longest of them, resized, has to fit
            into memory: 3 x height x width bytes per frame.
        action_columns, pose_columns: which columns of the tables to take, in this order; empty for none; None for
            ``action``, ``action_*`` or ``action.*``, and for x, y, z, yaw, pitch, or ``pose_*`` or ``pose.*``.
        columns: names of the columns of tables without names (plain NPY, CSV without a header).
        action_names: names of actions that are whole numbers; or which words there are, in this order.
        test_fraction: share of the videos in the split ``test``, where folders are no splits; but for 0 and 1, no split of two
            or more videos is empty.
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
    videos, table_files, others = find_videos(source)
    if out.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"the output {out} lies inside of the source {source}; choose a folder outside of it")
    rules = ColumnRules(actions=action_columns, poses=pose_columns, names=columns, words=action_names)
    tables = _read_tables(source, videos, table_files, rules, errors)
    usable = {video.name: video for video in videos if video.name in tables.data}
    if not usable:
        raise _none_imported(videos, tables.left_out)
    found_size = size or common_size([*usable.values()])
    found_fps, fps_of = _rate(out, fps, [*usable.values()])
    writer = ClipWriter(
        out,
        fps=found_fps,
        size=found_size,
        lossless=lossless,
        source={
            "imported_from": "images" if videos[0].is_image else "videos",
            "fit": fit if size else None,
            "frames": frames,
            "fps_of": fps_of,
            "columns": {"actions": action_columns, "poses": pose_columns, "names": columns},
        },
        **asdict(tables.columns),
    )
    cutting = Cutting(
        writer=writer,
        size=found_size,
        fit=fit if size else None,
        fps=Fraction(found_fps).limit_denominator(1001),
        frames=frames,
    )
    in_share = {video.name for video in videos[share[0] :: share[1]]}
    for name in progress([name for name in usable if name in in_share]):
        video, side = usable[name], tables.data[name]
        record = _record(writer, video, side)
        if record and not (record.skipped and errors == "raise"):
            continue
        record = ImportRecord(file=name, bytes=_bytes(video, side))
        try:
            cut = cut_image(video, cutting) if video.is_image else cut_video(video, side, cutting)
            record = replace(record, **cut._asdict())
        except DatasetError as error:
            if errors == "raise":
                raise
            record = replace(record, skipped=_without_folder(error, source))
        record.write(out, video.id)
    records = {name: _record(writer, video, tables.data[name]) for name, video in usable.items()}
    remarks = [f"{found_fps:g} frames per second, as {fps_of} has; fps= sets another rate"] if fps_of else []
    if others:
        remarks.append(f"not looked at, for they do not end as videos do: {some_names(others)}")
    missing = sum(record is None for record in records.values())
    known = {name: record for name, record in records.items() if record}
    skipped = {name: record.skipped for name, record in known.items() if record.skipped} | tables.left_out
    remove_leftovers(out / RECORDS, older_than=MINUTE)
    return ImportReport(
        videos=sum(len(record.videos) for record in known.values()),
        frames=sum(record.frames for record in known.values()),
        sources=len(videos),
        skipped=dict(sorted(skipped.items())),
        notes=_notes(videos, known, skipped),
        remarks=(*remarks, *tables.remarks),
        splits={} if missing else _finish(writer, videos, known, skipped, test_fraction),
        missing=missing,
    )


def _finish(
    writer: ClipWriter,
    videos: Sequence[FolderVideo],
    records: Mapping[str, ImportRecord],
    skipped: Mapping[str, str],
    test_fraction: float,
) -> dict[str, int]:
    """Finish the dataset, unless it is finished with just these videos already; the number of videos in each split."""
    if len(skipped) == len(videos):
        if not writer.written():  # other settings may do better
            shutil.rmtree(writer.folder / RECORDS, ignore_errors=True)
            (writer.folder / INDEX_NAME).unlink(missing_ok=True)
        raise _none_imported(videos, skipped)
    pieces = {video.id: records[video.name].videos for video in videos if video.name not in skipped}
    chosen = video_splits([video for video in videos if video.id in pieces], test_fraction)
    splits = {name: list(chain.from_iterable(pieces[id] for id in ids)) for name, ids in chosen.items()}
    unlisted = any((writer.folder / "videos").glob("*.sha256"))  # written, but not in the index yet
    if unlisted or not writer.complete() or writer.splits() != splits:
        writer.finish(splits)
    return {name: len(ids) for name, ids in splits.items()}


def _notes(
    videos: Sequence[FolderVideo], records: Mapping[str, ImportRecord], skipped: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """What was not taken as it was, of each video where anything was not."""
    notes: dict[str, tuple[str, ...]] = {}
    for video in videos:
        if video.name in records and video.name not in skipped:
            renamed = (f"called {video.id}: {video.renamed}",) if video.renamed else ()
            notes[video.name] = (*renamed, *records[video.name].notes)
    return {name: lines for name, lines in notes.items() if lines}


def _read_tables(
    source: Path,
    videos: Sequence[FolderVideo],
    tables: Mapping[str, Path],
    rules: ColumnRules,
    errors: Errors,
) -> _Tables:
    """Read each table once: the dataset's actions are what occurs in any of them."""
    data: dict[str, SideData] = {}
    left_out: dict[str, str] = {}
    for video in videos:
        try:
            data[video.name] = read_side_data(video.name, tables, rules)
        except DatasetError as error:
            if errors == "raise" or isinstance(error.__cause__, ImportError):
                raise
            left_out[video.name] = _without_folder(error, source)
    columns, misfits = agree(data, rules.words)
    if misfits and errors == "raise":
        raise DatasetError(next(iter(misfits.values())))
    remarks = []
    unused = dict.fromkeys(column for one in data.values() for column in one.unused)
    if unused:
        remarks.append(f"columns that were not used: {some_names([repr(name) for name in unused])}")
    taken = {path for one in data.values() for path in one.files.values()}
    strays = sorted({path.relative_to(source).as_posix() for path in tables.values() if path not in taken})
    if strays and not left_out:
        remarks.append(f"tables that stand beside no video: {some_names(strays)}")
    data = {name: in_common_form(one, columns) for name, one in data.items() if name not in misfits}
    return _Tables(data=data, columns=columns, left_out=left_out | misfits, remarks=tuple(remarks))


def _rate(out: Path, fps: float | None, videos: Sequence[FolderVideo]) -> tuple[float, str | None]:
    """Frames per second: as asked for, as before, or as the first video has them; and which video that is."""
    if fps is not None:
        return float(fps), None
    if (out / INDEX_NAME).is_file():
        index = load_index(out, CLIP_FORMAT)
        return float(index["fps"]), index["source"].get("fps_of")
    return (IMAGE_RATE, None) if videos[0].is_image else first_rate(videos)


def _record(writer: ClipWriter, video: FolderVideo, side: SideData) -> ImportRecord | None:
    """What is known of a source file, if it is still the same file and what was made of it is there."""
    record = read_record(writer.folder, video.id)
    if record and record.file == video.name and record.bytes == _bytes(video, side):
        return record if all(writer.done(id) for id in record.videos) else None
    return None


def _bytes(video: FolderVideo, side: SideData) -> dict[str, int]:
    files = [("video", video.path), *side.files.items()]
    return {what: path.stat().st_size if path.is_file() else -1 for what, path in files}


def _none_imported(videos: Sequence[FolderVideo], why: Mapping[str, str]) -> DatasetError:
    return DatasetError(f"none of the {len(videos)} videos could be imported; the first: {min(why.items())[1]}")


def _without_folder(error: DatasetError, source: Path) -> str:
    """The message with paths in the source folder instead of in the machine."""
    text = str(error).replace(f"{source}/", "").replace(f"{source}\\", "")
    return os.fsencode(text).decode("utf-8", "backslashreplace")  # names of files need not be UTF-8, JSON does


def _check_settings(
    size: tuple[int, int] | None,
    fit: Fit,
    fps: float | None,
    frames: int,
    test_fraction: float,
    errors: Errors,
    share: tuple[int, int],
) -> None:
    size_fits = size is None or (len(size) == 2 and 1 <= min(size) <= max(size) <= LARGEST_SIDE)
    fps_fits = fps is None or LOWEST_FPS <= fps <= HIGHEST_FPS
    for fits, what in (
        (size_fits, f"size is {size}; (height, width) of 1 to {LARGEST_SIDE} pixels are expected"),
        (fit in ("crop", "pad", "stretch"), f"fit is {fit!r}; 'crop', 'pad' or 'stretch' is expected"),
        (fps_fits, f"fps is {fps}; a number from {LOWEST_FPS} to {HIGHEST_FPS} is expected"),
        (frames == 0 or frames > 1, f"frames is {frames}; 0 for whole videos, or 2 or more per piece are expected"),
        (0 <= test_fraction <= 1, f"test_fraction is {test_fraction}; a number from 0 to 1 is expected"),
        (errors in ("raise", "skip"), f"errors is {errors!r}; 'raise' or 'skip' is expected"),
        (0 <= share[0] < share[1], f"share is {share}; (i, n) with 0 <= i < n is expected"),
    ):
        if not fits:
            raise DatasetError(what)
