"""Evaluate runs against the truth, between bounds, and write the report."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from millivid.app.evaluate_config import BOUND_NAMES, BOUND_TEXTS, CONF, SCORES, Bound, EvaluateConfig
from millivid.app.loops import loop_report
from millivid.app.surfaces import surfaces_of
from millivid.command import ConfigError, check_device, launched_share, to_plain
from millivid.eval import (
    AfterContext,
    FrameMetric,
    OtherVideos,
    Revisits,
    ShuffledFrames,
    Transformed,
    VideoSource,
    check_report_folder,
    evaluate,
    horizons_from,
    open_videos,
    score_videos,
    write_loops,
    write_report,
)
from millivid.eval.clips import ClipFolder
from millivid.eval.loop_closure import LoopClosure
from millivid.eval.registry import build_metrics
from millivid.tokenizer import HierarchicalTokenizer
from millivid.tokenizer.pretrained import fingerprint

__all__ = ["CONF", "evaluate_runs"]


def evaluate_runs(
    config: EvaluateConfig, alongside: Sequence[str] = (), descriptions: Mapping[str, str] | None = None
) -> Path | None:
    """Score every run and write the report; returns its index.html, None in processes beside the first.

    alongside: names that may be in the report's folder besides. descriptions: a line on a run, by its name.
    """
    if not config.all_runs and not config.all_bounds and not config.loops:
        raise ConfigError(
            "there is nothing to evaluate; give generated=DIR, runs.NAME=DIR, loops.NAME=DIR, or tokenizer=DIR for bounds"
        )
    rank, count, device = launched_share(config.device)
    check_device(device)
    alongside = (*alongside, SCORES)
    check_report_folder(config.out, alongside)
    if not config.all_runs and not config.all_bounds:
        if rank > 0:
            return None
        loops, skipped = _loops(config, device)
        return write_loops(loops, config.out, title=config.title, skipped=skipped, alongside=alongside)
    if config.reference is None:
        raise ConfigError("the true videos are missing; give reference=DIR")
    if config.processes > 1 and (count > 1 or device != "cpu"):
        raise ConfigError(
            f"processes={config.processes} is for one command on the CPU; with device={device} or under a launcher every "
            "process is a command of its own"
        )
    if rank > 0:
        score_videos(**_work(config, device), share=(rank, count))
        return None
    loops, _ = _loops(config, device)
    work = _work(config, device)
    with _helping_processes(config) as helping:
        results = evaluate(
            **work,
            share=(rank, count + helping),
            horizons=horizons_from(config.horizons),
            revisits=Revisits(distance=config.view_distance, angle=config.view_angle),
            seed=config.seed,
        )
    texts = {BOUND_NAMES[bound]: BOUND_TEXTS[bound] for bound in config.all_bounds}
    return write_report(
        results,
        work["runs"],
        work["reference"],
        config.out,
        title=config.title,
        roles=dict.fromkeys(texts, "bound"),
        descriptions={**(descriptions or {}), **texts},
        protocol={key: value for key, value in to_plain(config).items() if key != "out"},
        max_videos=config.max_videos,
        alongside=alongside,
        loops=loops,
    )


def _work(config: EvaluateConfig, device: str) -> dict[str, Any]:
    """What every process has to know to score videos: arguments that `evaluate` and `score_videos` share."""
    runs, reference = _open(config)
    ids, stop = _what_to_score(config, runs, reference)
    for bound, source in _bounds(config, reference, device, stop).items():
        if BOUND_NAMES[bound] in runs:
            raise ConfigError(f"a run is called {BOUND_NAMES[bound]!r}, as a bound is; give it another name")
        runs[BOUND_NAMES[bound]] = source
    return {
        "runs": runs,
        "reference": reference,
        "start": config.context,
        "stop": stop,
        "metrics": config.all_metrics,
        "ids": ids,
        "surfaces": surfaces_of(reference.dataset) if isinstance(reference, ClipFolder) else None,
        "scores": config.out / SCORES,
        "check_rate": config.check_rate,
        "device": device,
        "batch_frames": config.batch,
    }


def _loops(config: EvaluateConfig, device: str) -> tuple[dict[str, dict[str, LoopClosure]], dict[str, str]]:
    """How every folder of loops closes them, by the metrics that are distances; and why others are not there."""
    if not config.loops:
        return {}, {}
    built, skipped = build_metrics(config.all_metrics)
    metrics = [metric for metric in built if isinstance(metric, FrameMetric) and metric.is_distance]
    if not metrics:
        raise ConfigError("loops are measured by psnr, lpips or lpips_vgg; none of them is here or in metrics=")
    for metric in metrics:
        metric.to(device)
    with tqdm(config.loops.items(), desc="loops", unit="folder") as bar:
        return {name: loop_report(folder, metrics) for name, folder in bar}, skipped


@contextmanager
def _helping_processes(config: EvaluateConfig) -> Iterator[int]:
    """Start the other processes that score; ends them. What one of them fails at, this one meets itself."""
    count = config.processes
    if count == 1:
        yield 0
        return
    build_metrics(config.all_metrics)  # what has to be downloaded is, once
    torch.set_num_threads(1)
    context = multiprocessing.get_context("spawn")  # forking is unsafe once torch has threads
    helpers = [context.Process(target=_help, args=(config, rank), daemon=True) for rank in range(1, count)]
    # Ctrl-C is answered by this process alone: the mask is what the new ones inherit.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for helper in helpers:
            helper.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield len(helpers)
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _help(config: EvaluateConfig, rank: int) -> None:
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own lock is a semaphore, which would be missed when this process is ended
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()
    with contextlib.suppress(ValueError, OSError, ImportError):
        score_videos(**_work(config, config.device), share=(rank, config.processes))


def _open(config: EvaluateConfig) -> tuple[dict[str, VideoSource], VideoSource]:
    assert config.reference is not None
    runs = {name: open_videos(Path(folder)) for name, folder in config.all_runs.items()}
    split = config.split
    if split is None and (config.reference / "dataset.json").is_file():
        splits = {tuple(run.splits) if isinstance(run, ClipFolder) else () for run in runs.values()}
        if len(splits) == 1 and len(only := splits.pop()) == 1:
            split = only[0]
    reference = open_videos(config.reference, split)
    if not config.holds_context:
        runs = {name: AfterContext(run, reference, config.context) for name, run in runs.items()}
    return runs, reference


def _what_to_score(
    config: EvaluateConfig, runs: Mapping[str, VideoSource], reference: VideoSource
) -> tuple[list[str] | None, int | None]:
    """The ids, None for all, and the frame to end before."""
    ids = reference.ids()
    if config.videos == "common":
        ids = [id for id in ids if all(id in set(run.ids()) for run in runs.values())]
    have = [id for id in ids if all(id in set(run.ids()) for run in runs.values())]
    if config.frames:
        stop: int | None = config.context + config.frames
    else:
        named = {"the reference": reference, **runs}
        lengths = {
            (source.num_frames(id), f"{id} of {name}")
            for name, source in named.items()
            for id in (have if runs else ids)
        }
        if lengths and min(lengths)[0] != max(lengths)[0]:
            (least, shortest), (most, longest) = min(lengths), max(lengths)
            raise ConfigError(
                f"{shortest} has {least} frames and {longest} {most}; if that is as it should be, frames="
                f"{max(least - config.context, 1)} scores as many generated frames of each"
            )
        # None where there is nothing in common: `evaluate` says so.
        stop = min(lengths)[0] if lengths else None
    if stop is not None and config.context >= stop:
        raise ConfigError(f"context={config.context} leaves nothing to score: the shortest run has {stop} frames")
    return (ids or None) if config.videos == "common" else None, stop


def _bounds(config: EvaluateConfig, reference: VideoSource, device: str, stop: int | None) -> dict[Bound, VideoSource]:
    decoded: VideoSource = reference
    if config.tokenizer is not None and config.all_bounds:
        tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer).to(device)
        decoded = Transformed(
            reference,
            lambda frames: _reconstruct(tokenizer, frames, device),
            "true latents decoded",
            fingerprint(tokenizer),
        )
    makers: dict[Bound, Callable[[], VideoSource]] = {
        "true_latents": lambda: decoded,
        "shuffled_frames": lambda: ShuffledFrames(decoded, seed=config.seed, keep=config.context, stop=stop),
        "other_videos": lambda: OtherVideos(decoded, seed=config.seed, keep=config.context),
    }
    return {bound: makers[bound]() for bound in config.all_bounds}


@torch.no_grad()
def _reconstruct(tokenizer: HierarchicalTokenizer, frames: np.ndarray, device: str) -> np.ndarray:
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
    decoded = tokenizer.decode(tokenizer.encode(images)).clamp(0, 1)
    return (decoded * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
