"""What `millivid evaluate` compares: its settings."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from millivid.command import REQUIRED, ConfigError
from millivid.eval import METRICS, PAPER_METRICS
from millivid.files.values import check_number

CONF = Path(__file__).parent / "conf"
Bound = Literal["true_latents", "shuffled_frames", "other_videos"]
DEFAULT_BOUNDS: tuple[Bound, ...] = ("true_latents", "shuffled_frames")
BOUND_NAMES = {"true_latents": "true latents", "shuffled_frames": "shuffled frames", "other_videos": "other videos"}
BOUND_TEXTS = {
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

    batch: frames at once. processes: how many evaluate at the same time on the CPU. device: such as cpu or cuda. For many
    GPUs start one command per GPU with torchrun instead; cuda is then each one's own.
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
    device: str = "cpu"
    batch: int = 32

    def __post_init__(self) -> None:
        for name in ("context", "frames", "seed", "max_videos", "processes", "batch"):
            value, least = getattr(self, name), 0 if name in ("context", "frames", "seed") else 1
            most = {"processes": 1024, "seed": 2**31 - 1}.get(name, math.inf)
            if value is not None:
                check_number(value, name, least, most, whole=True)
        if wrong := [name for name, folder in self.runs.items() if not isinstance(folder, str)]:
            raise ValueError(
                f"runs.{wrong[0]} is {self.runs[wrong[0]]!r}; it takes runs.NAME=FOLDER, and a name has no dots"
            )
        if not self.view_distance >= 0 or not 0 <= self.view_angle <= 180:
            raise ValueError(
                f"view_distance is {self.view_distance} and view_angle {self.view_angle}; they must be at least 0, and the "
                "angle at most 180 degrees"
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
