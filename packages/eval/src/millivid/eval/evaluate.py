"""Compare runs with the truth: from the scores of videos to figures with intervals."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from .evaluation import Evaluation
from .memory import PIXEL_KINDS, Memory, frame_groups, pixel_groups
from .protocol import build_protocol
from .results import MetricInfo, Results, Scores
from .score import REFERENCE, SIZE, VALUES, load_scores, pixel_count, pixel_sum, score
from .score_files import Arrays
from .sets import SetFigure, set_figure
from .videos import VideoSource


def evaluate(
    runs: Mapping[str, VideoSource], reference: VideoSource, *, progress: bool = True, **settings: Any
) -> Results:
    """Score every run against the reference and summarise; the settings are those of `Evaluation.of`."""
    evaluation = Evaluation.of(runs, reference, **settings)
    score(evaluation, progress=progress)
    return summarise(evaluation, progress=progress)


def summarise(evaluation: Evaluation, *, progress: bool = True) -> Results:
    """Figures over all videos, horizons and kinds of frames. What has no scores yet is scored first (see `score`)."""
    score(evaluation, progress=False)
    loaded: dict[str, dict[str, list[Arrays]]] = {
        run: {metric.name: load_scores(evaluation, run, metric) for metric in evaluation.frame_metrics}
        for run in evaluation.runs
    }
    values = {
        run: {name: np.stack([video[VALUES] for video in videos]) for name, videos in by_metric.items()}
        for run, by_metric in loaded.items()
    }
    scores = {
        run: {
            m.name: Scores.summarise(m, values[run][m.name], evaluation.horizons, evaluation.seed)
            for m in evaluation.frame_metrics
        }
        for run in evaluation.runs
    }
    sets = _set_figures(evaluation, progress)
    sizes = tuple(sorted({(int(width), int(height)) for width, height in _sizes(evaluation)}))
    fps = evaluation.reference.rate(evaluation.ids[0])
    seconds = time.perf_counter() - evaluation.began
    return Results(
        ids=evaluation.ids,
        reference_videos=len(evaluation.reference.ids()),
        start=evaluation.start,
        stop=evaluation.stop,
        fps=fps,
        sizes=sizes,
        device=str(evaluation.device),
        seconds=seconds,
        horizons=evaluation.horizons,
        metrics=tuple(map(MetricInfo.of, evaluation.metrics)),
        skipped=evaluation.skipped,
        roles=evaluation.roles,
        descriptions=evaluation.descriptions,
        scores={run: {m.name: {**scores[run], **sets[run]}[m.name] for m in evaluation.metrics} for run in scores},
        memory=_memory(evaluation, values, loaded),
        protocol=build_protocol(evaluation, sizes, fps, seconds),
    )


def _sizes(evaluation: Evaluation) -> Sequence[np.ndarray]:
    return [video[SIZE] for run in evaluation.runs for video in load_scores(evaluation, run, evaluation.metrics[0])]


def _set_figures(evaluation: Evaluation, progress: bool) -> dict[str, dict[str, Scores]]:
    found: dict[str, dict[str, Scores]] = {run: {} for run in evaluation.runs}
    total = len(evaluation.set_metrics) * len(evaluation.runs) * len(evaluation.horizons)
    with tqdm(total=total, unit="figure", desc="distances of sets", disable=not progress or not total) as bar:
        for metric in evaluation.set_metrics:
            true = [
                torch.from_numpy(a[VALUES]).to(evaluation.device) for a in load_scores(evaluation, REFERENCE, metric)
            ]
            for run in evaluation.runs:
                made = [torch.from_numpy(a[VALUES]).to(evaluation.device) for a in load_scores(evaluation, run, metric)]
                figures: dict[str, SetFigure] = {}
                for horizon in evaluation.horizons:
                    items = metric.items(horizon.first, horizon.last)
                    sides = ([video[items] for video in side] for side in (made, true))
                    figures[horizon.name] = set_figure(*sides, seed=evaluation.seed)
                    bar.update()
                found[run][metric.name] = Scores(horizons=dict(figures))
    return found


def _memory(
    evaluation: Evaluation,
    values: Mapping[str, Mapping[str, np.ndarray]],
    loaded: Mapping[str, Mapping[str, Sequence[Arrays]]],
) -> Memory | None:
    if not evaluation.seen:
        return None
    horizons, seed = evaluation.horizons, evaluation.seed
    groups = list(frame_groups(list(evaluation.seen.values()), horizons, evaluation.frame_metrics, values, seed))
    if mapped := evaluation.mapped_metrics:
        counted = next(iter(loaded.values()))[mapped[0].name]
        counts = {kind: np.stack([video[pixel_count(kind)] for video in counted]) for kind in PIXEL_KINDS}
        sums = {
            run: {
                m.name: {
                    kind: np.stack([video[pixel_sum(kind)] for video in by_metric[m.name]]) for kind in PIXEL_KINDS
                }
                for m in mapped
            }
            for run, by_metric in loaded.items()
        }
        groups += pixel_groups(horizons, mapped, sums, counts, seed)
    return Memory(revisits=evaluation.revisits, seen=dict(evaluation.seen), groups=tuple(groups))
