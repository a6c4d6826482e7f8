"""Evaluate runs against the truth, between bounds, and write the report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from millivid.app.evaluate_config import BOUND_NAMES, BOUND_TEXTS, CONF, SCORES, Bound, EvaluateConfig
from millivid.app.surfaces import surfaces_of
from millivid.command import ConfigError, alone_in_out, check_device, launched_share, to_plain, work_in_processes
from millivid.eval import (
    AfterContext,
    Evaluation,
    OtherVideos,
    Revisits,
    ShuffledFrames,
    Transformed,
    VideoSource,
    check_report_folder,
    horizons_from,
    open_videos,
    score,
    score_video,
    summarise,
    write_report,
)
from millivid.eval.sources import ClipFolder
from millivid.files.pretrained import fingerprint
from millivid.tokenizer import HierarchicalTokenizer

__all__ = ["CONF", "evaluate_runs"]


@alone_in_out
def evaluate_runs(
    config: EvaluateConfig, alongside: Sequence[str] = (), descriptions: Mapping[str, str] | None = None
) -> Path | None:
    """Score every run and write the report; returns its index.html, None in processes beside the first.

    alongside: names that may be in the report's folder besides. descriptions: a line on a run, by its name.
    """
    if not config.all_runs and not config.all_bounds:
        raise ConfigError(
            "there is nothing to evaluate; give generated=DIR, runs.NAME=DIR, or tokenizer=DIR for bounds"
        )
    rank, count, device = launched_share(config.device)
    check_device(device)
    alongside = (*alongside, SCORES)
    check_report_folder(config.out, alongside)
    if config.processes > 1 and (count > 1 or device != "cpu"):
        raise ConfigError(
            f"processes={config.processes} is for one command on the CPU; with device={device} or under a launcher every "
            "process is a command of its own"
        )
    evaluation = open_evaluation(config, device, descriptions)
    if config.processes > 1:
        with tqdm(total=len(evaluation.ids), desc="evaluate", unit="video") as bar:
            work_in_processes(partial(_scoring, config), evaluation.ids, config.processes, bar.update)
    else:
        score(evaluation, share=(rank, count), progress=rank == 0)
    if rank > 0:
        return None
    results = summarise(evaluation)
    return write_report(
        evaluation, results, config.out, title=config.title, max_videos=config.max_videos, alongside=alongside
    )


def open_evaluation(config: EvaluateConfig, device: str, descriptions: Mapping[str, str] | None = None) -> Evaluation:
    """What a config compares, checked; nothing is scored yet. Raises ConfigError or EvaluationError."""
    if config.reference is None:
        raise ConfigError("the true videos are missing; give reference=DIR")
    runs = {name: open_videos(Path(folder)) for name, folder in config.all_runs.items()}
    reference = open_videos(config.reference, config.split or _only_split(runs.values(), config.reference))
    config = _with_settings_of(config, runs or {"the reference": reference})
    context = config.context or 0
    stop = context + config.frames if config.frames else None
    if not config.holds_context:
        runs = {name: AfterContext(run, reference, context) for name, run in runs.items()}
    for bound, source in _bounds(config, reference, device, stop).items():
        if BOUND_NAMES[bound] in runs:
            raise ConfigError(f"a run is called {BOUND_NAMES[bound]!r}, as a bound is; give it another name")
        runs[BOUND_NAMES[bound]] = source
    ids = None
    if config.videos == "common":
        common = set(reference.ids()).intersection(*(run.ids() for run in runs.values()))
        ids = [id for id in reference.ids() if id in common] or None  # None: what is wrong is said later
    texts = {BOUND_NAMES[bound]: BOUND_TEXTS[bound] for bound in config.all_bounds}
    return Evaluation.of(
        runs,
        reference,
        start=context,
        stop=stop,
        horizons=horizons_from(config.horizons) if config.horizons else (),
        metrics=config.all_metrics,
        ids=ids,
        revisits=Revisits(distance=config.view_distance, angle=config.view_angle),
        surfaces=surfaces_of(reference.dataset) if isinstance(reference, ClipFolder) else None,
        scores=config.out / SCORES,
        check_rate=config.check_rate,
        seed=config.seed,
        device=device,
        batch_frames=config.batch,
        bounds=tuple(texts),
        descriptions={**(descriptions or {}), **texts},
        settings={key: value for key, value in to_plain(config).items() if key != "out"},
    )


def _scoring(config: EvaluateConfig) -> Callable[[str], None]:
    """What scores a video, in a process of its own."""
    torch.set_num_threads(1)
    return partial(score_video, open_evaluation(config, config.device))


def _only_split(runs: Iterable[VideoSource], reference: Path) -> str | None:
    """The split of the reference that generated clips are of, where they are all of one."""
    if not (reference / "dataset.json").is_file():
        return None
    splits = {run.splits if isinstance(run, ClipFolder) else () for run in runs}
    only = splits.pop() if len(splits) == 1 else ()
    return only[0] if len(only) == 1 else None


def _with_settings_of(config: EvaluateConfig, sources: Mapping[str, VideoSource]) -> EvaluateConfig:
    """The config with the context and the horizons that clips have in their dataset.json, where it has none of its own."""
    provenance = {name: s.dataset.index.source for name, s in sources.items() if isinstance(s, ClipFolder)}

    def agreed(setting: str, otherwise: Any) -> Any:
        found = {name: source[setting] for name, source in provenance.items() if setting in source}
        first = next(iter(found), "")
        for name, value in found.items():
            if value != found[first]:
                raise ConfigError(
                    f"{first} has {setting} {found[first]} and {name} {value}, by their dataset.json; give {setting}= to say "
                    "what holds for both"
                )
        return found.get(first, otherwise)

    context = agreed("context", 0) if config.context is None else config.context
    horizons = agreed("horizons", ()) if config.horizons is None else config.horizons
    return replace(config, context=context, horizons=tuple(horizons) or None)


def _bounds(config: EvaluateConfig, reference: VideoSource, device: str, stop: int | None) -> dict[Bound, VideoSource]:
    decoded, keep = reference, config.context or 0
    if config.tokenizer is not None and config.all_bounds:
        tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer).to(device)
        function = partial(_reconstruct, tokenizer, device)
        decoded = Transformed(reference, function, "true latents decoded", fingerprint(tokenizer))
    makers: dict[Bound, Callable[[], VideoSource]] = {
        "true_latents": lambda: decoded,
        "shuffled_frames": lambda: ShuffledFrames(decoded, seed=config.seed, keep=keep, stop=stop),
        "other_videos": lambda: OtherVideos(decoded, seed=config.seed, keep=keep),
    }
    return {bound: makers[bound]() for bound in config.all_bounds}


@torch.no_grad()
def _reconstruct(tokenizer: HierarchicalTokenizer, device: str, frames: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
    decoded = tokenizer.decode(tokenizer.encode(images))
    if not torch.isfinite(decoded).all():
        raise ConfigError("the tokenizer gives no finite numbers; give another one")
    return (decoded.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
