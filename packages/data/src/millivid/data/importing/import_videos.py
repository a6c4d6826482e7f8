"""Turning a folder of anyone's videos, with or without tables beside them, into a clip dataset."""

import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from millivid.files.atomic import MINUTE, remove_leftovers

from ..clip_writer import ClipWriter
from ..clips import ClipIndex
from ..errors import DatasetError
from ..index_file import INDEX_NAME
from .import_report import RECORDS, ImportRecord, ImportReport, in_one_line, read_record, some_names
from .import_settings import ImportSettings
from .side_tracks import SideData, agree, read_side_data
from .video_cutting import cut_image, cut_video
from .video_folder import IMAGE_RATE, FolderVideo, common_size, find_videos, first_rate, video_splits


def import_videos(
    source: str | Path,
    out: str | Path,
    *,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[list[str]], Iterable[str]] = iter,
    **settings: Any,
) -> ImportReport:
    """Import all videos below a folder as a clip dataset; may be interrupted and run again, with the same arguments.

    In a folder without videos, each image becomes a video of one frame, without actions and poses.

    Run again later, it imports what is new or has another size in bytes, and drops what is gone from the folder or broken
    now. What the dataset is like (fps, size, names of actions) stays; where new files would change it, it is refused.

    source: the folder. If all videos lie in folders ``train``, ``test``, ``val``, ``valid`` or ``validation``, these are
    the splits. out: the clip dataset; not inside of ``source``. share: (i, n): import only every nth video from the ith on,
    so that n calls can share the work. The one that finds all imported finishes the dataset. progress: what the names of
    the videos to import are drawn through, `tqdm` for example. settings: those of `ImportSettings`, such as ``size=(64,
    64)``. Raises DatasetError where the folder, the settings or, with ``errors="raise"``, a video or a table is not as it
    has to be.
    """
    source, out, wanted = Path(source), Path(out), ImportSettings(**settings)
    if not 0 <= share[0] < share[1]:
        raise DatasetError(f"share is {share}; (i, n) with 0 <= i < n is expected")
    videos, tables, others = find_videos(source)
    if out.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f"the output {out} lies inside of the source {source}; choose a folder outside of it")
    sides, left_out = _read_tables(source, videos, tables, wanted)
    if not sides:
        raise _none_imported(videos, left_out)
    columns, agreed, misfits = agree(sides, wanted.action_names)
    if misfits and wanted.errors == "raise":
        raise DatasetError(next(iter(misfits.values())))
    left_out |= misfits
    usable = {
        video.name: replace(video, side=side, notes=video.notes + side.notes)
        for video in videos
        if (side := agreed.get(video.name))
    }
    size = wanted.size or common_size([*usable.values()])
    fps, fps_of = _rate(out, wanted.fps, [*usable.values()])
    writer = ClipWriter(
        out,
        fps=fps,
        size=size,
        lossless=wanted.lossless,
        source={
            "imported_from": "images" if videos[0].is_image else "videos",
            "fit": wanted.fit_to_size,
            "frames": wanted.frames,
            "fps_of": fps_of,
            "columns": {
                "actions": wanted.action_columns,
                "poses": wanted.pose_columns,
                "names": wanted.columns,
            },
        },
        **columns,
    )
    _check_not_away(source, writer, {video.id for video in videos})
    in_share = {video.name for video in videos[share[0] :: share[1]]}
    for name in progress([name for name in usable if name in in_share]):
        _import(usable[name], writer, source, wanted)
    found = {name: _record(writer, video) for name, video in usable.items()}
    records = {name: record for name, record in found.items() if record}
    taken = {name: record for name, record in records.items() if not record.skipped}
    skipped = left_out | {name: record.skipped for name, record in records.items() if record.skipped}
    remarks = [f"{fps:g} frames per second, as {fps_of} has; fps= sets another rate"] if fps_of else []
    if others:
        remarks.append(f"not looked at, for they do not end as videos do: {some_names(others)}")
    remarks += _table_remarks(source, sides, {} if left_out.keys() - misfits.keys() else tables)
    remove_leftovers(out / RECORDS, older_than=MINUTE)
    complete = len(records) == len(usable)
    return ImportReport(
        videos=sum(len(record.videos) for record in taken.values()),
        frames=sum(record.frames for record in taken.values()),
        sources=len(videos),
        skipped=dict(sorted(skipped.items())),
        notes={name: record.notes for name, record in taken.items() if record.notes},
        remarks=tuple(remarks),
        splits=_finish(writer, videos, taken, skipped, wanted.test_fraction) if complete else {},
        missing=len(usable) - len(records),
    )


