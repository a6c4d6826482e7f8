"""The work of an evaluation: scores of one video at a time, in batches of frames, kept in files."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .frames import to_unit_range
from .matching import check_size, read_checked
from .memory import PIXEL_KINDS, PixelKind, Surfaces, pixel_masks
from .metrics import FrameMetric, Metric, check_finite
from .protocol import versions
from .scores import Key, ScoreFiles, score_key
from .set_metrics import SetMetric
from .videos import VideoSource, fingerprint_of, poses_of

REFERENCE = None
"""The place of the reference among the runs: it has features of sets, and nothing to be compared with."""

Arrays = dict[str, np.ndarray]
VALUES, SIZE = "values", "size"
COMPUTING = ("millivid-eval", "torch", "av", "pillow", "transformers", "kornia", "opencv-python-headless")
"""Packages whose versions the scores depend on."""


@dataclass(kw_only=True, eq=False)
class Scoring:
    """What is compared, and where the scores go. Frames [start, stop) of each video."""

    runs: Mapping[str, VideoSource]
    reference: VideoSource
    ids: Sequence[str]
    start: int
    stop: int
    metrics: tuple[Metric, ...]
    surfaces: Surfaces | None
    files: ScoreFiles
    device: torch.device
    batch_frames: int
    _context: tuple[str, np.ndarray] | None = field(default=None, init=False)
    _keys: dict[tuple[str | None, str, str], Key] = field(default_factory=dict, init=False)

    @property
    def frame_metrics(self) -> list[FrameMetric]:
        return [metric for metric in self.metrics if isinstance(metric, FrameMetric)]

    @property
    def set_metrics(self) -> list[SetMetric]:
        return [metric for metric in self.metrics if isinstance(metric, SetMetric)]

    @property
    def pixels(self) -> bool:
        """Whether pixels are told apart by whether the context showed their surface."""
        return self.surfaces is not None and self.start > 0 and any(metric.has_map for metric in self.frame_metrics)

    def key(self, run: str | None, id: str, metric: Metric) -> Key:
        """What a metric's scores of a run's video (or, for REFERENCE, its features of the true one) are kept by."""
        if (run, id, metric.name) not in self._keys:
            sources = (self.reference,) if run is REFERENCE else (self.runs[run], self.reference)
            prints = [fingerprint_of(source, id) for source in sources]
            pixels = self.pixels and isinstance(metric, FrameMetric) and metric.has_map
            poses = poses_of(self.reference, id) if pixels else None
            hashed = score_key(
                videos=prints if all(prints) else [run, id],
                frames=[self.start, self.stop],
                metric=metric.describe(),
                # Surfaces go by the id and by the poses too.
                surfaces=[self.surfaces.describe(), id, np.asarray(poses).tolist()]
                if pixels and self.surfaces
                else None,
                device=self.device.type,
                versions=versions(COMPUTING),
            )
            self._keys[run, id, metric.name] = Key(hashed, stored=all(prints))
        return self._keys[run, id, metric.name]

    def load(self, run: str | None, metric: Metric, name: str = VALUES) -> list[np.ndarray]:
        """One array of a metric's scores of every video, in order of ids."""
        return [self.files.load(self.key(run, id, metric), name) for id in self.ids]

    def work(self, order: Sequence[str], bar: "tqdm[Any]") -> None:
        """Score the videos that are not scored, in this order."""
        frames = self.stop - self.start
        for id in order:
            wanted: dict[str | None, Sequence[Metric]] = {REFERENCE: self.set_metrics}
            wanted |= dict.fromkeys(self.runs, self.metrics)
            missing = {
                run: [m for m in metrics if not self.files.has(self.key(run, id, m), self._lengths(m))]
                for run, metrics in wanted.items()
            }
            bar.update(frames * sum(not missing[run] for run in self.runs))
            if missing := {run: metrics for run, metrics in missing.items() if metrics}:
                for run, by_metric in self._score(id, missing, bar).items():
                    for metric, arrays in by_metric.items():
                        self.files.save(self.key(run, id, metric), arrays)

    def _lengths(self, metric: Metric) -> dict[str, int]:
        """The arrays that a metric's scores of a video hold, and how long they are."""
        frames = self.stop - self.start
        if isinstance(metric, SetMetric):
            return {VALUES: frames // metric.window, SIZE: 2}
        assert isinstance(metric, FrameMetric)
        kinds = PIXEL_KINDS if self.pixels and metric.has_map else ()
        return {VALUES: frames, SIZE: 2, **{name(kind): frames for kind in kinds for name in (pixel_count, pixel_sum)}}

    @torch.no_grad()
    def _score(
        self, id: str, missing: Mapping[str | None, Sequence[Metric]], bar: "tqdm[Any]"
    ) -> dict[str | None, dict[Metric, Arrays]]:
        parts: dict[str | None, dict[Metric, list[Arrays]]] = {
            run: {metric: [] for metric in metrics} for run, metrics in missing.items()
        }
        for first, last in self._batches():
            truth = read_checked("the reference", self.reference, id, first, last)
            true_frames = to_unit_range(truth, self.device)
            masks = self._masks(id, first, last)
            for run, metrics in missing.items():
                frames = true_frames
                if run is not REFERENCE:
                    generated = read_checked(run, self.runs[run], id, first, last)
                    check_size(run, id, generated, truth)
                    frames = to_unit_range(generated, self.device)
                    bar.update(last - first)
                for metric in metrics:
                    measured = self._measure(metric, frames, true_frames, masks)
                    if measured:
                        check_finite(measured[VALUES], metric.label, id)
                        parts[run][metric].append(measured)
        size = np.array(truth.shape[2:0:-1])
        return {
            run: {metric: {**_join(batches), SIZE: size} for metric, batches in by_metric.items()}
            for run, by_metric in parts.items()
        }

    def _measure(
        self, metric: Metric, frames: Tensor, true_frames: Tensor, masks: Mapping[PixelKind, Tensor]
    ) -> Arrays:
        """Arrays of one batch; none where a metric of sets finds no whole item in it."""
        if isinstance(metric, SetMetric):
            whole = len(frames) - len(frames) % metric.window
            return {VALUES: metric.features(frames[:whole]).cpu().numpy()} if whole else {}
        assert isinstance(metric, FrameMetric)
        if not masks or not metric.has_map:
            return {VALUES: metric.measure(frames, true_frames).double().cpu().numpy()}
        values, pixels = metric.measure_with_map(frames, true_frames)
        arrays = {VALUES: values.double().cpu().numpy()}
        for kind, mask in masks.items():
            arrays[pixel_count(kind)] = mask.sum(dim=(1, 2)).cpu().numpy()
            arrays[pixel_sum(kind)] = (pixels.double() * mask).sum(dim=(1, 2)).cpu().numpy()
        return arrays

    def _batches(self) -> Iterator[tuple[int, int]]:
        """Spans of frames that no item of a set metric crosses."""
        step = math.lcm(*(metric.window for metric in self.set_metrics))
        step *= max(1, self.batch_frames // step)
        for first in range(self.start, self.stop, step):
            yield first, min(first + step, self.stop)

    def _masks(self, id: str, first: int, last: int) -> dict[PixelKind, Tensor]:
        if not self.pixels or self.surfaces is None:
            return {}
        if self._context is None or self._context[0] != id:
            self._context = (id, np.unique(self.surfaces.surfaces(id, 0, self.start)))
        masks = pixel_masks(self.surfaces.surfaces(id, first, last), self._context[1])
        return {kind: torch.from_numpy(mask).to(self.device) for kind, mask in masks.items()}


def _join(batches: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def pixel_count(kind: PixelKind) -> str:
    """Name of the array that says how many such pixels every frame has."""
    return f"{kind}: count"


def pixel_sum(kind: PixelKind) -> str:
    """Name of the array of sums over such pixels."""
    return f"{kind}: sum"
