"""Figures of memory: the same metrics, over frames and pixels that could be remembered and over those that could not.

Definitions, with a worked example, in docs/evaluation.md.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .figures import Figure, bootstrap_figure
from .horizons import Horizon
from .metrics import FrameMetric
from .revisits import NEVER, FrameKind, Revisits, Seen, gap_bins
from .score_files import VALUES, Arrays

PixelKind = Literal["recalled pixels", "invented pixels"]
Kind = FrameKind | PixelKind
Part = tuple[str | None, tuple[int, int] | None, np.ndarray]
"""A horizon's name, a range of gaps, and which frames (video, frame) are of both."""
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

    kind: Kind
    horizon: str | None
    gap: tuple[int, int] | None
    figures: dict[str, dict[str, Figure]]

    def to_dict(self) -> dict[str, Any]:
        runs = {run: {name: f.to_dict() for name, f in by_metric.items()} for run, by_metric in self.figures.items()}
        gap = None if self.gap is None else "never" if self.gap == (NEVER, NEVER) else list(self.gap)
        return {"kind": self.kind, "horizon": self.horizon, "gap": gap, "runs": runs}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], runs: Sequence[str]) -> Self:
        gap = content["gap"]
        return cls(
            kind=content["kind"],
            horizon=content["horizon"],
            gap=(NEVER, NEVER) if gap == "never" else None if gap is None else (gap[0], gap[1]),
            figures={
                run: {metric: Figure.from_dict(figure) for metric, figure in content["runs"][run].items()}
                for run in runs
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

    def find(self, kind: Kind, horizon: str | None = None, gap: tuple[int, int] | None = None) -> Group | None:
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
        frames = {id: {"last_seen": seen.gap.tolist(), "kind": seen.kinds} for id, seen in self.seen.items()}
        return {"same_view": views, "groups": [group.to_dict() for group in self.groups], "frames": frames}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], runs: Sequence[str]) -> Self:
        return cls(
            revisits=Revisits(**content["same_view"]),
            seen={id: Seen(kinds=one["kind"], gap=np.array(one["last_seen"])) for id, one in content["frames"].items()},
            groups=tuple(Group.from_dict(group, runs) for group in content["groups"]),
        )


def memory_groups(
    seen: Sequence[Seen],
    horizons: Sequence[Horizon],
    metrics: Sequence[FrameMetric],
    scores: Mapping[str, Mapping[str, Arrays]],
    seed: int,
) -> Iterator[Group]:
    """Frames and pixels of every kind, all and by horizon; recall and invention by gap too.

    `scores[run][metric]`: VALUES and, where it is known what pixels show, `pixel_scores`; (video, frame), videos as `seen`.
    """
    frames: dict[Kind, np.ndarray] = {
        kind: np.stack([video.of(kind) for video in seen]) for kind in get_args(FrameKind)
    }
    gap = np.stack([video.gap for video in seen])
    number, nothing = np.arange(1, gap.shape[1] + 1), np.zeros(gap.shape)
    spans: list[Part] = [(None, None, np.ones(gap.shape, bool))]
    spans += [(h.name, None, (h.first <= number) & (number <= h.last)) for h in horizons]
    bins = (*gap_bins(int(gap.max())), (NEVER, NEVER))
    by_gap: list[Part] = [(None, (low, high), (low <= gap) & (gap <= high)) for low, high in bins]
    for kind in (*frames, *PIXEL_KINDS):
        for horizon, gaps, part in (*spans, *by_gap) if kind in FRAME_KINDS else spans:
            figures: dict[str, dict[str, Figure]] = {run: {} for run in scores}
            for run, metric in itertools.product(scores, metrics):
                arrays = scores[run][metric.name]
                if kind in frames:
                    total, count = arrays[VALUES] * frames[kind], frames[kind]
                else:
                    total, count = (arrays.get(f"{kind}: {of}", nothing) for of in ("sum", "count"))
                if (items := (count * part).sum(axis=1)).any():
                    total = (total * part).sum(axis=1)
                    figures[run][metric.name] = bootstrap_figure(total, items, metric.figure, seed=seed)
            if all(figures.values()):
                yield Group(kind=kind, horizon=horizon, gap=gaps, figures=figures)


def pixel_scores(pixels: Float[Tensor, "frame height width"], masks: Mapping[PixelKind, Tensor]) -> Arrays:
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
