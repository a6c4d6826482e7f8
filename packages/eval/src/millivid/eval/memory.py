"""Figures of memory: the same metrics, over frames and pixels that could be remembered and over those that could not.

Definitions, with a worked example, in docs/evaluation.md.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .figures import Figure, bootstrap_figure
from .horizons import Horizon
from .metrics import FrameMetric
from .revisits import NEVER, Revisits, Seen, gap_bins

FrameKind = Literal["recall", "invention", "continued"]
PixelKind = Literal["recalled pixels", "invented pixels"]
FRAME_KINDS: tuple[FrameKind, FrameKind] = ("recall", "invention")
"""The two that are set against each other; of a view that goes on from the context nothing has to be remembered."""
PIXEL_KINDS: tuple[PixelKind, PixelKind] = ("recalled pixels", "invented pixels")


class Surfaces(Protocol):
    """Which surface every pixel of the true videos shows."""

    def surfaces(self, id: str, start: int, stop: int) -> Int64[np.ndarray, "frame height width"]:
        """Ids of frames [start, stop): one per small piece of surface, the same in every frame; below 0 for the sky."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON values that tell these ids from others."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Frames or pixels of one kind, and every run's figures over them, `figures[run][metric]`.

    horizon: its name, None for all generated frames. gap: how many frames ago the view was last seen, both ends included;
    (0, 0) for never, None for any gap.
    """

    kind: FrameKind | PixelKind
    horizon: str | None
    gap: tuple[int, int] | None
    figures: dict[str, dict[str, Figure]]

    def to_dict(self) -> dict[str, Any]:
        runs = {run: {name: f.to_dict() for name, f in by_metric.items()} for run, by_metric in self.figures.items()}
        gap = None if self.gap is None else "never" if self.gap == (NEVER, NEVER) else list(self.gap)
        return {"kind": self.kind, "horizon": self.horizon, "gap": gap, "runs": runs}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        gap = content["gap"]
        return cls(
            kind=content["kind"],
            horizon=content["horizon"],
            gap=(NEVER, NEVER) if gap == "never" else None if gap is None else (gap[0], gap[1]),
            figures={
                run: {metric: Figure.from_dict(figure) for metric, figure in by_metric.items()}
                for run, by_metric in content["runs"].items()
            },
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """What a run's figures are where there is something to remember, and where there is not.

    revisits: when two poses count as one view. seen: by video, what every generated frame's view has to do with earlier
    ones. groups: all kinds, horizons and gaps that occur.
    """

    revisits: Revisits
    seen: dict[str, Seen]
    groups: tuple[Group, ...]

    def find(
        self, kind: FrameKind | PixelKind, horizon: str | None = None, gap: tuple[int, int] | None = None
    ) -> Group | None:
        """The group, if it occurs."""
        wanted = (kind, horizon, gap)
        return next((g for g in self.groups if (g.kind, g.horizon, g.gap) == wanted), None)

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The ranges of gaps that occur, (0, 0) for never last."""
        found = {g.gap for g in self.groups if g.gap is not None}
        return tuple(sorted(found, key=lambda gap: gap[0] or np.inf))

    def to_dict(self) -> dict[str, Any]:
        views = {"distance": self.revisits.distance, "angle": self.revisits.angle}
        frames = {id: {"last_seen": seen.gap.tolist(), "kind": seen.letters} for id, seen in self.seen.items()}
        return {"same_view": views, "groups": [group.to_dict() for group in self.groups], "frames": frames}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            revisits=Revisits(**content["same_view"]),
            seen={id: Seen.of(one["kind"], one["last_seen"]) for id, one in content["frames"].items()},
            groups=tuple(map(Group.from_dict, content["groups"])),
        )


def frame_groups(
    seen: Sequence[Seen],
    horizons: Sequence[Horizon],
    metrics: Sequence[FrameMetric],
    values: Mapping[str, Mapping[str, Float[np.ndarray, "video frame"]]],
    seed: int,
) -> Iterator[Group]:
    """Frames of every kind, all and by horizon; recall and invention by gap too. `values[run][metric]`, videos as `seen`."""
    kinds = {kind: np.stack([getattr(video, kind) for video in seen]) for kind in (*FRAME_KINDS, "continued")}
    gap = np.stack([video.gap for video in seen])
    number = np.arange(1, gap.shape[1] + 1)
    parts: list[tuple[str | None, tuple[int, int] | None, np.ndarray]] = [(None, None, np.ones(gap.shape, bool))]
    parts += [(h.name, None, np.broadcast_to((h.first <= number) & (number <= h.last), gap.shape)) for h in horizons]
    bins = (*gap_bins(int(gap.max())), (NEVER, NEVER))
    parts += [(None, (low, high), (low <= gap) & (gap <= high)) for low, high in bins]
    for kind, chosen in kinds.items():
        for horizon, gaps, part in parts:
            mask = chosen & part
            if mask.any() and (kind in FRAME_KINDS or gaps is None):
                count = mask.sum(axis=1)
                figures = {
                    run: {
                        m.name: bootstrap_figure((by_metric[m.name] * mask).sum(axis=1), count, m.figure, seed=seed)
                        for m in metrics
                    }
                    for run, by_metric in values.items()
                }
                yield Group(kind=kind, horizon=horizon, gap=gaps, figures=figures)


def pixel_groups(
    horizons: Sequence[Horizon],
    metrics: Sequence[FrameMetric],
    scores: Mapping[str, Mapping[str, Mapping[str, Float[np.ndarray, "video frame"]]]],
    seed: int,
) -> Iterator[Group]:
    """Recalled and invented pixels, over all generated frames and by horizon. `scores[run][metric]`: see `pixel_scores`."""
    for kind in PIXEL_KINDS:
        for horizon, span in ((None, slice(None)), *((h.name, h.span) for h in horizons)):
            figures: dict[str, dict[str, Figure]] = {run: {} for run in scores}
            for run, metric in itertools.product(scores, metrics):
                arrays = scores[run][metric.name]
                total, count = (arrays[f"{kind}: {of}"][:, span].sum(axis=1) for of in ("sum", "count"))
                if count.any():
                    figures[run][metric.name] = bootstrap_figure(total, count, metric.figure, seed=seed)
            if all(figures.values()):
                yield Group(kind=kind, horizon=horizon, gap=None, figures=figures)


def pixel_scores(
    pixels: Float[Tensor, "frame height width"], masks: Mapping[PixelKind, Tensor]
) -> dict[str, np.ndarray]:
    """How many pixels of each kind every frame has, and the sums of their values."""
    scores = {}
    for kind, mask in masks.items():
        scores[f"{kind}: count"] = mask.sum(dim=(1, 2)).cpu().numpy()
        scores[f"{kind}: sum"] = (pixels.double() * mask).sum(dim=(1, 2)).cpu().numpy()
    return scores


def pixel_masks(
    ids: Int64[np.ndarray, "frame height width"], context: Int64[np.ndarray, " surface"], device: torch.device
) -> dict[PixelKind, Tensor]:
    """Which pixels show a surface that the context showed, and which another one; the sky is neither."""
    known, solid = np.isin(ids, context), ids >= 0
    masks: dict[PixelKind, np.ndarray] = {"recalled pixels": known & solid, "invented pixels": ~known & solid}
    return {kind: torch.from_numpy(mask).to(device) for kind, mask in masks.items()}
