"""Compare runs with the truth, one video at a time, in batches of frames."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tqdm import tqdm

from .errors import EvaluationError, name_some
from .frames import to_unit_range
from .horizons import PAPER_HORIZONS, Horizon, clip_horizons
from .metrics import FrameMetric, build_metrics
from .results import Results, Scores
from .videos import Frames, VideoSource, check_ids

DEFAULT_METRICS = ("psnr", "ssim", "lpips")


def evaluate(
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    *,
    start: int,
    stop: int | None = None,
    horizons: Sequence[Horizon] = PAPER_HORIZONS,
    metrics: Sequence[str | FrameMetric] = DEFAULT_METRICS,
    ids: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    batch_frames: int = 32,
    progress: bool = True,
) -> Results:
    """Score frames [start, stop) of every run against the same frames of the reference, video by video.

    Runs and reference number frames alike: a run's video holds the context too, so that generated frame 1 is frame
    `start`. `stop` None: to the end. `ids` None: every source has exactly the reference's ids; otherwise only these are
    scored, and every source must have them. `metrics`: names or objects; a named one whose weights are missing is
    skipped with the reason in `Results.skipped`. `horizons` are clipped to the frames there are. `batch_frames` bounds
    memory and changes no result.

    Raises EvaluationError, before anything is computed, for ids, lengths or settings that do not match, and while it
    runs for frame sizes that differ, frames too small for a metric and videos that cannot be read.
    """
    began = time.perf_counter()
    ids = _matched_ids(runs, reference, ids)
    stop = _matched_stop(runs, reference, ids, start, stop)
    horizons = clip_horizons(horizons, stop - start)
    if batch_frames < 1:
        raise EvaluationError(f"batch_frames must be at least 1; got {batch_frames}")
    built, skipped = build_metrics(metrics)
    device = torch.device(device or "cpu")
    for metric in built:
        metric.to(device)
    meters = {run: tuple(metric.fresh() for metric in built) for run in runs}

    sizes: set[tuple[int, int]] = set()
    total = len(ids) * len(runs) * (stop - start)
    with tqdm(total=total, unit="frame", desc="evaluate", disable=not progress) as bar:
        for id in ids:
            for first in range(start, stop, batch_frames):
                last = min(first + batch_frames, stop)
                truth = _read("the reference", reference, id, first, last)
                sizes.add((truth.shape[2], truth.shape[1]))
                truth_tensor = to_unit_range(truth, device)
                for run, source in runs.items():
                    generated = _read(run, source, id, first, last)
                    if generated.shape != truth.shape:
                        raise EvaluationError(
                            f"video {id!r}: {run} is {generated.shape[2]}x{generated.shape[1]}, the reference "
                            f"{truth.shape[2]}x{truth.shape[1]}; bring both to one size first"
                        )
                    generated_tensor = to_unit_range(generated, device)
                    for meter in meters[run]:
                        meter.update(generated_tensor, truth_tensor, video=id)
                    bar.update(last - first)

    scores = {
        run: {meter.name: Scores.summarise(meter, meter.compute(), horizons) for meter in meters[run]} for run in runs
    }
    return Results(
        ids=tuple(ids),
        start=start,
        stop=stop,
        fps=float(reference.fps),
        sizes=tuple(sorted(sizes)),
        horizons=horizons,
        metrics=built,
        skipped=skipped,
        scores=scores,
        device=str(device),
        seconds=time.perf_counter() - began,
    )


def _read(name: str, source: VideoSource, id: str, start: int, stop: int) -> Frames:
    frames = source.read(id, start, stop)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) != stop - start:
        raise EvaluationError(
            f"video {id!r} of {name}: frames [{start}, {stop}) came as {frames.dtype} {frames.shape}; expected uint8 "
            f"({stop - start}, height, width, 3)"
        )
    return frames


def _matched_ids(runs: Mapping[str, VideoSource], reference: VideoSource, ids: Sequence[str] | None) -> list[str]:
    if not runs:
        raise EvaluationError("no runs to evaluate; give at least one, as {name: source}")
    wanted = list(reference.ids() if ids is None else ids)
    if not wanted:
        raise EvaluationError(
            "there are no videos to evaluate: the reference is empty" if ids is None else "ids is empty"
        )
    if len(set(wanted)) < len(wanted):
        raise EvaluationError("ids name a video twice")
    for run, source in runs.items():
        if not set(wanted) & set(source.ids()):
            raise EvaluationError(
                f"{run} and the reference have no video in common: {name_some(source.ids()) or 'nothing'} against "
                f"{name_some(wanted)}; videos are matched by id (the file name without its ending)"
            )
    check_ids({"the reference": reference, **runs}, wanted)
    if ids is None:
        for run, source in runs.items():
            extra = [id for id in source.ids() if id not in set(wanted)]
            if extra:
                raise EvaluationError(
                    f"{run} has {len(extra)} videos that the reference lacks: {name_some(extra)}; pass ids= to score "
                    "only some"
                )
    return wanted


def _matched_stop(
    runs: Mapping[str, VideoSource], reference: VideoSource, ids: list[str], start: int, stop: int | None
) -> int:
    lengths = {id: reference.num_frames(id) for id in ids}
    if stop is None:
        for run, source in runs.items():
            wrong = [
                f"{id} ({source.num_frames(id)} against {lengths[id]})"
                for id in ids
                if source.num_frames(id) != lengths[id]
            ]
            if wrong:
                raise EvaluationError(
                    f"{run} has other lengths than the reference: {name_some(wrong)}; frames are numbered alike in "
                    "both, context included. Pass stop= to compare only the frames before it"
                )
        stop, longest = min(lengths.values()), max(lengths.values())
        if stop < longest:
            raise EvaluationError(f"videos have {stop} to {longest} frames; pass stop={stop} to score as many of each")
    if start < 0 or start >= stop:
        raise EvaluationError(
            f"nothing to evaluate: frames [{start}, {stop}) were asked for; videos have {min(lengths.values())} frames"
        )
    for name, source in {"the reference": reference, **runs}.items():
        short = [f"{id} ({source.num_frames(id)})" for id in ids if source.num_frames(id) < stop]
        if short:
            raise EvaluationError(f"{name} has videos that end before frame {stop}: {name_some(short)}")
    return stop
