"""Compare runs with the truth, one video at a time, in batches of frames."""

import os
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tqdm import tqdm

from .errors import EvaluationError
from .figures import SEED
from .horizons import PAPER_HORIZONS, Horizon, clip_horizons
from .matching import check_rates, matched_ids, matched_stop
from .memory import PIXEL_KINDS, Memory, Surfaces, frame_groups, pixel_groups
from .metrics import Metric
from .registry import DEFAULT_METRICS, build_metrics
from .results import Results, Scores
from .revisits import Revisits, last_seen
from .scores import ScoreFiles, score_key
from .scoring import REFERENCE, Scoring, pixel_count, pixel_sum
from .set_metrics import SetMetric, as_features
from .sets import SetFigure, set_figure
from .videos import VideoSource, fingerprint_of, poses_of


def evaluate(
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    *,
    start: int,
    stop: int | None = None,
    horizons: Sequence[Horizon] = PAPER_HORIZONS,
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    ids: Sequence[str] | None = None,
    revisits: Revisits | None = None,
    surfaces: Surfaces | None = None,
    scores: str | os.PathLike[str] | None = None,
    share: tuple[int, int] = (0, 1),
    check_rate: bool = True,
    seed: int = SEED,
    device: torch.device | str | None = None,
    batch_frames: int = 32,
    progress: bool = True,
) -> Results:
    """Score frames [start, stop) of every run against the same frames of the reference, video by video.

    Runs and reference number frames alike: a run's video holds the context too, so that generated frame 1 is frame
    `start` (`AfterContext` puts it before videos that lack it). `stop` None: to the end. `ids` None: every source has exactly
    the reference's ids; otherwise only these are scored, and every source must have them. `metrics`: names or objects; a
    named one whose weights are missing is skipped with the reason in `Results.skipped`. `horizons` are clipped to the frames
    there are.

    `revisits`: when two poses count as one view, for the figures of memory, which need a reference with poses. `surfaces`:
    what every pixel of the reference shows, for those of pixels. `seed`: of the intervals.

    `scores`: a folder for the scores of each video, so that a stopped evaluation goes on; what is in it never goes stale.
    `share`: (rank, count) of processes that evaluate the same with one such folder: each begins with its share, takes over
    what others have left, and returns the whole. `batch_frames` bounds memory and changes no result; features of set metrics
    are held in memory, or read from `scores`, one run at a time.

    Raises EvaluationError, before anything is computed, for ids, lengths, rates or settings that do not match, and while it
    runs for frame sizes that differ, frames too small for a metric, NaN, and videos that cannot be read.
    """
    began = time.perf_counter()
    rank, count = share
    if not 0 <= rank < count or (count > 1 and scores is None):
        raise EvaluationError(
            f"share is {share}; it is (rank, count) with rank < count, and several need scores=FOLDER"
        )
    ids = matched_ids(runs, reference, ids)
    stop = matched_stop(runs, reference, ids, start, stop)
    if check_rate:
        check_rates(runs, reference)
    horizons = clip_horizons(horizons, stop - start)
    if batch_frames < 1:
        raise EvaluationError(f"batch_frames must be at least 1; got {batch_frames}")
    built, skipped = build_metrics(metrics)
    built = _enough_items(built, len(ids), stop - start, skipped)
    device = torch.device(device or "cpu")
    for metric in built:
        metric.to(device)
    scoring = Scoring(
        runs=runs,
        reference=reference,
        ids=ids,
        start=start,
        stop=stop,
        metrics=built,
        surfaces=surfaces,
        files=ScoreFiles(scores),
        device=device,
        batch_frames=batch_frames,
    )
    total = len(ids) * len(runs) * (stop - start)
    with tqdm(total=total, unit="frame", desc="evaluate", disable=not progress or rank > 0) as bar:
        own = ids[rank::count]
        scoring.work(own, bar)
        # From the end, where the processes whose share they are have not come yet.
        scoring.work([id for id in reversed(ids) if id not in set(own)], bar)
    sizes = {tuple(map(int, size)) for run in runs for size in scoring.load(run, "size")}
    found = {run: {m.name: np.stack(scoring.load(run, m.name)) for m in scoring.frame_metrics} for run in runs}
    return Results(
        ids=tuple(ids),
        reference_videos=len(reference.ids()),
        start=start,
        stop=stop,
        fps=float(reference.fps),
        sizes=tuple(sorted((width, height) for width, height in sizes)),
        horizons=horizons,
        metrics=built,
        skipped=skipped,
        scores={
            run: {m.name: Scores.summarise(m, found[run][m.name], horizons, seed) for m in scoring.frame_metrics}
            for run in runs
        },
        sets=_set_figures(scoring, horizons, seed, progress and rank == 0),
        memory=_memory(scoring, revisits or Revisits(), horizons, found, seed, skipped),
        hashes={name: _hash(source, ids) for name, source in {"the reference": reference, **runs}.items()},
        seed=seed,
        device=str(device),
        seconds=time.perf_counter() - began,
    )


