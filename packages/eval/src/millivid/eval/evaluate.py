"""Compare runs with the truth, one video at a time, in batches of frames."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

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
from .revisits import Revisits, Seen, last_seen
from .scores import ScoreFiles
from .scoring import REFERENCE, SIZE, Scoring, pixel_count, pixel_sum
from .set_metrics import SetMetric
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

    `scores`: a folder for the scores of each video, so that a stopped evaluation goes on. They are found by a hash of the
    videos, the frames, the versions of what computes them and the metric's `describe()`, which must tell all that it goes by.
    Processes beside this one may call `score_videos` with the same folder; `share` is then (0, how many there are).
    `batch_frames` bounds memory (to one item of a metric of sets at least) and changes no result; features of set metrics
    are held in memory, or read from `scores`, one run at a time.

    Raises EvaluationError, before anything is computed, for ids, lengths, rates, poses or settings that do not match, and
    while it runs for frame sizes that differ, frames too small for a metric, and videos that cannot be read.
    """
    began = time.perf_counter()
    if seed < 0:
        raise EvaluationError(f"seed is {seed}; it must be at least 0")
    scoring, skipped = _prepare(
        runs, reference, start, stop, metrics, ids, surfaces, scores, check_rate, device, batch_frames
    )
    horizons = clip_horizons(horizons, scoring.stop - start)
    seen = _seen(scoring, revisits or Revisits(), skipped)
    total = len(scoring.ids) * len(runs) * (scoring.stop - start)
    with tqdm(total=total, unit="frame", desc="evaluate", disable=not progress) as bar:
        _work(scoring, share, bar)
    sizes = {tuple(size.tolist()) for run in runs for m in scoring.metrics for size in scoring.load(run, m, SIZE)}
    found = {run: {m.name: np.stack(scoring.load(run, m)) for m in scoring.frame_metrics} for run in runs}
    return Results(
        ids=tuple(scoring.ids),
        reference_videos=len(reference.ids()),
        start=start,
        stop=scoring.stop,
        fps=float(reference.fps),
        sizes=tuple(sorted((width, height) for width, height in sizes)),
        horizons=horizons,
        metrics=scoring.metrics,
        skipped=skipped,
        scores={
            run: {m.name: Scores.summarise(m, found[run][m.name], horizons, seed) for m in scoring.frame_metrics}
            for run in runs
        },
        sets=_set_figures(scoring, horizons, seed, progress),
        memory=_memory(scoring, revisits or Revisits(), seen, horizons, found, seed),
        hashes={run: _hash(source, scoring.ids) for run, source in runs.items()},
        reference_hash=_hash(reference, scoring.ids),
        seed=seed,
        device=str(scoring.device),
        seconds=time.perf_counter() - began,
    )


def score_videos(
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    *,
    start: int,
    scores: str | os.PathLike[str],
    share: tuple[int, int],
    stop: int | None = None,
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    ids: Sequence[str] | None = None,
    surfaces: Surfaces | None = None,
    check_rate: bool = True,
    device: torch.device | str | None = None,
    batch_frames: int = 32,
) -> None:
    """Only the scoring of `evaluate`, for a process beside the one that evaluates; arguments as there.

    share: (rank, count). Each process begins with its own videos and then takes over what others have left.
    """
    scoring, _ = _prepare(
        runs, reference, start, stop, metrics, ids, surfaces, scores, check_rate, device, batch_frames
    )
    with tqdm(disable=True) as bar:
        _work(scoring, share, bar)


def _prepare(
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    start: int,
    stop: int | None,
    metrics: Sequence[str | Metric],
    ids: Sequence[str] | None,
    surfaces: Surfaces | None,
    scores: str | os.PathLike[str] | None,
    check_rate: bool,
    device: torch.device | str | None,
    batch_frames: int,
) -> tuple[Scoring, dict[str, str]]:
    """What is to be scored, all of it checked, and why metrics are skipped."""
    ids = matched_ids(runs, reference, ids)
    stop = matched_stop(runs, reference, ids, start, stop)
    if check_rate:
        check_rates(runs, reference, ids)
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
    return scoring, skipped


