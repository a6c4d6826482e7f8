"""The work of an evaluation: scores of one video at a time, in batches of frames, kept in files."""

import functools
import importlib.metadata
import math
import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .errors import EvaluationError
from .evaluation import Evaluation
from .frames import to_unit_range
from .matching import read_checked
from .memory import PixelKind, pixel_masks, pixel_scores
from .metrics import FrameMetric, Metric, SetMetric
from .score_files import SIZE, VALUES, Arrays, Key

REFERENCE = None
"""The place of the reference among the runs: it has features of sets, and nothing to be compared with."""

COMPUTING = ("millivid-eval", "torch", "av", "pillow", "transformers", "kornia", "opencv-python-headless")
"""Packages whose versions the scores depend on."""


def score(evaluation: Evaluation, share: tuple[int, int] = (0, 1), *, progress: bool = True) -> None:
    """Score the videos that have no scores yet, and keep their scores.

    share: (rank, count), for several processes with one folder of scores. Each begins with its own videos and then takes
    over what others have left. Raises EvaluationError for frame sizes that differ, frames too small for a metric, and videos
    that cannot be read.
    """
    rank, count = share
    if not 0 <= rank < count:
        raise EvaluationError(f"share is {share}; it is (rank, count) with 0 <= rank < count")
    own = evaluation.ids[rank::count]
    # Others' from the end, where the processes whose share they are have not come yet.
    order = [*own, *(id for id in reversed(evaluation.ids) if id not in set(own))]
    total = len(order) * len(evaluation.runs) * evaluation.num_frames
    with tqdm(total=total, unit="frame", desc="evaluate", disable=not progress) as bar:
        for id in order:
            score_video(evaluation, id, bar.update)


def score_video(evaluation: Evaluation, id: str, advance: Callable[[int], object] = lambda frames: None) -> None:
    """Score one video of all runs, where it has no scores yet. advance: called with how many more frames are done."""
    missing: dict[str | None, list[Metric]] = {}
    for run in (REFERENCE, *evaluation.runs):
        metrics = evaluation.set_metrics if run is REFERENCE else evaluation.metrics
        left = [metric for metric in metrics if evaluation.scores.load(_key(evaluation, run, id, metric)) is None]
        if left:
            missing[run] = left
        elif run is not REFERENCE:
            advance(evaluation.num_frames)
    if missing:
        for (run, metric), arrays in _measure_video(evaluation, id, missing, advance).items():
            evaluation.scores.save(_key(evaluation, run, id, metric), arrays)


def load_scores(evaluation: Evaluation, run: str | None, metric: Metric) -> Arrays:
    """A metric's scores of a run: VALUES, SIZE, and counts and sums over pixels, each stacked over videos."""
    found = [evaluation.scores.load(_key(evaluation, run, id, metric)) for id in evaluation.ids]
    videos = [arrays for arrays in found if arrays is not None]
    assert len(videos) == len(found), "they were scored before"
    return {name: np.stack([arrays[name] for arrays in videos]) for name in videos[0]}


@functools.cache
def versions(*packages: str) -> dict[str, str | None]:
    """Versions of Python and of these packages; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _key(evaluation: Evaluation, run: str | None, id: str, metric: Metric) -> Key:
    """What a metric's scores of a run's video (or, for REFERENCE, its features of the true one) are kept by."""
    if (found := evaluation.keys.get((run, id, metric.name))) is not None:
        return found
    reference = evaluation.reference
    sources = (reference,) if run is REFERENCE else (evaluation.runs[run], reference)
    prints = [source.fingerprint(id) for source in sources]
    surfaces = None
    if evaluation.surfaces is not None and metric in evaluation.mapped_metrics:
        # Surfaces go by the id and by the poses too.
        surfaces = [evaluation.surfaces.describe(), id, np.asarray(reference.poses(id)).tolist()]
    key = evaluation.keys[run, id, metric.name] = Key.of(
        stored=all(prints),
        videos=prints if all(prints) else [run, id],
        frames=[evaluation.start, evaluation.stop],
        metric=metric.describe(),
        surfaces=surfaces,
        device=evaluation.device.type,
        versions=versions(*COMPUTING),
    )
    return key


@torch.no_grad()
def _measure_video(
    evaluation: Evaluation, id: str, missing: Mapping[str | None, Sequence[Metric]], advance: Callable[[int], object]
) -> dict[tuple[str | None, Metric], Arrays]:
    parts: dict[tuple[str | None, Metric], list[Arrays]] = defaultdict(list)
    surfaces = evaluation.surfaces if evaluation.mapped_metrics else None
    shown = np.empty(0) if surfaces is None else np.unique(surfaces.surfaces(id, 0, evaluation.start))
    for first, last in _batches(evaluation):
        truth = read_checked("the reference", evaluation.reference, id, first, last)
        true_frames = to_unit_range(truth, evaluation.device)
        masks = {}
        if surfaces is not None:
            masks = pixel_masks(surfaces.surfaces(id, first, last), shown, evaluation.device)
        for run, metrics in missing.items():
            frames = true_frames
            if run is not REFERENCE:
                generated = read_checked(run, evaluation.runs[run], id, first, last, truth)
                frames = to_unit_range(generated, evaluation.device)
                advance(last - first)
            for metric in metrics:
                if measured := _measure(metric, frames, true_frames, masks):
                    _check_finite(measured[VALUES], metric, id)
                    parts[run, metric].append(measured)
    size = np.array(truth.shape[2:0:-1])
    return {
        key: {SIZE: size, **{name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}}
        for key, batches in parts.items()
    }


def _measure(metric: Metric, frames: Tensor, true_frames: Tensor, masks: Mapping[PixelKind, Tensor]) -> Arrays:
    """Arrays of one batch; none where a metric of sets finds no whole item in it."""
    if isinstance(metric, SetMetric):
        whole = len(frames) - len(frames) % metric.window
        return {VALUES: metric.features(frames[:whole]).cpu().numpy()} if whole else {}
    assert isinstance(metric, FrameMetric)
    if not masks or not metric.has_map:
        return {VALUES: metric.measure(frames, true_frames).double().cpu().numpy()}
    values, pixels = metric.measure_with_map(frames, true_frames)
    return {VALUES: values.double().cpu().numpy(), **pixel_scores(pixels, masks)}


def _check_finite(values: np.ndarray, metric: Metric, id: str) -> None:
    if not np.isfinite(values).all():
        bad, *_ = np.argwhere(~np.isfinite(values))[0]
        raise EvaluationError(f"{metric.label} of video {id!r} is not finite at item {bad} of this batch")


def _batches(evaluation: Evaluation) -> Iterator[tuple[int, int]]:
    """Spans of frames that no item of a set metric crosses."""
    step = math.lcm(*(metric.window for metric in evaluation.set_metrics))
    step *= max(1, evaluation.batch_frames // step)
    for first in range(evaluation.start, evaluation.stop, step):
        yield first, min(first + step, evaluation.stop)
