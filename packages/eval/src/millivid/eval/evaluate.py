"""Compare runs with the truth: from the scores of videos to figures with intervals."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .evaluation import Evaluation
from .figures import Figure
from .memory import Memory, frame_groups, pixel_groups
from .metrics import SetMetric
from .protocol import build_protocol
from .results import MetricInfo, Results, Scores
from .score import REFERENCE, SIZE, VALUES, load_scores, score
from .sets import set_figure
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
    loaded = {
        run: {metric.name: load_scores(evaluation, run, metric) for metric in evaluation.frame_metrics}
        for run in evaluation.runs
    }
    values = {run: {name: arrays[VALUES] for name, arrays in of_run.items()} for run, of_run in loaded.items()}
    horizons, seed = evaluation.horizons, evaluation.seed
    memory = None
    if evaluation.seen:
        frames = frame_groups(list(evaluation.seen.values()), horizons, evaluation.frame_metrics, values, seed)
        pixels = pixel_groups(horizons, evaluation.mapped_metrics, loaded, seed)
        memory = Memory(revisits=evaluation.revisits, seen=dict(evaluation.seen), groups=(*frames, *pixels))
    scores = {
        run: {m.name: Scores.summarise(m, values[run][m.name], horizons, seed) for m in evaluation.frame_metrics}
        for run in evaluation.runs
    }
    sets = _set_figures(evaluation, progress)
    sizes = _sizes(evaluation)
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
        horizons=horizons,
        metrics=tuple(map(MetricInfo.of, evaluation.metrics)),
        skipped=evaluation.skipped,
        roles=evaluation.roles,
        descriptions=evaluation.descriptions,
        scores={run: {m.name: {**scores[run], **sets[run]}[m.name] for m in evaluation.metrics} for run in scores},
        memory=memory,
        protocol=build_protocol(evaluation, sizes, fps, seconds),
    )


def _sizes(evaluation: Evaluation) -> tuple[tuple[int, int], ...]:
    sizes = np.concatenate([load_scores(evaluation, run, evaluation.metrics[0])[SIZE] for run in evaluation.runs])
    return tuple(sorted({(int(width), int(height)) for width, height in sizes}))


def _set_figures(evaluation: Evaluation, progress: bool) -> dict[str, dict[str, Scores]]:
    def features(run: str | None, metric: SetMetric) -> Tensor:
        return torch.from_numpy(load_scores(evaluation, run, metric)[VALUES]).to(evaluation.device)

    found: dict[str, dict[str, Scores]] = {run: {} for run in evaluation.runs}
    total = len(evaluation.set_metrics) * len(evaluation.runs) * len(evaluation.horizons)
    with tqdm(total=total, unit="figure", desc="distances of sets", disable=not progress or not total) as bar:
        for metric in evaluation.set_metrics:
            true = features(REFERENCE, metric)
            for run in evaluation.runs:
                made = features(run, metric)
                figures: dict[str, Figure] = {}
                for horizon in evaluation.horizons:
                    items = metric.items(horizon.first, horizon.last)
                    sides = (side[:, items].unbind() for side in (made, true))
                    figures[horizon.name] = set_figure(*sides, seed=evaluation.seed)
                    bar.update()
                found[run][metric.name] = Scores(horizons=figures)
    return found
