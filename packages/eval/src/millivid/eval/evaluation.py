"""What is compared: runs against a reference, over which frames and by which metrics, as one checked value."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch

from millivid.files.values import check_number

from .errors import EvaluationError, MissingWeights
from .figures import SEED
from .horizons import Horizon, clip_horizons, horizons_from
from .matching import check_rates, matched_ids, matched_stop
from .memory import Surfaces
from .metrics import DEFAULT_METRICS, METRICS, FrameMetric, Metric, SetMetric
from .revisits import Revisits, Seen, last_seen
from .score_files import Key, ScoreFiles
from .videos import VideoSource

Role = Literal["run", "bound"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Frames [start, stop) of every run's videos `ids` against those of the reference; made by `Evaluation.of`.

    skipped: by name, why a metric or the figures of memory are not there. seen: by video, what its views have to do with
    earlier ones; empty where nothing can be said of memory. scores: where those of each video are kept.
    """

    runs: Mapping[str, VideoSource]
    reference: VideoSource
    ids: tuple[str, ...]
    start: int
    stop: int
    horizons: tuple[Horizon, ...]
    metrics: tuple[Metric, ...]
    skipped: Mapping[str, str]
    revisits: Revisits
    seen: Mapping[str, Seen]
    surfaces: Surfaces | None
    scores: ScoreFiles
    seed: int
    device: torch.device
    batch_frames: int
    roles: Mapping[str, Role]
    descriptions: Mapping[str, str]
    settings: Mapping[str, Any]
    keys: dict[tuple[str | None, str, str], Key] = field(default_factory=dict, init=False, repr=False)
    """Of scores that were looked for already."""
    began: float = field(default_factory=time.perf_counter, init=False, repr=False)

    @classmethod
    def of(
        cls,
        runs: Mapping[str, VideoSource],
        reference: VideoSource,
        *,
        start: int,
        stop: int | None = None,
        horizons: Sequence[Horizon] = (),
        metrics: Sequence[str | Metric] = DEFAULT_METRICS,
        ids: Sequence[str] | None = None,
        revisits: Revisits | None = None,
        surfaces: Surfaces | None = None,
        scores: str | os.PathLike[str] | None = None,
        check_rate: bool = True,
        seed: int = SEED,
        device: torch.device | str | None = None,
        batch_frames: int = 32,
        bounds: Sequence[str] = (),
        descriptions: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Self:
        """Check what goes together and fill in what was left open; nothing is computed yet.

        Runs and reference number frames alike: a run's video holds the context too, so that generated frame 1 is frame
        `start` (`AfterContext` puts it before videos that lack it). `stop` None: to the end. `ids` None: every source has
        exactly the reference's ids; otherwise only these are scored, and every source must have them. `metrics`: names or
        objects; a named one whose weights are missing is skipped with the reason in `skipped`. `horizons` are clipped to the
        frames there are; none: one over all of them.

        `revisits`: when two poses count as one view, for the figures of memory, which need a reference with poses.
        `surfaces`: what every pixel of the reference shows, for those of pixels. `seed`: of the intervals.

        `scores`: a folder for the scores of each video, so that a stopped evaluation goes on and several processes share
        one. They are found by a hash of the videos, the frames, the versions of what computes them and the metric's
        `describe()`, which must tell all that it goes by. None: in memory. `batch_frames` bounds memory (to one item of a
        metric of sets at least) and changes no result.

        `bounds`: names of the runs that are no models but bounds. `descriptions`: a line on a run, by its name. `settings`:
        further JSON values (seed, checkpoint, command) for the protocol.

        Raises EvaluationError for ids, lengths, rates, poses or settings that do not match.
        """
        for name, value in {"start": start, "stop": 0 if stop is None else stop}.items():
            check_number(value, name, 0, whole=True, error=EvaluationError)
        ids = matched_ids(runs, reference, ids)
        stop = matched_stop(runs, reference, ids, start, stop)
        if check_rate:
            check_rates(runs, reference, ids)
        check_number(seed, "seed", 0, whole=True, error=EvaluationError)
        check_number(batch_frames, "batch_frames", 1, whole=True, error=EvaluationError)
        for kind, names in (("bounds", bounds), ("descriptions", descriptions or ())):
            if unknown := [name for name in names if name not in runs]:
                raise EvaluationError(f"{kind} name {unknown[0]!r}, which is not a run; these are: {', '.join(runs)}")
        built, skipped = build_metrics(metrics, videos=len(ids), frames=stop - start)
        device = torch.device(device or "cpu")
        for metric in built:
            metric.to(device)
        revisits = revisits or Revisits()
        return cls(
            runs=dict(runs),
            reference=reference,
            ids=tuple(ids),
            start=start,
            stop=stop,
            horizons=clip_horizons(horizons or horizons_from((stop - start,)), stop - start),
            metrics=built,
            seen=_seen(reference, ids, start, stop, revisits, skipped),
            skipped=skipped,
            revisits=revisits,
            surfaces=surfaces,
            scores=ScoreFiles(scores),
            seed=seed,
            device=device,
            batch_frames=batch_frames,
            roles={run: "bound" if run in bounds else "run" for run in runs},
            descriptions=dict(descriptions or {}),
            settings=dict(settings or {}),
        )

    @property
    def num_frames(self) -> int:
        """Frames compared per video."""
        return self.stop - self.start

    @property
    def frame_metrics(self) -> list[FrameMetric]:
        return [metric for metric in self.metrics if isinstance(metric, FrameMetric)]

    @property
    def set_metrics(self) -> list[SetMetric]:
        return [metric for metric in self.metrics if isinstance(metric, SetMetric)]

    @property
    def mapped_metrics(self) -> list[FrameMetric]:
        """Those that are taken by pixel too; none unless it is known what pixels show and what the context showed."""
        return [m for m in self.frame_metrics if m.has_map] if self.surfaces is not None and self.start > 0 else []


def _seen(
    reference: VideoSource, ids: Sequence[str], start: int, stop: int, revisits: Revisits, skipped: dict[str, str]
) -> dict[str, Seen]:
    """When views were last seen, by video; empty, with the reason in `skipped`, where that cannot be told."""
    if not start:
        skipped["memory"] = "there is no context to remember: every frame is compared"
        return {}
    seen = {}
    for id in ids:
        poses = reference.poses(id)
        if poses is None:
            skipped["memory"] = "the reference says nothing of the camera's poses; a clip dataset with poses does"
            return {}
        if len(poses) < stop:
            raise EvaluationError(f"video {id!r} has {len(poses)} poses for {stop} frames")
        try:
            seen[id] = last_seen(poses[:stop], start, revisits)
        except EvaluationError as error:
            raise EvaluationError(f"video {id!r}: {error}") from error
    return seen


def build_metrics(
    wanted: Iterable[str | Metric], *, videos: int, frames: int
) -> tuple[tuple[Metric, ...], dict[str, str]]:
    """Metric objects for names (objects pass through), and why each missing one was skipped.

    Skipped are a *named* metric whose weights or library are not installed, and one of sets that would have fewer than two
    items in `videos` videos of `frames` frames. Raises EvaluationError for a name that is not known or comes twice, or when
    no metric is left.
    """
    built: list[Metric] = []
    skipped: dict[str, str] = {}
    for metric in wanted:
        if not isinstance(metric, str):
            built.append(metric)
        elif metric not in METRICS:
            raise EvaluationError(f"metric {metric!r} is not known; these are: {', '.join(METRICS)}")
        else:
            try:
                built.append(METRICS[metric]())
            except MissingWeights as error:
                skipped[metric] = str(error)
    names = [metric.name for metric in built]
    if len(set(names)) < len(names):
        raise EvaluationError(f"metrics {names} must have different names")
    for metric in list(built):
        if isinstance(metric, SetMetric) and (items := videos * (frames // metric.window)) < 2:
            built.remove(metric)
            skipped[metric.name] = (
                f"{metric.label} compares sets of items of {metric.window} frames and needs at least 2; {videos} videos of "
                f"{frames} generated frames hold {items}"
            )
    if not built:
        raise EvaluationError(
            f"no metric left to compute: {'; '.join(skipped.values())}" if skipped else "no metric was asked for"
        )
    return tuple(built), skipped