def _read_tables(
    source: Path, videos: Sequence[FolderVideo], tables: Mapping[str, Path], wanted: ImportSettings
) -> tuple[dict[str, SideData], dict[str, str]]:
    """What stands beside each video, and why some cannot be imported. Each table is read once."""
    sides: dict[str, SideData] = {}
    left_out: dict[str, str] = {}
    for video in videos:
        try:
            sides[video.name] = read_side_data(video.name, tables, wanted)
        except DatasetError as error:
            # Of what cannot be reached, nobody knows what it holds.
            away = isinstance(error.__cause__, OSError) and error.__cause__.errno
            if wanted.errors == "raise" or isinstance(error.__cause__, ImportError) or away:
                raise
            left_out[video.name] = _without_folder(error, source)
    return sides, left_out


def _table_remarks(source: Path, sides: Mapping[str, SideData], tables: Mapping[str, Path]) -> list[str]:
    """Columns and tables of which nothing was taken."""
    remarks = []
    unused = dict.fromkeys(repr(column) for side in sides.values() for column in side.unused)
    if unused:
        remarks.append(f"columns that were not used: {some_names([*unused])}")
    read = {path for side in sides.values() for path in side.files.values()}
    strays = sorted({path.relative_to(source).as_posix() for path in tables.values() if path not in read})
    if strays:
        remarks.append(f"tables that stand beside no video: {some_names(strays)}")
    return remarks


def _rate(out: Path, fps: float | None, videos: Sequence[FolderVideo]) -> tuple[float, str | None]:
    """Frames per second: as asked for, as before, or as the first video has them; and which video that is."""
    if fps is not None:
        return float(fps), None
    if (out / INDEX_NAME).is_file():
        index = ClipIndex.read(out, finished=False)
        return index.fps, index.source.get("fps_of")
    return (IMAGE_RATE, None) if videos[0].is_image else first_rate(videos)


def _import(video: FolderVideo, writer: ClipWriter, source: Path, wanted: ImportSettings) -> None:
    """Write a video's clips, if that was not done before, and the record of it."""
    record = _record(writer, video)
    if record and not record.skipped:  # what was left out may do with other rights, or another time_tolerance=
        return
    try:
        record = (cut_image if video.is_image else cut_video)(video, writer, wanted)
    except DatasetError as error:
        before = read_record(writer.folder, video.id)
        if wanted.errors == "raise" or (before and before.videos and _is_away(video.path)):
            raise
        record = ImportRecord(file=video.name, bytes=video.bytes, skipped=_without_folder(error, source))
    record.write(writer.folder, video.id)


def _is_away(path: Path) -> bool:
    """Whether a file's bytes cannot be had, which is another thing than damage."""
    try:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return True
    return False


def _check_not_away(source: Path, writer: ClipWriter, found: Container[str]) -> None:
    """Refuse to drop clips whose folder is empty now: a drive that is not mounted looks like that."""
    for path in sorted((writer.folder / RECORDS).glob("[!.]*.json")):
        record = None if path.stem in found else read_record(writer.folder, path.stem)
        if record and any(map(writer.done, record.videos)):
            folder = next(parent for parent in (source / record.file).parents if parent.is_dir())
            if folder != source and not any(folder.iterdir()):
                raise DatasetError(
                    f"{folder} is empty, but {record.file} was imported from it; mount what it stands for, or delete it, and "
                    f"the clips are dropped"
                )


def _record(writer: ClipWriter, video: FolderVideo) -> ImportRecord | None:
    """What is known of a source file, if it is still the same file and what was made of it is there."""
    record = read_record(writer.folder, video.id)
    same = record and (record.file, record.bytes) == (video.name, video.bytes) and all(map(writer.done, record.videos))
    return record if same else None


def _finish(
    writer: ClipWriter,
    videos: Sequence[FolderVideo],
    taken: Mapping[str, ImportRecord],
    skipped: Mapping[str, str],
    test_fraction: float,
) -> dict[str, int]:
    """Finish the dataset, unless it is finished with just these videos already; the number of videos in each split."""
    if not taken:
        if not writer.written():  # other settings may do better
            shutil.rmtree(writer.folder / RECORDS, ignore_errors=True)
            (writer.folder / INDEX_NAME).unlink(missing_ok=True)
        raise _none_imported(videos, skipped)
    pieces = {video.id: taken[video.name].videos for video in videos if video.name in taken}
    chosen = video_splits([video for video in videos if video.name in taken], test_fraction)
    splits = {name: list(chain.from_iterable(pieces[id] for id in ids)) for name, ids in chosen.items()}
    unlisted = any((writer.folder / "videos").glob("*.sha256"))  # written, but not in the index yet
    if unlisted or not writer.complete() or writer.splits() != splits:
        writer.finish(splits)
    return {name: len(ids) for name, ids in splits.items()}


def _none_imported(videos: Sequence[FolderVideo], why: Mapping[str, str]) -> DatasetError:
    return DatasetError(f"none of the {len(videos)} videos could be imported; the first: {min(why.items())[1]}")


def _without_folder(error: DatasetError, source: Path) -> str:
    """The message with paths in the source folder instead of in the machine."""
    return in_one_line(str(error).replace(f"{source}/", "").replace(f"{source}\\", ""))
