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
from .memory import PixelKind, Surfaces, pixel_masks
from .metrics import FrameMetric, Metric, check_finite
from .scores import ScoreFiles, score_key
from .set_metrics import SetMetric
from .videos import VideoSource, fingerprint_of

REFERENCE = None
"""The place of the reference among the runs: it has features of sets, and nothing to be compared with."""

Arrays = dict[str, np.ndarray]


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

    def key(self, run: str | None, id: str) -> tuple[str, bool]:
        """What the scores of a run's video (or, for REFERENCE, of the true video) are kept by, and whether in a file."""
        sources = (self.reference,) if run is REFERENCE else (self.runs[run], self.reference)
        prints = [fingerprint_of(source, id) for source in sources]
        known = all(prints)
        metrics = self.set_metrics if run is REFERENCE else self.metrics
        key = score_key(
            videos=prints if known else [run, id],
            frames=[self.start, self.stop],
            metrics={metric.name: metric.describe() for metric in metrics},
            surfaces=self.surfaces.describe() if self.surfaces is not None and self.pixels else None,
            id=id if self.pixels else None,  # surfaces go by the id too
        )
        return key, known

    def missing(self, id: str) -> list[str | None]:
        """Runs, and REFERENCE where it has something to say, whose scores of this video are not there yet."""
        wanted = [*self.runs, *([REFERENCE] if self.set_metrics else [])]
        found = []
        for run in wanted:
            key, known = self.key(run, id)
            if not self.files.has(key, stored=known):
                found.append(run)
        return found

    def load(self, run: str | None, name: str) -> list[np.ndarray]:
        """One array of every video, in order of ids."""
        return [self.files.load(self.key(run, id)[0], name) for id in self.ids]

    def work(self, order: Sequence[str], bar: "tqdm[Any]") -> None:
        """Score the videos that are not scored, in this order."""
        frames = self.stop - self.start
        for id in order:
            missing = self.missing(id)
            bar.update(frames * sum(run not in missing for run in self.runs))
            for run, arrays in (self._score(id, missing, bar) if missing else {}).items():
                key, known = self.key(run, id)
                self.files.save(key, arrays, stored=known)

    @torch.no_grad()
    def _score(self, id: str, runs: Sequence[str | None], bar: "tqdm[Any]") -> dict[str | None, Arrays]:
        parts: dict[str | None, dict[str, list[np.ndarray]]] = {run: {} for run in runs}
        for first, last in self._batches():
            truth = read_checked("the reference", self.reference, id, first, last)
            true_frames = to_unit_range(truth, self.device)
            masks = self._masks(id, first, last)
            for run in runs:
                measured: Arrays = {}
                if run is REFERENCE:
                    frames = true_frames
                else:
                    generated = read_checked(run, self.runs[run], id, first, last)
                    check_size(run, id, generated, truth)
                    frames = to_unit_range(generated, self.device)
                    measured |= self._compare(id, frames, true_frames, masks)
                for metric in self.set_metrics:
                    if count := len(frames) // metric.window:
                        measured[metric.name] = metric.features(frames[: count * metric.window]).cpu().numpy()
                        check_finite(measured[metric.name], metric.label, id)
                for name, array in measured.items():
                    parts[run].setdefault(name, []).append(array)
                if run is not REFERENCE:
                    bar.update(last - first)
        size = np.array(truth.shape[2:0:-1])
        return {
            run: {"size": size, **{name: np.concatenate(arrays) for name, arrays in by_name.items()}}
            for run, by_name in parts.items()
        }

    def _batches(self) -> Iterator[tuple[int, int]]:
        """Spans of frames that no item of a set metric crosses."""
        step = math.lcm(*(metric.window for metric in self.set_metrics))
        step *= max(1, self.batch_frames // step)
        for first in range(self.start, self.stop, step):
            yield first, min(first + step, self.stop)

    def _masks(self, id: str, first: int, last: int) -> dict[PixelKind, Tensor]:
        if not self.pixels or self.surfaces is None:
            return {}
        masks = pixel_masks(self.surfaces.surfaces(id, first, last), self._context_surfaces(id))
        return {kind: torch.from_numpy(mask).to(self.device) for kind, mask in masks.items()}

    def _context_surfaces(self, id: str) -> np.ndarray:
        assert self.surfaces is not None
        if self._context is None or self._context[0] != id:
            self._context = (id, np.unique(self.surfaces.surfaces(id, 0, self.start)))
        return self._context[1]

    def _compare(self, id: str, generated: Tensor, truth: Tensor, masks: Mapping[PixelKind, Tensor]) -> Arrays:
        arrays: Arrays = {pixel_count(kind): mask.sum(dim=(1, 2)).cpu().numpy() for kind, mask in masks.items()}
        for metric in self.frame_metrics:
            if masks and metric.has_map:
                values, pixels = metric.measure_with_map(generated, truth)
                for kind, mask in masks.items():
                    arrays[pixel_sum(kind, metric)] = (pixels.double() * mask).sum(dim=(1, 2)).cpu().numpy()
            else:
                values = metric.measure(generated, truth)
            arrays[metric.name] = check_finite(values.double().cpu().numpy(), metric.label, id)
        return arrays


def pixel_count(kind: PixelKind) -> str:
    """Name of the array that says how many such pixels every frame has."""
    return f"{kind}: count"


def pixel_sum(kind: PixelKind, metric: Metric) -> str:
    """Name of the array of a metric's sums over such pixels."""
    return f"{kind}: {metric.name}"
