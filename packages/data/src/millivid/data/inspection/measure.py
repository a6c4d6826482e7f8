"""Measuring a clip dataset: all tables, the frames of some videos, nothing twice and nothing at random."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from ..clips import ClipDataset
from ..errors import DatasetError
from ..verification import Progress
from .deeds import BINS, ActionCounts, check_actions, histogram
from .duplicates import disk_sizes, equal_files, nearly_equal
from .findings import NO_SPLIT, Inspection, Lengths, SplitNumbers, VideoNumbers
from .flags import find_flags
from .pixels import Looked, look_at, sum_up
from .sampling import sample_moments, sample_videos, suspects
from .showing import choose_shown, paths, show
from .survey import survey
from .video_numbers import Tally, sampled_numbers, table_numbers


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
    index, groups = dataset.index, _groups(dataset)
    sizes = {video: disk_sizes(dataset, video) for video in dataset.ids()}
    on_disk = {video: size for video, (size, _) in sizes.items() if size is not None}
    spread = sample_videos(groups, sample)
    small = suspects({video: size / max(index.frames[video], 1) for video, size in on_disk.items()})
    sampled = list(dict.fromkeys([*spread, *small]))

    about, counts, tally = survey(dataset, spread), ActionCounts(index), Tally()
    numbers: dict[str, VideoNumbers] = {}
    deeds: dict[str, bytes] = {}
    split_of = {video: split for split, videos in index.splits.items() for video in videos}
    for video in progress(dataset.ids()):
        one = VideoNumbers(
            id=video,
            split=split_of.get(video),
            frames=index.frames[video],
            bytes=sum(size or 0 for size in sizes[video]),
        )
        try:
            actions, poses = dataset.actions(video), dataset.poses(video)
            check_actions(actions, index, video)
            counts.add(actions)
            deeds[video] = hashlib.sha256(
                str(actions.shape).encode() + np.ascontiguousarray(actions).tobytes()
            ).digest()
            numbers[video] = table_numbers(one, actions, poses, about, tally)
            if sizes[video][0] is None:
                dataset.frames(video, [0])
        except DatasetError as error:
            numbers[video] = dataclasses.replace(numbers.get(video, one), error=str(error))

    looked: dict[str, Looked] = {}
    for video in progress(sampled):
        if numbers[video].error is None:
            try:
                looked[video] = look_at(dataset, video, sample_moments(index.frames[video], frames_per_video))
                numbers[video] = sampled_numbers(numbers[video], looked[video], dataset.poses(video), about)
            except DatasetError as error:
                numbers[video] = dataclasses.replace(numbers[video], error=str(error))

    copies = equal_files(dataset, on_disk)
    inspection = Inspection(
        name=dataset.folder.resolve().name,
        folder=str(dataset.folder),
        fps=index.fps,
        size=index.size,
        lossless=index.lossless,
        action_type=index.action_type,
        action_names=index.action_names,
        pose_names=index.pose_names,
        source=index.source,
        bytes=sum(one.bytes or 0 for one in numbers.values()),
        splits=tuple(
            _split(name, [numbers[v] for v in groups.get(name, ())], spread, index.fps)
            for name in dict.fromkeys([*index.splits, *groups])
        ),
        lengths=_lengths(list(index.frames.values())),
        actions=counts.actions(),
        components=counts.components(about.actions),
        travel=about.travel and tally.fill(about.travel, about.columns),
        pixels=sum_up([looked[video] for video in spread if video in looked]),
        videos=tuple(numbers.values()),
        sampled=tuple(sampled),
        duplicates=tuple(map(tuple, copies)),
        near_duplicates=tuple(map(tuple, nearly_equal(dataset, deeds, copies, frames_per_video))),
    )
    flags = find_flags(inspection)
    evenly, flagged = choose_shown(groups, [video for video in spread if video in looked], flags, looked)
    return dataclasses.replace(
        inspection,
        flags=flags,
        shown=tuple(show(dataset, numbers[video], looked[video], about, flags) for video in evenly),
        flagged_shown=tuple(show(dataset, numbers[video], looked[video], about, flags) for video in flagged),
        paths=paths(dataset, [video for video in spread if video in looked], about.columns),
    )


def _groups(dataset: ClipDataset) -> dict[str, list[str]]:
    """The videos of each split that has any, and those that are in none."""
    groups = {name: list(videos) for name, videos in dataset.index.splits.items() if videos}
    known = {video for videos in groups.values() for video in videos}
    if loose := [video for video in dataset.ids() if video not in known]:
        groups[NO_SPLIT] = loose
    return groups


def _split(name: str, videos: Sequence[VideoNumbers], sampled: Sequence[str], fps: float) -> SplitNumbers:
    among = set(sampled)
    chosen = [video for video in videos if video.id in among]

    def mean(key: str, of: Sequence[VideoNumbers]) -> float | None:
        values = [getattr(video, key) for video in of if getattr(video, key) is not None]
        return float(np.mean(values)) if values else None

    frames = sum(video.frames for video in videos)
    return SplitNumbers(
        name=name,
        videos=len(videos),
        frames=frames,
        hours=frames / fps / 3600,
        sampled=len(chosen),
        distance=mean("distance", videos),
        turned=mean("turned", videos),
        places=mean("places", chosen),
        views=mean("views", chosen),
    )


def _lengths(lengths: Sequence[int]) -> Lengths | None:
    if not lengths:
        return None
    shortest, longest = min(lengths), max(lengths)
    spread = histogram(np.array(lengths), BINS) if shortest < longest else None
    return Lengths(shortest=shortest, median=float(np.median(lengths)), longest=longest, histogram=spread)
