"""The work of an evaluation: scores of one video at a time, in batches of frames, kept in files."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .errors import EvaluationError
from .evaluation import Evaluation
from .frames import to_unit_range
from .matching import check_size, read_checked
from .memory import PixelKind, pixel_masks
from .metrics import FrameMetric, Metric, SetMetric
from .protocol import versions
from .score_files import Arrays, Key

REFERENCE = None
"""The place of the reference among the runs: it has features of sets, and nothing to be compared with."""

VALUES, SIZE = "values", "size"
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
    wanted: dict[str | None, Sequence[Metric]] = {REFERENCE: evaluation.set_metrics}
    wanted |= dict.fromkeys(evaluation.runs, evaluation.metrics)
    missing = {}
    for run, metrics in wanted.items():
        left = [metric for metric in metrics if evaluation.scores.load(_key(evaluation, run, id, metric)) is None]
        if left:
            missing[run] = left
        elif run is not REFERENCE:
            advance(evaluation.num_frames)
    if missing:
        for run, by_metric in _measure_video(evaluation, id, missing, advance).items():
            for metric, arrays in by_metric.items():
                evaluation.scores.save(_key(evaluation, run, id, metric), arrays)


def load_scores(evaluation: Evaluation, run: str | None, metric: Metric) -> list[Arrays]:
    """A metric's scores of every video of a run, in order of ids: VALUES, SIZE, and counts and sums over pixels."""
    found = [evaluation.scores.load(_key(evaluation, run, id, metric)) for id in evaluation.ids]
    assert None not in found, "they were scored before"
    return cast(list[Arrays], found)


def pixel_count(kind: PixelKind) -> str:
    """Name of the array that says how many such pixels every frame has."""
    return f"{kind}: count"


def pixel_sum(kind: PixelKind) -> str:
    """Name of the array of sums over such pixels."""
    return f"{kind}: sum"


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
        versions=versions(COMPUTING),
    )
    return key


@torch.no_grad()
def _measure_video(
    evaluation: Evaluation, id: str, missing: Mapping[str | None, Sequence[Metric]], advance: Callable[[int], object]
) -> dict[str | None, dict[Metric, Arrays]]:
    parts: dict[str | None, dict[Metric, list[Arrays]]] = {
        run: {metric: [] for metric in metrics} for run, metrics in missing.items()
    }
    shown = _shown_by_context(evaluation, id)
    for first, last in _batches(evaluation):
        truth = read_checked("the reference", evaluation.reference, id, first, last)
        true_frames = to_unit_range(truth, evaluation.device)
        masks = _masks(evaluation, id, first, last, shown)
        for run, metrics in missing.items():
            frames = true_frames
            if run is not REFERENCE:
                generated = read_checked(run, evaluation.runs[run], id, first, last)
                check_size(run, id, generated, truth)
                frames = to_unit_range(generated, evaluation.device)
                advance(last - first)
            for metric in metrics:
                if measured := _measure(metric, frames, true_frames, masks):
                    _check_finite(measured[VALUES], metric, id)
                    parts[run][metric].append(measured)
    size = np.array(truth.shape[2:0:-1])
    return {
        run: {metric: {**_join(batches), SIZE: size} for metric, batches in by_metric.items()}
        for run, by_metric in parts.items()
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
    arrays = {VALUES: values.double().cpu().numpy()}
    for kind, mask in masks.items():
        arrays[pixel_count(kind)] = mask.sum(dim=(1, 2)).cpu().numpy()
        arrays[pixel_sum(kind)] = (pixels.double() * mask).sum(dim=(1, 2)).cpu().numpy()
    return arrays


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


def _shown_by_context(evaluation: Evaluation, id: str) -> np.ndarray | None:
    """The surfaces that the context of a video shows; None where they are not asked for."""
    if evaluation.surfaces is None or not evaluation.mapped_metrics:
        return None
    return np.unique(evaluation.surfaces.surfaces(id, 0, evaluation.start))


def _masks(evaluation: Evaluation, id: str, first: int, last: int, shown: np.ndarray | None) -> dict[PixelKind, Tensor]:
    if evaluation.surfaces is None or shown is None:
        return {}
    masks = pixel_masks(evaluation.surfaces.surfaces(id, first, last), shown)
    return {kind: torch.from_numpy(mask).to(evaluation.device) for kind, mask in masks.items()}


def _join(batches: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
