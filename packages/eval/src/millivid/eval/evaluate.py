"""Compare runs with the truth: from the scores of videos to figures with intervals."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .evaluation import Evaluation
from .memory import Memory, memory_groups
from .metrics import SetMetric
from .results import MetricInfo, Results, Scores
from .score import REFERENCE, load_scores, score, versions
from .score_files import SIZE, VALUES
from .sets import set_figure
from .videos import VideoSource

PACKAGES = (
    "millivid-eval", "torch", "numpy", "av", "pillow", "matplotlib", "transformers", "kornia", "opencv-python-headless",
)  # fmt: skip
"""What figures and pictures are made with."""


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
    horizons, seed = evaluation.horizons, evaluation.seed
    arrays = {
        run: {metric.name: load_scores(evaluation, run, metric) for metric in evaluation.frame_metrics}
        for run in evaluation.runs
    }
    scores = {
        run: {
            m.name: Scores.summarise(m, arrays[run][m.name][VALUES], horizons, seed) for m in evaluation.frame_metrics
        }
        for run in evaluation.runs
    }
    memory = None
    if evaluation.seen:
        seen = dict(evaluation.seen)
        groups = memory_groups(list(seen.values()), horizons, evaluation.frame_metrics, arrays, seed)
        memory = Memory(revisits=evaluation.revisits, seen=seen, groups=tuple(groups))
    sets = _set_scores(evaluation, progress)
    sizes = np.concatenate([load_scores(evaluation, run, evaluation.metrics[0])[SIZE] for run in evaluation.runs])
    protocol = _protocol(evaluation, np.unique(sizes, axis=0).tolist())
    return Results(
        ids=evaluation.ids,
        reference_videos=protocol["reference_videos"],
        start=evaluation.start,
        stop=evaluation.stop,
        fps=protocol["fps"],
        sizes=tuple((width, height) for width, height in protocol["sizes"]),
        device=protocol["device"],
        seconds=protocol["seconds"],
        horizons=horizons,
        metrics=tuple(map(MetricInfo.of, evaluation.metrics)),
        skipped=evaluation.skipped,
        roles=evaluation.roles,
        descriptions=evaluation.descriptions,
        scores={run: {m.name: {**scores[run], **sets[run]}[m.name] for m in evaluation.metrics} for run in scores},
        memory=memory,
        protocol=protocol,
    )


def _set_scores(evaluation: Evaluation, progress: bool) -> dict[str, dict[str, Scores]]:
    def features(run: str | None, metric: SetMetric) -> Tensor:
        return torch.from_numpy(load_scores(evaluation, run, metric)[VALUES]).to(evaluation.device)

    found: dict[str, dict[str, Scores]] = {run: {} for run in evaluation.runs}
    total = len(evaluation.set_metrics) * len(evaluation.runs) * len(evaluation.horizons)
    with tqdm(total=total, unit="figure", desc="distances of sets", disable=not progress or not total) as bar:
        for metric in evaluation.set_metrics:
            true = features(REFERENCE, metric)
            for run in evaluation.runs:
                made = features(run, metric)
                found[run][metric.name] = scores = Scores(horizons={})
                for horizon in evaluation.horizons:
                    items = metric.items(horizon.first, horizon.last)
                    sides = (side[:, items].unbind() for side in (made, true))
                    scores.horizons[horizon.name] = set_figure(*sides, seed=evaluation.seed)
                    bar.update()
    return found


def _protocol(evaluation: Evaluation, sizes: Sequence[Sequence[int]]) -> dict[str, Any]:
    """What a reader needs to reproduce the figures, as JSON values.

    Counts, frames, sizes, sources with their codecs, metric definitions with weights' hashes, versions, settings.
    """

    def described(source: VideoSource) -> dict[str, Any]:
        prints = [(id, source.fingerprint(id)) for id in evaluation.ids]
        known = all(found for _, found in prints)
        return {**source.describe(), "sha256": hashlib.sha256(repr(prints).encode()).hexdigest() if known else None}

    return {
        "videos": len(evaluation.ids),
        "reference_videos": len(evaluation.reference.ids()),
        "context_frames": evaluation.start,
        "generated_frames": evaluation.num_frames,
        "sizes": sizes,
        "resize": "none: frames are compared at the size they are stored in",
        "fps": evaluation.reference.rate(evaluation.ids[0]),
        "reference": described(evaluation.reference),
        "runs": {run: described(source) for run, source in evaluation.runs.items()},
        "intervals": "95 %, bootstrap over videos",
        "seed": evaluation.seed,
        "metrics": {metric.name: metric.describe() for metric in evaluation.metrics},
        "skipped": dict(evaluation.skipped),
        "device": str(evaluation.device),
        "seconds": round(time.perf_counter() - evaluation.began, 2),
        "versions": versions(*PACKAGES),
        "settings": dict(evaluation.settings),
    }
