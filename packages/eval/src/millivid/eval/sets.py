"""Distances between two sets of features: Fréchet distance and maximum mean discrepancy, with intervals over videos."""

import math
from collections.abc import Mapping, Sequence
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

FEWEST_VIDEOS = 5
"""With fewer, draws of videos say too little of how the discrepancy varies."""

CHUNK = 8192
"""Items that are taken into float64 at once."""

MOST_ITEMS = 10_000
"""Items of a set that the discrepancy compares; of more, evenly spaced ones are taken. Its cost grows with the square."""

Term = tuple[float, np.ndarray, np.ndarray]
"""Of a discrepancy: its sign, and by pair of videos the kernel's sum and how many pairs of items it is over."""


@dataclass(frozen=True, kw_only=True)
class SetFigure(Figure):
    """A Fréchet distance, with the maximum mean discrepancy of the same features beside it.

    The interval is the value plus and minus 1.96 standard deviations over draws of videos. Percentiles would not do: a draw
    repeats videos, and the distance grows as there are fewer different items.
    dim: of a feature. The Fréchet distance is biased upwards, the more so the fewer items there are: with fewer than `dim`
    its covariances are not even of full rank, and only sets of equal size compare. The discrepancy is unbiased: it compares
    items of different videos only.
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

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SetFigure":
        plain = Figure.from_dict(content)
        return cls(**vars(plain), dim=content["dimensions"], mmd=Figure.from_dict(content["mmd"]))


def frechet_distance(
    x: Float[Tensor, "item_x dim"],
    y: Float[Tensor, "item_y dim"],
    weights_x: Float[Tensor, " item_x"] | None = None,
    weights_y: Float[Tensor, " item_y"] | None = None,
) -> float:
    """|mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)), covariances over n - 1; weights count an item repeatedly.

    Heusel et al. 2017, eq. 6. With C = F' F the last trace is the sum of the singular values of F_x F_y', so no square root
    of a matrix is taken and covariances need not have full rank. Computed in float64. Raises EvaluationError for fewer
    than two items, features that are not finite or of two sizes, and negative weights.
    """
    if x.shape[-1] != y.shape[-1]:
        raise EvaluationError(
            f"features have {x.shape[-1]} and {y.shape[-1]} dimensions; a distance needs one number of them"
        )
    mean_x, factor_x = _mean_and_factor(x, weights_x)
    mean_y, factor_y = _mean_and_factor(y, weights_y)
    cross = torch.linalg.svdvals(factor_x @ factor_y.T).sum()
    distance = (mean_x - mean_y).square().sum() + factor_x.square().sum() + factor_y.square().sum() - 2 * cross
    return max(float(distance), 0.0)


def _mean_and_factor(x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean, and F of at most min(item, dim) rows with F' F the covariance; in float64."""
    if (
        x.ndim != 2
        or not x.isfinite().all()
        or (weights is not None and (weights.shape != x.shape[:1] or weights.min() < 0))
    ):
        raise EvaluationError(
            f"features are {tuple(x.shape)}{'' if x.isfinite().all() else ' with NaN or infinity'}; expected finite numbers "
            "(item, dim), with weights of at least 0 (item)"
        )
    count, dim = x.shape
    weights = (
        torch.ones(count, dtype=torch.float64, device=x.device) if weights is None else weights.to(x.device).double()
    )
    total = weights.sum()
    if total < 2:
        raise EvaluationError(f"a Fréchet distance needs at least 2 items in each set; got {int(total)}")
    parts = list(zip(x.split(CHUNK), weights.split(CHUNK), strict=True))
    mean = torch.stack([weight @ part.double() for part, weight in parts]).sum(dim=0) / total
    rows = (
        (part.double() - mean)[weight > 0] * (weight[weight > 0] / (total - 1)).sqrt()[:, None]
        for part, weight in parts
    )
    if count <= dim:
        return mean, torch.cat(list(rows))
    covariance = torch.zeros(dim, dim, dtype=torch.float64, device=x.device)
    for part in rows:  # so that no second copy of the features is ever held
        covariance += part.T @ part
    values, vectors = torch.linalg.eigh(covariance)
    return mean, values.clamp(min=0).sqrt()[:, None] * vectors.T


