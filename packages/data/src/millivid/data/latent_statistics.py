"""Mean and standard deviation of latents per level and channel, computed without holding them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STD_FLOOR = 1e-6
"""A channel that never changes gets this standard deviation, so that one can divide by it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentStatistics:
    """Mean and population standard deviation, each float32 [level, channel], finest level first."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.mean.ndim != 2 or self.mean.shape != self.std.shape:
            raise ValueError(
                f"mean and std must both be [level, channel]; got {list(self.mean.shape)} and {list(self.std.shape)}"
            )

    @classmethod
    def from_lists(cls, mean: Any, std: Any) -> "LatentStatistics":
        """From nested lists, as JSON has them."""
        return cls(mean=np.asarray(mean, np.float32), std=np.asarray(std, np.float32))

    def to_lists(self) -> dict[str, list[list[float]]]:
        """As nested lists, for JSON."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}


def measure_statistics(videos: Iterable[Iterable[NDArray[np.floating[Any]]]]) -> LatentStatistics:
    """Statistics over videos, each a pyramid of latents [frame, height, width, channel], finest level first.

    Sums are float64; the standard deviation is the population's and at least `STD_FLOOR`.

    Raises:
        ValueError: there is no video.
    """
    totals: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []
    for pyramid in videos:
        for level, latents in enumerate(pyramid):
            values = latents.reshape(-1, latents.shape[-1]).astype(np.float64)
            if level == len(totals):
                totals.append((0, np.zeros(latents.shape[-1]), np.zeros(latents.shape[-1])))
            count, mean, squares = totals[level]
            # Chan, Golub & LeVeque 1979: merging two samples' mean and sum of squared deviations.
            new_mean = values.mean(0)
            new_squares = ((values - new_mean) ** 2).sum(0)
            total, delta = count + len(values), new_mean - mean
            totals[level] = (
                total,
                mean + delta * (len(values) / total),
                squares + new_squares + delta**2 * (count * len(values) / total),
            )
    if not totals:
        raise ValueError("statistics need at least one video; give a split with videos in it")
    mean = np.stack([mean for _, mean, _ in totals])
    std = np.stack([np.sqrt(squares / count) for count, _, squares in totals])
    return LatentStatistics(mean=mean.astype(np.float32), std=np.maximum(std, STD_FLOOR).astype(np.float32))
