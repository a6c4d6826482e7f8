"""Evaluate runs against the truth, between bounds, and write the report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from millivid.app.surfaces import surfaces_of
from millivid.command import (
    REQUIRED,
    ConfigError,
    alone_in_out,
    check_device,
    device_named,
    launched_share,
    to_plain,
    work_in_processes,
)
from millivid.eval import (
    METRICS,
    PAPER_METRICS,
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
from millivid.eval.frames import to_unit_range
from millivid.eval.sources import ClipFolder
from millivid.files.pretrained import fingerprint
from millivid.files.values import check_number
from millivid.tokenizer import HierarchicalTokenizer

CONF = Path(__file__).parent / "conf"
Bound = Literal["true_latents", "shuffled_frames", "other_videos"]
DEFAULT_BOUNDS: tuple[Bound, ...] = ("true_latents", "shuffled_frames")
BOUND_TEXTS: dict[Bound, str] = {
    "true_latents": (
        "A bound: the true frames through the tokenizer and back. What it loses, the tokenizer loses, and no video model that "
        "works on these latents can be expected to do better."
    ),
    "shuffled_frames": (
        "A bound: the same frames in random order, the right place at the wrong time. A model that falls to it has forgotten "
        "where it is."
    ),
    "other_videos": "A bound: frames of other videos, the right world and the wrong place.",
}
SCORES = "scores"
"""Folder of the report in which the scores of each video are kept, so that a stopped evaluation goes on."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to compare.

    generated: folder of generated videos. runs: several such folders by name, as `runs.millivid=DIR`. reference: the true
    videos, matched by name. split: the part of them that counts; null for that of the generated ones, if they are a clip
    dataset of one split. out: the report's folder. title: of the report. videos: "all" wants the same videos everywhere,
    "common" scores those that all have.

    context: frames that were given, which are not scored; null for what generated clips say, 0 for other videos.
    holds_context: whether generated videos begin with them. frames: how many generated frames to score, 0 for all there
    are. check_rate: refuse videos of another frame rate.

    tokenizer: a saved one, for bounds. bounds: true for true latents decoded and the same in random order, or a list out
    of true_latents, shuffled_frames, other_videos (frames of other videos); by default those two where a tokenizer is
    given.

    horizons: last generated frame of each; null for what generated clips say, else one over all frames. metrics: by name,
    or [paper] for those of the paper's table. view_distance, view_angle: how far apart, in units of the world and in
    degrees, two poses may be that show one view. seed: of bounds and intervals. max_videos: how many the page shows, the
    first ones.

    batch: frames at once. processes: how many evaluate at the same time on the CPU. device: such as cpu or cuda, auto for the
    fastest that is there. For many GPUs start one command per GPU with torchrun instead; cuda is then each one's own.
    """

    runs: dict[str, str] = field(default_factory=dict)
    generated: Path | None = None
    reference: Path | None = None
    out: Path = REQUIRED
    split: str | None = None
    videos: Literal["all", "common"] = "all"
    context: int | None = None
    holds_context: bool = True
    frames: int = 0
    check_rate: bool = True
    tokenizer: Path | None = None
    bounds: bool | tuple[Bound, ...] | None = None
    horizons: tuple[int, ...] | None = None
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips")
    view_distance: float = 1.0
    view_angle: float = 15.0
    seed: int = 0
    max_videos: int = 8
    title: str = "MilliVid: generated against true frames"
    processes: int = 1
    device: str = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        check_number(self.context or 0, "context", 0, whole=True)
        check_number(self.frames, "frames", 0, whole=True)
        check_number(self.seed, "seed", 0, 2**31 - 1, whole=True)
        check_number(self.max_videos, "max_videos", 1, whole=True)
        check_number(self.processes, "processes", 1, 1024, whole=True)
        check_number(self.batch, "batch", 1, whole=True)
        check_number(self.view_distance, "view_distance", 0)
        check_number(self.view_angle, "view_angle", 0, 180, hint=" degrees")
        if wrong := [name for name, folder in self.runs.items() if not isinstance(folder, str)]:
            raise ValueError(
                f"runs.{wrong[0]} is {self.runs[wrong[0]]!r}; it takes runs.NAME=FOLDER, and a name has no dots"
            )
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
    def all_metrics(self) -> list[str]:
        """Names of metrics, each once."""
        names = [name for given in self.metrics for name in (PAPER_METRICS if given == "paper" else (given,))]
        return list(dict.fromkeys(names))

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
    rank, count, device = launched_share(device_named(config.device, config.processes))
    config = replace(config, device=check_device(device))
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
    bounds = {_name_of(bound): source for bound, source in _bounds(config, reference, device, stop).items()}
    if taken := runs.keys() & bounds.keys():
        raise ConfigError(f"a run is called {min(taken)!r}, as a bound is; give it another name")
    runs |= bounds
    ids = None
    if config.videos == "common":
        common = set(reference.ids()).intersection(*(run.ids() for run in runs.values()))
        ids = [id for id in reference.ids() if id in common] or None  # None: what is wrong is said later
    texts = {_name_of(bound): BOUND_TEXTS[bound] for bound in config.all_bounds}
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


def _name_of(bound: Bound) -> str:
    """What a bound is called among the runs."""
    return bound.replace("_", " ")


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
    decoded = tokenizer.decode(tokenizer.encode(to_unit_range(frames, device)))
    if not torch.isfinite(decoded).all():
        raise ConfigError("the tokenizer gives no finite numbers; give another one")
    return (decoded.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
