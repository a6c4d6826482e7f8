"""Evaluate runs against the truth, between the two bounds, and write the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from millivid.eval import (
    ShuffledFrames,
    Transformed,
    VideoSource,
    check_report_folder,
    evaluate,
    horizons_from,
    open_videos,
    write_report,
)
from millivid.tokenizer import HierarchicalTokenizer
from millivid.training import REQUIRED, ConfigError

CONF = Path(__file__).parent / "conf"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to compare.

    runs: name -> folder of generated videos, as `runs.millivid=DIR`; reference: the true videos, or one `split` of them;
    out: the report's folder. context: frames that were given, which are not scored. tokenizer: adds the bounds, with or
    without runs: true_latents, true frames encoded and decoded, and shuffled_frames, such frames of other videos; or
    those of the two that `bounds` names. horizons: last generated frame of each horizon.
    """

    runs: dict[str, str] = field(default_factory=dict)
    reference: Path = REQUIRED
    out: Path = REQUIRED
    context: int = 0
    tokenizer: Path | None = None
    bounds: tuple[Literal["true_latents", "shuffled_frames"], ...] | None = None
    split: str | None = None
    horizons: tuple[int, ...] = (64, 256, 768)
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips")
    title: str = "MilliVid: generated against true frames"


@torch.no_grad()
def _reconstruct(tokenizer: HierarchicalTokenizer, frames: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    decoded = tokenizer.decode(tokenizer.encode(images)).clamp(0, 1)
    return (decoded * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def evaluate_runs(
    config: EvaluateConfig, alongside: Sequence[str] = (), descriptions: Mapping[str, str] | None = None
) -> Path:
    """Score every run and write the report; returns its index.html.

    alongside: names that may be in the report's folder besides. descriptions: a line on a run, by its name.
    """
    if config.tokenizer is None and (config.bounds or not config.runs):
        what = (
            f"the bounds {', '.join(config.bounds)} need a tokenizer"
            if config.bounds
            else "there is nothing to evaluate"
        )
        raise ConfigError(f"{what}; give tokenizer=DIR for bounds, or runs.NAME=DIR and no bounds=")
    check_report_folder(config.out, alongside)
    reference = open_videos(config.reference, config.split)
    runs: dict[str, VideoSource] = {name: open_videos(Path(folder)) for name, folder in config.runs.items()}
    ids = sorted(set.intersection(*(set(run.ids()) for run in runs.values()))) if runs else reference.ids()
    roles = dict.fromkeys(runs, "run")
    if config.tokenizer is not None:
        tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer)
        decoded = Transformed(reference, lambda frames: _reconstruct(tokenizer, frames), "true latents decoded")
        bounds = ("true_latents", "shuffled_frames") if config.bounds is None else config.bounds
        if "true_latents" in bounds:
            runs["true latents"], roles["true latents"] = decoded, "bound"
        if "shuffled_frames" in bounds:
            runs["random frames"], roles["random frames"] = ShuffledFrames(decoded, keep=config.context), "bound"
    stop = min(run.num_frames(id) for run in runs.values() for id in ids) if ids else None
    if stop is not None and not 0 <= config.context < stop:
        raise ConfigError(f"context={config.context} leaves nothing to score: the shortest run has {stop} frames")
    results = evaluate(
        runs,
        reference,
        start=config.context,
        stop=stop,
        horizons=horizons_from(config.horizons),
        metrics=config.metrics,
        ids=ids,
    )
    return write_report(
        results,
        runs,
        reference,
        config.out,
        title=config.title,
        roles=roles,
        descriptions=descriptions,
        alongside=alongside,
    )
