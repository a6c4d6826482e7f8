"""A reported number with its 95 % interval, by bootstrap over videos."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

REPLICATES = 1000
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number, its 95 % interval [low, high], and over how many videos and items (frames, windows, pixels) it goes.

    nan: undefined, as a figure over nothing is, or an interval over fewer than two videos. A PSNR of identical frames is
    +inf.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    videos: int = 0
    items: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON values; None for what JSON has no number for."""
        interval = [json_number(self.low), json_number(self.high)]
        return {"value": json_number(self.value), "interval": interval, "videos": self.videos, "items": self.items}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """A figure as `to_dict` wrote it; what is None there is nan."""
        low, high = map(from_json, content["interval"])
        counts = {key: operator.index(content[key]) for key in ("videos", "items") if key in content}
        return cls(value=from_json(content["value"]), low=low, high=high, **counts)


def bootstrap_figure(
    sums: Float[np.ndarray, " video"],
    counts: Float[np.ndarray, " video"],
    figure: Callable[[np.ndarray], np.ndarray] = np.asarray,
    *,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> Figure:
    """`figure` of the mean over all items, with the percentile interval of `replicates` draws of whole videos.

    sums, counts: by video, the sum over its items and how many they are. Videos without items say nothing and are left
    out. Efron & Tibshirani 1993, section 13.3; items of one video depend on each other, so videos are drawn, not items.
    """
    there = counts > 0
    sums, counts = sums[there].astype(np.float64), counts[there].astype(np.float64)
    videos, items = len(sums), int(counts.sum())
    if not videos:
        return Figure(value=math.nan)
    value = float(figure(sums.sum() / counts.sum()))
    if videos < 2:
        return Figure(value=value, videos=videos, items=items)
    draws = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=replicates)
    replicas = np.sort(figure((draws @ sums) / (draws @ counts)))
    # Order statistics and no interpolation between them, which would make nan of infinities.
    low, high = (float(replicas[round(share * (replicates - 1))]) for share in (0.025, 0.975))
    return Figure(value=value, low=low, high=high, videos=videos, items=items)


def json_number(value: float) -> float | None:
    """Six significant digits, and None for what JSON has no number for."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def from_json(value: float | None) -> float:
    """What `json_number` wrote; nan for None."""
    return math.nan if value is None else float(value)