def _enough_items(metrics: tuple[Metric, ...], videos: int, frames: int, skipped: dict[str, str]) -> tuple[Metric, ...]:
    """The metrics without those of sets that would have fewer than two items; why goes into `skipped`."""
    kept = []
    for metric in metrics:
        if isinstance(metric, SetMetric) and (items := videos * (frames // metric.window)) < 2:
            skipped[metric.name] = (
                f"{metric.label} compares sets of items of {metric.window} frames and needs at least 2; {videos} videos of "
                f"{frames} generated frames hold {items}"
            )
        else:
            kept.append(metric)
    if not kept:
        raise EvaluationError(f"no metric left to compute; skipped: {skipped}")
    return tuple(kept)


def _set_figures(
    scoring: Scoring, horizons: Sequence[Horizon], seed: int, progress: bool
) -> dict[str, dict[str, dict[str, SetFigure]]]:
    figures: dict[str, dict[str, dict[str, SetFigure]]] = {run: {} for run in scoring.runs}
    total = len(scoring.set_metrics) * len(scoring.runs) * len(horizons)
    with tqdm(total=total, unit="figure", desc="distances of sets", disable=not progress or not total) as bar:
        for metric in scoring.set_metrics:
            true = [as_features(array).to(scoring.device) for array in scoring.load(REFERENCE, metric.name)]
            for run in scoring.runs:
                made = [as_features(array).to(scoring.device) for array in scoring.load(run, metric.name)]
                figures[run][metric.name] = {}
                for horizon in horizons:
                    items = metric.items(horizon.first, horizon.last)
                    sides = ([video[items] for video in side] for side in (made, true))
                    figures[run][metric.name][horizon.name] = set_figure(*sides, seed=seed)
                    bar.update()
    return figures


def _memory(
    scoring: Scoring,
    revisits: Revisits,
    horizons: Sequence[Horizon],
    found: Mapping[str, Mapping[str, np.ndarray]],
    seed: int,
    skipped: dict[str, str],
) -> Memory | None:
    """The figures of memory, or None and the reason in `skipped`."""
    if not scoring.start:
        skipped["memory"] = "there is no context to remember: every frame is compared"
        return None
    poses = [poses_of(scoring.reference, id) for id in scoring.ids]
    if any(video is None for video in poses):
        skipped["memory"] = "the reference says nothing of the camera's poses; a clip dataset with poses does"
        return None
    seen = [last_seen(video[: scoring.stop], scoring.start, revisits) for video in poses if video is not None]
    groups = list(frame_groups(seen, horizons, scoring.frame_metrics, found, seed))
    if scoring.pixels:
        first = next(iter(scoring.runs))
        counts = {kind: np.stack(scoring.load(first, pixel_count(kind))) for kind in PIXEL_KINDS}
        sums = {
            run: {
                m.name: {kind: np.stack(scoring.load(run, pixel_sum(kind, m))) for kind in PIXEL_KINDS}
                for m in scoring.frame_metrics
                if m.has_map
            }
            for run in scoring.runs
        }
        groups += pixel_groups(horizons, scoring.frame_metrics, sums, counts, seed)
    return Memory(revisits=revisits, groups=tuple(groups))


def _hash(source: VideoSource, ids: Sequence[str]) -> str | None:
    """One hash over the fingerprints of a source's videos; None where it gives none."""
    prints = {id: fingerprint_of(source, id) for id in ids}
    return score_key(videos=prints) if all(prints.values()) else None
