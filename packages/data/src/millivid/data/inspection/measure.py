"""Measuring a clip dataset: each table is read once, some frames of some videos are decoded once, nothing at random."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import Progress
from .duplicates import equal_files, nearly_equal
from .flags import find_flags
from .frames import FrameSample, even, measure_frames, sample_frames, sample_moments, sample_videos, summarise_frames
from .inspection import NO_SPLIT, Inspection
from .tables import find_returns, measure_actions, measure_table, read_table, usual_travel

SUSPECTS = 20  # others with the fewest bytes per frame are sampled, because black, blank and frozen videos are small
SHOWN, SHOWN_PER_FLAG = 12, 2  # evenly chosen videos on the page, and those because of each flag
NUMBERS = [
    "distance", "turned", "moving", "turning", "stuck", "longest_stuck", "jumps", "nan_poses", "places", "views",
    "sampled_frames", "sampled_pairs", "brightness", "difference", "black", "blank", "moving_pairs", "still_pairs",
]  # fmt: skip

Read = TypeVar("Read")


def measure(dataset: ClipDataset, frames_per_video: int, sample: int, progress: Progress) -> Inspection:
    """Everything that `inspect_clips` finds."""
    ids, index = dataset.ids(), dataset.index
    split_of = {video: split for split, some in index.splits.items() for video in some}
    splits = {**index.splits, NO_SPLIT: tuple(video for video in ids if video not in split_of)}
    filled = {split: some for split, some in splits.items() if some}
    sizes = _file_sizes(dataset.folder / "videos", ids, ".mp4")
    both = sizes.add(_file_sizes(dataset.folder / "tables", ids, ".safetensors"), fill_value=0).fillna(0)
    frames = pd.Series(index.frames, index=ids, dtype=int)
    spread = sample_videos(filled, sample)
    suspects = (sizes / frames).sort_index().nsmallest(SUSPECTS).index
    sampled = list(dict.fromkeys([*spread, *suspects]))
    missing = [video for video in sizes.index[sizes.isna()] if video not in sampled]
    errors: dict[str, str] = {}

    def attempt(read: Callable[[ClipDataset, str], Read], video: str) -> Read | None:
        try:
            return read(dataset, video)
        except DatasetError as error:
            errors[video] = str(error)
            return None

    tables = {video: attempt(read_table, video) for video in sampled}  # before all others: to know what is usual
    travel = usual_travel([table for video in spread if (table := tables[video])], index)
    rows: dict[str, dict[str, float]] = {video: {} for video in ids}
    digests, actions = {}, []
    for video in progress(ids):
        table = tables[video] if video in tables else attempt(read_table, video)
        if table:
            rows[video] = measure_table(table, travel, index)
            actions.append(table.actions)
            digests[video] = hashlib.sha256(str(table.actions.shape).encode() + table.actions.tobytes()).hexdigest()

    def look(dataset: ClipDataset, video: str) -> FrameSample:
        return sample_frames(dataset, video, sample_moments(index.frames[video], frames_per_video))

    samples: dict[str, FrameSample] = {}
    maps: dict[str, pd.DataFrame] = {}
    for video in progress([*sampled, *missing]):
        looked = None if video in errors else attempt(look, video)
        if looked and (table := tables[video]):
            samples[video] = looked
            rows[video] |= measure_frames(looked.moments, table, travel)
            if travel:
                returns = find_returns(table.path, travel)
                rows[video] |= returns.mean().rename({"place": "places", "view": "views"})
                back = (returns.place * (1 + returns.get("view", 0))).reindex(table.path.index, method="bfill")
                maps[video] = table.path[[*travel.plane]].assign(back=back).dropna()

    def signature(video: str) -> NDArray[np.uint8] | None:
        looked = samples.get(video) or attempt(look, video)
        return looked and looked.signature

    copies = equal_files(dataset, sizes.dropna())
    nearly = nearly_equal(digests, copies, signature)
    videos = pd.DataFrame([rows[video] for video in ids], pd.Index(ids, name="id"), NUMBERS, dtype=float)
    videos = videos.assign(frames=frames, bytes=both, error=pd.Series(errors, dtype=object))
    videos["split"] = [split_of.get(video, NO_SPLIT) for video in ids]
    found = Inspection(
        folder=dataset.folder,
        index=index,
        videos=videos,
        splits=_measure_splits(videos, spread, list(dict.fromkeys([*index.splits, *filled])), index.fps),
        actions=measure_actions(actions, index),
        travel=travel,
        pixels=summarise_frames([samples[video] for video in spread if video in samples]),
        sampled=tuple(sampled),
        duplicates=copies,
        near_duplicates=nearly,
    )
    flags = find_flags(found)
    flagged = [video for flag in flags for video in [one for one in flag.videos if one in samples][:SHOWN_PER_FLAG]]
    others = even([video for video in spread if video in samples and video not in flagged], SHOWN)
    shown = {video: (samples[video], maps.get(video)) for video in [*flagged, *others]}
    return dataclasses.replace(found, flags=flags, shown=shown)


def _file_sizes(folder: Path, videos: Sequence[str], suffix: str) -> pd.Series:
    """Bytes of the files; NaN for those that are not there."""
    sizes = {path.stem: path.stat().st_size for path in folder.glob(f"*{suffix}")}
    return pd.Series(sizes, dtype=float).reindex(videos)


def _measure_splits(videos: pd.DataFrame, spread: Sequence[str], names: Sequence[str], fps: float) -> pd.DataFrame:
    """Sizes, and means of what was measured; returns only of evenly chosen videos."""
    chosen = videos.index.isin(spread)
    by_split = videos.assign(sampled=chosen, places=videos.places[chosen], views=videos.views[chosen]).groupby("split")
    sums = by_split.agg(videos=("frames", "size"), frames=("frames", "sum"), sampled=("sampled", "sum"))
    sums = sums.reindex(pd.Index(names, name="name"), fill_value=0)
    return sums.assign(hours=sums.frames / fps / 3600).join(
        by_split[["distance", "turned", "moving", "turning", "places", "views"]].mean()
    )
