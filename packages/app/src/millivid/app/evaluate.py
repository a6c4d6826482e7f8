"""Evaluate runs against the truth, between bounds, and write the report."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from millivid.app.loops import loop_report
from millivid.app.surfaces import surfaces_of
from millivid.eval import (
    METRICS,
    PAPER_METRICS,
    AfterContext,
    OtherVideos,
    Results,
    Revisits,
    ShuffledFrames,
    Transformed,
    VideoSource,
    check_report_folder,
    evaluate,
    horizons_from,
    open_videos,
    write_loops,
    write_report,
)
from millivid.eval.clips import ClipFolder
from millivid.tokenizer import HierarchicalTokenizer
from millivid.tokenizer.pretrained import fingerprint
from millivid.training import REQUIRED, ConfigError, check_device, launched_share

CONF = Path(__file__).parent / "conf"
Bound = Literal["true_latents", "shuffled_frames", "other_videos"]
DEFAULT_BOUNDS: tuple[Bound, ...] = ("true_latents", "shuffled_frames")
BOUND_NAMES = {"true_latents": "true latents", "shuffled_frames": "shuffled frames", "other_videos": "other videos"}
SCORES = "scores"
"""Folder of the report in which the scores of each video are kept, so that a stopped evaluation goes on."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to compare.

    generated: folder of generated videos, or several by name as `runs.millivid=DIR`; reference: the true videos, or one
    `split` of them (by default that of the generated ones, if they are a clip dataset of one split); videos are matched by
    name. out: the report's folder. videos: "all" wants the same videos everywhere, "common" scores those that all have.

    loops: folders of videos made by `millivid generate loop=`, by name as `loops.millivid=DIR`, which need no reference.

    context: frames that were given, which are not scored. holds_context: whether generated videos begin with them. frames:
    how many generated frames to score, 0 for all there are. check_rate: refuse videos of another frame rate.

    bounds: true for true latents decoded and the same in random order, both by `tokenizer`, or a list out of true_latents,
    shuffled_frames, other_videos (frames of other videos); by default those two where a tokenizer is given.

    horizons: last generated frame of each. metrics: by name, or [paper] for those of the paper's table. view_distance,
    view_angle: how far apart, in units of the world and in degrees, two poses may be that show one view. seed: of bounds and
    intervals. max_videos: how many the page shows, the first ones.

    batch: frames at once. processes: how many evaluate at the same time on the CPU. For many GPUs start one command per GPU
    with torchrun instead; device=cuda is then each one's own.
    """

    runs: dict[str, str] = field(default_factory=dict)
    loops: dict[str, str] = field(default_factory=dict)
    generated: Path | None = None
    reference: Path | None = None
    out: Path = REQUIRED
    split: str | None = None
    videos: Literal["all", "common"] = "all"
    context: int = 0
    holds_context: bool = True
    frames: int = 0
    check_rate: bool = True
    tokenizer: Path | None = None
    bounds: bool | tuple[Bound, ...] | None = None
    horizons: tuple[int, ...] = (64, 256, 768)
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips")
    view_distance: float = 1.0
    view_angle: float = 15.0
    seed: int = 0
    max_videos: int = 8
    title: str = "MilliVid: generated against true frames"
    processes: int = 1
    device: str = "cpu"
    batch: int = 32

    def __post_init__(self) -> None:
        for name, least in (
            ("context", 0),
            ("frames", 0),
            ("seed", 0),
            ("max_videos", 1),
            ("processes", 1),
            ("batch", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.generated is not None and "generated" in self.runs:
            raise ValueError("generated is given twice, as generated=DIR and as runs.generated=DIR; give one of them")
        known = {*METRICS, "paper"}
        if unknown := [name for name in self.metrics if name not in known]:
            raise ValueError(f"metric {unknown[0]!r} is not known; these are: {', '.join(sorted(known))}")

    @property
    def all_runs(self) -> dict[str, str]:
        """Folders of generated videos by name."""
        return {**({} if self.generated is None else {"generated": str(self.generated)}), **self.runs}

    @property
    def all_bounds(self) -> tuple[Bound, ...]:
        """The bounds to make. Raises ConfigError where one needs a tokenizer and there is none."""
        chosen = self.bounds if self.bounds is not None else self.tokenizer is not None
        bounds = (DEFAULT_BOUNDS if chosen else ()) if isinstance(chosen, bool) else chosen
        if self.tokenizer is None and "true_latents" in bounds:
            raise ConfigError(
                "the bound true_latents needs a tokenizer to decode with; give tokenizer=DIR, or bounds=[shuffled_frames] "
                "for true frames in random order as they are"
            )
        return bounds


def evaluate_runs(
    config: EvaluateConfig, alongside: Sequence[str] = (), descriptions: Mapping[str, str] | None = None
) -> Path | None:
    """Score every run and write the report; returns its index.html, None in processes beside the first.

    alongside: names that may be in the report's folder besides. descriptions: a line on a run, by its name.
    """
    loops = {name: loop_report(folder) for name, folder in config.loops.items()}
    if not config.all_runs and not config.all_bounds:
        if not loops:
            raise ConfigError(
                "there is nothing to evaluate; give generated=DIR, runs.NAME=DIR, or tokenizer=DIR for bounds"
            )
        return write_loops(loops, config.out, title=config.title)
    if config.reference is None:
        raise ConfigError("the true videos are missing; give reference=DIR")
    rank, count, device = launched_share(config.device)
    check_device(device)
    alongside = (*alongside, SCORES)
    check_report_folder(config.out, alongside)
    if config.processes > 1 and (count > 1 or device != "cpu"):
        raise ConfigError(
            f"processes={config.processes} is for one command on the CPU; with device={device} or under a launcher every "
            "process is a command of its own"
        )
    with _helping_processes(config) as helping:
        results, runs, reference, roles = _score(config, rank, count + helping, device)
    if rank > 0:
        return None
    return write_report(
        results,
        runs,
        reference,
        config.out,
        title=config.title,
        roles=roles,
        descriptions=descriptions,
        max_videos=config.max_videos,
        alongside=alongside,
        loops=loops,
    )


def _score(
    config: EvaluateConfig, rank: int, count: int, device: str
) -> tuple[Results, dict[str, VideoSource], VideoSource, dict[str, str]]:
    runs, reference = _open(config)
    roles: dict[str, str] = dict.fromkeys(runs, "run")
    ids, stop = _what_to_score(config, runs, reference)
    for bound, source in _bounds(config, reference, device).items():
        runs[BOUND_NAMES[bound]], roles[BOUND_NAMES[bound]] = source, "bound"
    results = evaluate(
        runs,
        reference,
        start=config.context,
        stop=stop,
        horizons=horizons_from(config.horizons),
        metrics=[name for given in config.metrics for name in (PAPER_METRICS if given == "paper" else (given,))],
        ids=ids,
        revisits=Revisits(distance=config.view_distance, angle=config.view_angle),
        surfaces=surfaces_of(reference.dataset) if isinstance(reference, ClipFolder) else None,
        scores=config.out / SCORES,
        share=(rank, count),
        check_rate=config.check_rate,
        seed=config.seed,
        device=device,
        batch_frames=config.batch,
    )
    return results, runs, reference, roles


@contextmanager
def _helping_processes(config: EvaluateConfig) -> Iterator[int]:
    """Start the other processes that score; ends them. What one of them fails at, this one meets itself."""
    count = config.processes
    context = multiprocessing.get_context("spawn")  # forking is unsafe once torch has threads
    if count > 1:
        torch.set_num_threads(1)
    helpers = [context.Process(target=_help, args=(config, rank), daemon=True) for rank in range(1, count)]
    for helper in helpers:
        helper.start()
    try:
        yield len(helpers)
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _help(config: EvaluateConfig, rank: int) -> None:
    torch.set_num_threads(1)
    with contextlib.suppress(ValueError, OSError, ImportError, KeyboardInterrupt):
        _score(config, rank, config.processes, config.device)


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
        lengths = {run.num_frames(id) for run in runs.values() for id in have} or {
            reference.num_frames(id) for id in ids
        }
        if len(lengths) > 1:
            least = max(min(lengths) - config.context, 1)
            raise ConfigError(
                f"videos have {min(lengths)} to {max(lengths)} frames; frames={least} scores as many generated ones of each"
            )
        # None where there is nothing in common: `evaluate` says so.
        stop = lengths.pop() if lengths else None
    if stop is not None and config.context >= stop:
        raise ConfigError(f"context={config.context} leaves nothing to score: the shortest run has {stop} frames")
    return (ids or None) if config.videos == "common" else None, stop


def _bounds(config: EvaluateConfig, reference: VideoSource, device: str) -> dict[Bound, VideoSource]:
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
        "shuffled_frames": lambda: ShuffledFrames(decoded, seed=config.seed, keep=config.context),
        "other_videos": lambda: OtherVideos(decoded, seed=config.seed, keep=config.context),
    }
    return {bound: makers[bound]() for bound in config.all_bounds}


@torch.no_grad()
def _reconstruct(tokenizer: HierarchicalTokenizer, frames: np.ndarray, device: str) -> np.ndarray:
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
    decoded = tokenizer.decode(tokenizer.encode(images)).clamp(0, 1)
    return (decoded * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
