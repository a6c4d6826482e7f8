"""Distances between two sets of features: Fréchet distance and maximum mean discrepancy, with intervals over videos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import EvaluationError
from .figures import SEED, Figure

REPLICATES = 100
"""Draws of videos for an interval; it is made of their standard deviation, which needs no more (Efron & Tibshirani 1993)."""

MOST_ITEMS = 10_000
"""Items of a set that the discrepancy compares; of more, evenly spaced ones are taken. Its cost grows with the square."""


@dataclass(frozen=True, kw_only=True)
class SetFigure(Figure):
    """A Fréchet distance, with the maximum mean discrepancy of the same features beside it.

    The interval is the value plus and minus 1.96 standard deviations over draws of videos. Percentiles would not do: a draw
    repeats videos, which makes every drawn distance larger than the one of all videos.
    dim: of a feature. The Fréchet distance is biased upwards, the more so the fewer items there are: with fewer than `dim`
    its covariances are not even of full rank, and only sets of equal size compare. The discrepancy is unbiased.
    """

    dim: int
    mmd: Figure

    @property
    def enough(self) -> bool:
        """Whether there are more items than feature dimensions."""
        return self.items > self.dim

    def to_dict(self) -> dict[str, Any]:
        mmd = {key: value for key, value in self.mmd.to_dict().items() if key in ("value", "interval")}
        return {**super().to_dict(), "dimensions": self.dim, "enough_items": self.enough, "mmd": mmd}


def frechet_distance(
    x: Float[Tensor, "item_x dim"],
    y: Float[Tensor, "item_y dim"],
    weights_x: Float[Tensor, " item_x"] | None = None,
    weights_y: Float[Tensor, " item_y"] | None = None,
) -> float:
    """|mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)), covariances over n - 1; weights count an item repeatedly.

    Heusel et al. 2017, eq. 6. With C = F' F the last trace is the sum of the singular values of F_x F_y', so no square root
    of a matrix is taken and covariances need not have full rank. Computed in float64. Raises EvaluationError for fewer
    than two items.
    """
    mean_x, factor_x = _mean_and_factor(x, weights_x)
    mean_y, factor_y = _mean_and_factor(y, weights_y)
    cross = torch.linalg.svdvals(factor_x @ factor_y.T).sum()
    distance = (mean_x - mean_y).square().sum() + factor_x.square().sum() + factor_y.square().sum() - 2 * cross
    return max(float(distance), 0.0)


def _mean_and_factor(x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean, and F of min(item, dim) rows with F' F the covariance."""
    x = x.double()
    weights = torch.ones(len(x), dtype=torch.float64, device=x.device) if weights is None else weights.to(x)
    count = weights.sum()
    if count < 2:
        raise EvaluationError(f"a Fréchet distance needs at least 2 items in each set; got {int(count)}")
    mean = (weights[:, None] * x).sum(dim=0) / count
    rows = ((x - mean) * (weights / (count - 1)).sqrt()[:, None])[weights > 0]
    return mean, torch.linalg.qr(rows, mode="r").R if len(rows) > x.shape[1] else rows


def set_figure(
    generated: Sequence[Float[Tensor, "item dim"]],
    reference: Sequence[Float[Tensor, "item dim"]],
    *,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> SetFigure:
    """Both distances between features given video by video, the two sequences in the same order of videos.

    With fewer than two items in all everything is nan; with one video the intervals are.
    """
    x, y = torch.cat(list(generated)), torch.cat(list(reference))
    videos, items, dim = len(generated), len(x), x.shape[1]
    undefined = Figure(value=math.nan, videos=videos, items=items)
    if min(items, len(y)) < 2:
        return SetFigure(value=math.nan, videos=videos, items=items, dim=dim, mmd=undefined)
    value = frechet_distance(x, y)
    sums = _KernelSums(_thin(generated), _thin(reference))
    mmd = sums.discrepancy(np.ones(videos))
    if videos < 2:
        mmd_figure = Figure(value=mmd, videos=videos, items=items)
        return SetFigure(value=value, videos=videos, items=items, dim=dim, mmd=mmd_figure)
    owner_x, owner_y = (np.repeat(np.arange(videos), [len(video) for video in s]) for s in (generated, reference))
    draws = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=replicates)
    distances, discrepancies = [], []
    for draw in draws:
        weights_x, weights_y = torch.from_numpy(draw[owner_x]), torch.from_numpy(draw[owner_y])
        if min(weights_x.sum(), weights_y.sum()) >= 2:
            distances.append(frechet_distance(x, y, weights_x, weights_y))
        if (draw > 0).sum() > 1:
            discrepancies.append(sums.discrepancy(draw))
    spread, mmd_spread = (1.96 * float(np.std(values, ddof=1)) for values in (distances, discrepancies))
    return SetFigure(
        value=value,
        low=max(value - spread, 0.0),
        high=value + spread,
        videos=videos,
        items=items,
        dim=dim,
        mmd=Figure(value=mmd, low=mmd - mmd_spread, high=mmd + mmd_spread, videos=videos, items=items),
    )


def _thin(features: Sequence[Tensor]) -> list[Tensor]:
    stride = -(-sum(map(len, features)) // MOST_ITEMS)
    return [video[::stride] for video in features]


class _KernelSums:
    """Sums of the kernel (x.y / dim + 1)^3 over pairs of items, by pair of videos (Binkowski et al. 2018, eq. 4)."""

    def __init__(self, generated: Sequence[Tensor], reference: Sequence[Tensor]) -> None:
        self.counts = tuple(np.array([len(video) for video in s], dtype=np.float64) for s in (generated, reference))
        self.own = tuple(self._sums(s, s, skip_same=True) for s in (generated, reference))
        self.cross = self._sums(generated, reference)

    @staticmethod
    def _sums(first: Sequence[Tensor], second: Sequence[Tensor], skip_same: bool = False) -> np.ndarray:
        others = torch.cat(list(second)).double()
        sums: list[np.ndarray] = []
        ends = np.cumsum([len(video) for video in second])
        for video in first:
            kernel = (video.double() @ others.T / others.shape[1] + 1) ** 3
            if skip_same:
                begin = int(ends[len(sums)]) - len(video)
                kernel[:, begin : begin + len(video)].fill_diagonal_(0)
            by_other = np.concatenate(([0.0], kernel.sum(dim=0).cumsum(0).cpu().numpy()))
            sums.append(np.diff(by_other[np.concatenate(([0], ends))]))
        return np.stack(sums)

    def discrepancy(self, draw: np.ndarray) -> float:
        """The unbiased estimate with video v counted draw[v] times; copies of a video are not compared with each other."""
        total = 0.0
        apart = np.outer(draw, draw) - np.diag(draw * draw) + np.diag(draw)
        for own, counts in zip(self.own, self.counts, strict=True):
            pairs = np.outer(counts, counts) - np.diag(counts)
            total += float((apart * own).sum() / (apart * pairs).sum())
        pairs = np.outer(*self.counts)
        return total - 2 * float((np.outer(draw, draw) * self.cross).sum() / (np.outer(draw, draw) * pairs).sum())
