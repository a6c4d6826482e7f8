"""Measuring a clip dataset: each table is read once, some frames of some videos are decoded once, nothing at random."""

import dataclasses
import itertools
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import Progress
from .camera import at_rest, find_returns, path_steps
from .duplicates import equal_files, nearly_equal
from .findings import Flag, Inspection, Row, Shown, Travel
from .flags import find_flags
from .frames import SIGNATURE, STILL_DIFFERENCE, Frames, FrameSample, histogram, sample_frames, shrink, summarise_frames
from .sampling import choose_shown, sample_moments, sample_videos, suspects
from .tables import BINS, Table, action_rows, component_rows, measure_tables, read_table, usual_motion

NO_SPLIT = "(no split)"  # stands for the split of videos that are in none
PATH_POINTS = 200  # points of each path on the map of all of them


def inspect_clips(
    dataset: ClipDataset, *, frames_per_video: int = 8, sample: int = 200, progress: Progress = iter
) -> Inspection:
    """Measure a clip dataset and say what would spoil training.

    The tables of all videos are read. Frames are decoded, and returns of the camera measured, for about ``sample`` videos,
    evenly spread over each split, and for the 20 with the fewest bytes per frame. The same dataset gives the same numbers.

    Args:
        dataset: what to inspect; files of it that cannot be read are flagged.
        frames_per_video: frames that are looked at in each sampled video, each with its neighbour.
        sample: about how many videos to sample; of splits that are small beside others, up to 25 are taken anyway.
        progress: is given ids and gives them back one by one; `tqdm` will do. Called for the tables, then for the frames.

    Raises:
        ValueError: frames_per_video or sample is below 1.
    """
    if frames_per_video < 1 or sample < 1:
        raise ValueError(f"frames_per_video and sample must be at least 1; got {frames_per_video} and {sample}")
    ids, index = dataset.ids(), dataset.index
    groups = {name: list(videos) for name, videos in index.splits.items() if videos}
    split_of = {video: split for split, videos in groups.items() for video in videos}
    if loose := [video for video in ids if video not in split_of]:
        groups[NO_SPLIT] = loose
    video_bytes = _file_sizes(dataset.folder / "videos", ids, ".mp4")
    table_bytes = _file_sizes(dataset.folder / "tables", ids, ".safetensors")
    moments = {video: sample_moments(frames, frames_per_video) for video, frames in index.frames.items()}
    spread = sample_videos(groups, sample)
    small = suspects({video: size / index.frames[video] for video, size in video_bytes.items()})
    sampled = list(dict.fromkeys([*spread, *small]))
    missing = [video for video in ids if video not in video_bytes and video not in sampled]

    read = {video: read_table(dataset, video) for video in sampled}  # before all others: to know what is usual
    tables = {video: table for video, table in read.items() if isinstance(table, Table)}
    known = [tables[video] for video in spread if video in tables]
    rows, digests, totals, travel = measure_tables(dataset, read, usual_motion(known, index), progress)
    samples: dict[str, FrameSample] = {}
    for video in itertools.chain(progress(sampled), missing):
        if "error" not in rows[video]:
            try:
                samples[video] = sample_frames(dataset, video, moments[video])
                rows[video] |= _measure_sampled(samples[video], tables[video], travel)
            except DatasetError as error:
                rows[video]["error"] = str(error)

    def signature(video: str) -> Frames:
        if video in samples:
            return samples[video].signature
        return shrink(dataset.frames(video, moments[video]), SIGNATURE)

    for video in ids:
        size = video_bytes.get(video, 0) + table_bytes.get(video, 0)
        row = {"id": video, "split": split_of.get(video), "frames": index.frames[video], "bytes": size, "error": None}
        rows[video] = {key: value for key, value in (row | rows[video]).items() if value is not None or key == "split"}
    decoded = [video for video in spread if video in samples]
    copies = equal_files(dataset, video_bytes)
    found = Inspection(
        folder=dataset.folder,
        index=index,
        bytes=sum(video_bytes.values()) + sum(table_bytes.values()),
        splits=tuple(
            _measure_split(name, [rows[video] for video in groups.get(name, ())], set(spread), index.fps)
            for name in dict.fromkeys([*index.splits, *groups])
        ),
        lengths=_measure_lengths(list(index.frames.values())),
        actions=action_rows(totals, index),
        components=component_rows(totals, known, index),
        travel=travel,
        pixels=summarise_frames([samples[video] for video in decoded]),
        videos=tuple(rows[video] for video in ids),
        sampled=tuple(sampled),
        duplicates=copies,
        near_duplicates=nearly_equal(digests, copies, signature),
    )
    flags = find_flags(found)
    evenly, flagged = choose_shown(groups, decoded, flags, samples)
    paths = [path.above for video in decoded if (path := tables[video].path) is not None]
    finite = [path[np.isfinite(path).all(axis=1)] for path in paths]
    return dataclasses.replace(
        found,
        flags=flags,
        shown=tuple(_show(rows[video], samples[video], tables[video], travel, flags) for video in evenly),
        flagged_shown=tuple(_show(rows[video], samples[video], tables[video], travel, flags) for video in flagged),
        paths=tuple((path - path[0])[:: -(-len(path) // PATH_POINTS)] for path in finite if len(path) > 1),
    )


def _file_sizes(folder: Path, videos: Sequence[str], suffix: str) -> dict[str, int]:
    """Bytes of the files that are there."""
    files = {video: folder / f"{video}{suffix}" for video in videos}
    return {video: file.stat().st_size for video, file in files.items() if file.exists()}


def _measure_sampled(sample: FrameSample, table: Table, travel: Travel | None) -> Row:
    """What is known of sampled videos only."""
    places = views = None
    pairs = len(sample.difference)
    differ = ~(sample.black | sample.blank)[:pairs]  # the others have flags of their own
    if travel is not None and table.path is not None:
        _, place, view = find_returns(table.path, travel)
        places, views = float(place.mean()), None if travel.turning_up is None else float(view.mean())
        if travel.step > 0 or travel.turn > 0:
            differ &= ~at_rest(path_steps(table.path), travel)[list(sample.moments)[:pairs]]
    return {
        "places": places,
        "views": views,
        "sampled_frames": len(sample.moments),
        "sampled_pairs": pairs,
        "brightness": float(sample.brightness.mean()),
        "difference": float(sample.difference.mean()) if pairs else None,
        "black": int(sample.black.sum()),
        "blank": int(sample.blank.sum()),
        "moving_pairs": int(differ.sum()),
        "still_pairs": int((differ & (sample.difference <= STILL_DIFFERENCE)).sum()),
    }


def _measure_split(name: str, videos: Sequence[Row], spread: Container[str], fps: float) -> Row:
    """One split; means are over its videos, or those of them that are evenly chosen, and None where unknown."""
    chosen = [video for video in videos if video["id"] in spread]
    frames = sum(video["frames"] for video in videos)
    hours = frames / fps / 3600
    row: Row = {"name": name, "videos": len(videos), "frames": frames, "hours": hours, "sampled": len(chosen)}
    for key, some in (("distance", videos), ("turned", videos), ("places", chosen), ("views", chosen)):
        values = [video[key] for video in some if key in video]
        row[key] = float(np.mean(values)) if values else None
    return row


def _measure_lengths(frames: Sequence[int]) -> Row | None:
    """Frames per video; a histogram where they differ."""
    if not frames:
        return None
    spread = histogram(np.array(frames), BINS) if min(frames) < max(frames) else None
    return {
        "shortest": min(frames), "median": float(np.median(frames)), "longest": max(frames), "histogram": spread,
    }  # fmt: skip


def _show(video: Row, sample: FrameSample, table: Table, travel: Travel | None, flags: Sequence[Flag]) -> Shown:
    path, back = None, None
    if travel is not None and table.path is not None:
        path = table.path.above
        asked, places, views = find_returns(table.path, travel)
        views = views & places if travel.turning_up is not None else np.zeros_like(places)
        nearest = np.searchsorted(asked, np.arange(len(path)))  # the next frame that was asked for
        finite = np.isfinite(path).all(axis=1)
        path, back = path[finite], (places.astype(np.int64) + views)[nearest][finite]
    kinds = tuple(flag.kind for flag in flags if video["id"] in flag.videos)
    moments = tuple(sample.moments)
    return Shown(video=video, flags=kinds, moments=moments, frames=sample.tiles, path=path, back=back)