def _work(scoring: Scoring, share: tuple[int, int], bar: "tqdm[Any]") -> None:
    rank, count = share
    if not 0 <= rank < count:
        raise EvaluationError(f"share is {share}; it is (rank, count) with 0 <= rank < count")
    own = set(scoring.ids[rank::count])
    scoring.work([id for id in scoring.ids if id in own], bar)
    # From the end, where the processes whose share they are have not come yet.
    scoring.work([id for id in reversed(scoring.ids) if id not in own], bar)


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
        raise EvaluationError(f"no metric left to compute: {'; '.join(skipped.values())}")
    return tuple(kept)


def _set_figures(
    scoring: Scoring, horizons: Sequence[Horizon], seed: int, progress: bool
) -> dict[str, dict[str, dict[str, SetFigure]]]:
    figures: dict[str, dict[str, dict[str, SetFigure]]] = {run: {} for run in scoring.runs}
    total = len(scoring.set_metrics) * len(scoring.runs) * len(horizons)
    with tqdm(total=total, unit="figure", desc="distances of sets", disable=not progress or not total) as bar:
        for metric in scoring.set_metrics:
            true = [torch.from_numpy(array).to(scoring.device) for array in scoring.load(REFERENCE, metric)]
            for run in scoring.runs:
                made = [torch.from_numpy(array).to(scoring.device) for array in scoring.load(run, metric)]
                figures[run][metric.name] = {}
                for horizon in horizons:
                    items = metric.items(horizon.first, horizon.last)
                    sides = ([video[items] for video in side] for side in (made, true))
                    figures[run][metric.name][horizon.name] = set_figure(*sides, seed=seed)
                    bar.update()
    return figures


def _seen(scoring: Scoring, revisits: Revisits, skipped: dict[str, str]) -> list[Seen]:
    """When views were last seen, by video; empty, with the reason in `skipped`, where that cannot be told."""
    if not scoring.start:
        skipped["memory"] = "there is no context to remember: every frame is compared"
        return []
    poses = {id: poses_of(scoring.reference, id) for id in scoring.ids}
    if any(video is None for video in poses.values()):
        skipped["memory"] = "the reference says nothing of the camera's poses; a clip dataset with poses does"
        return []
    seen = []
    for id, video in poses.items():
        if video is None or len(video) < scoring.stop:
            raise EvaluationError(
                f"video {id!r} has {0 if video is None else len(video)} poses for {scoring.stop} frames"
            )
        try:
            seen.append(last_seen(video[: scoring.stop], scoring.start, revisits))
        except EvaluationError as error:
            raise EvaluationError(f"video {id!r}: {error}") from error
    return seen


def _memory(
    scoring: Scoring,
    revisits: Revisits,
    seen: Sequence[Seen],
    horizons: Sequence[Horizon],
    found: Mapping[str, Mapping[str, np.ndarray]],
    seed: int,
) -> Memory | None:
    if not seen:
        return None
    groups = list(frame_groups(seen, horizons, scoring.frame_metrics, found, seed))
    if scoring.pixels:
        mapped = [metric for metric in scoring.frame_metrics if metric.has_map]
        first = next(iter(scoring.runs))
        counts = {kind: np.stack(scoring.load(first, mapped[0], pixel_count(kind))) for kind in PIXEL_KINDS}
        sums = {
            run: {
                m.name: {kind: np.stack(scoring.load(run, m, pixel_sum(kind))) for kind in PIXEL_KINDS} for m in mapped
            }
            for run in scoring.runs
        }
        groups += pixel_groups(horizons, mapped, sums, counts, seed)
    return Memory(revisits=revisits, seen=dict(zip(scoring.ids, seen, strict=True)), groups=tuple(groups))


def _hash(source: VideoSource, ids: Sequence[str]) -> str | None:
    """One hash over the fingerprints of a source's videos; None where it gives none."""
    prints = [(id, fingerprint_of(source, id)) for id in ids]
    return hashlib.sha256(repr(prints).encode()).hexdigest() if all(found for _, found in prints) else None