def set_figure(
    generated: Sequence[Float[Tensor, "item dim"]],
    reference: Sequence[Float[Tensor, "item dim"]],
    *,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> SetFigure:
    """Both distances between features given video by video, the two sequences in the same order of videos.

    With fewer than two items in all everything is nan; with one video the intervals and the discrepancy are.
    """
    x, y = torch.cat(list(generated)), torch.cat(list(reference))
    videos, items, dim = len(generated), len(x), x.shape[1]
    if min(items, len(y)) < 2:
        undefined = Figure(value=math.nan, videos=videos, items=items)
        return SetFigure(value=math.nan, videos=videos, items=items, dim=dim, mmd=undefined)
    value = frechet_distance(x, y)
    terms = _kernel_terms(_thin(generated), _thin(reference))
    mmd = _discrepancy(terms, np.ones(videos, np.int64))
    owner_x, owner_y = (np.repeat(np.arange(videos), [len(video) for video in s]) for s in (generated, reference))
    draws = np.random.default_rng(seed).multinomial(
        videos, np.full(videos, 1 / videos), size=replicates if videos > 1 else 0
    )
    distances, discrepancies = [], []
    for draw in draws:
        weights_x, weights_y = torch.from_numpy(draw[owner_x]), torch.from_numpy(draw[owner_y])
        if min(weights_x.sum(), weights_y.sum()) >= 2:
            distances.append(frechet_distance(x, y, weights_x, weights_y))
        discrepancies.append(_discrepancy(terms, draw))
    if videos < FEWEST_VIDEOS:
        discrepancies = []
    spread, mmd_spread = (_spread(values) for values in (distances, discrepancies))
    return SetFigure(
        value=value,
        low=max(value - spread, 0.0),
        high=value + spread,
        videos=videos,
        items=items,
        dim=dim,
        mmd=Figure(value=mmd, low=mmd - mmd_spread, high=mmd + mmd_spread, videos=videos, items=items),
    )


def _spread(values: Sequence[float]) -> float:
    """Half of an interval, from draws of which some are undefined."""
    defined = [value for value in values if not math.isnan(value)]
    return 1.96 * float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan


def _thin(features: Sequence[Tensor]) -> list[Tensor]:
    stride = -(-sum(map(len, features)) // MOST_ITEMS)
    return [video[::stride] for video in features]


def _kernel_terms(generated: Sequence[Tensor], reference: Sequence[Tensor]) -> list[Term]:
    """Sums of the kernel (x.y / dim + 1)^3 over pairs of items, by pair of videos (Binkowski et al. 2018, eq. 4)."""
    terms = []
    for sign, first, second in ((1.0, generated, generated), (1.0, reference, reference), (-2.0, generated, reference)):
        counts = [np.array([len(video) for video in side], dtype=np.float64) for side in (first, second)]
        others = torch.cat(list(second)).double()
        ends = np.cumsum([0, *(len(video) for video in second)])
        sums: list[np.ndarray] = []
        for video in first:
            kernel = (video.double() @ others.T / others.shape[1] + 1) ** 3
            by_item = np.concatenate(([0.0], kernel.sum(dim=0).cumsum(0).cpu().numpy()))
            sums.append(np.diff(by_item[ends]))
        terms.append((sign, np.stack(sums), np.outer(*counts)))
    return terms


def _discrepancy(terms: Sequence[Term], draw: np.ndarray) -> float:
    """The estimate with video v counted draw[v] times; nan where it holds fewer than two different videos.

    Only items of different videos are compared, also across the sets: items of one video resemble each other, and so
    does a generated video its own true one. That makes the estimate unbiased, with videos as what is drawn.
    """
    apart = np.outer(draw, draw) * (1 - np.eye(len(draw)))
    if not apart.any():
        return math.nan
    return sum(sign * float((apart * sums).sum() / (apart * pairs).sum()) for sign, sums, pairs in terms)
