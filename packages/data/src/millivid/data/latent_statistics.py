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
        if not (
            np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std >= np.float32(STD_FLOOR)).all()
        ):
            raise ValueError(f"means must be finite, and standard deviations finite and at least {STD_FLOOR}")


class StatisticsSum:
    """Mean and sum of squared deviations of the pyramids that were added so far, without holding them; sums are float64."""

    def __init__(self) -> None:
        self._totals: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []

    def add(self, pyramid: Iterable[NDArray[np.floating[Any]]]) -> None:
        """Add latents [frame, height, width, channel] of every level, finest level first."""
        for level, latents in enumerate(pyramid):
            values = latents.reshape(-1, latents.shape[-1]).astype(np.float64)
            if level == len(self._totals):
                self._totals.append((0, np.zeros(latents.shape[-1]), np.zeros(latents.shape[-1])))
            count, mean, squares = self._totals[level]
            # Chan, Golub & LeVeque 1979: merging two samples' mean and sum of squared deviations.
            new_mean = values.mean(0)
            new_squares = ((values - new_mean) ** 2).sum(0)
            total, delta = count + len(values), new_mean - mean
            self._totals[level] = (
                total,
                mean + delta * (len(values) / total),
                squares + new_squares + delta**2 * (count * len(values) / total),
            )

    def statistics(self) -> LatentStatistics:
        """Of all that was added; a standard deviation is at least `STD_FLOOR`. Raises ValueError when that is nothing."""
        if not self._totals:
            raise ValueError("statistics need at least one video; give a split with videos in it")
        mean = np.stack([mean for _, mean, _ in self._totals])
        std = np.stack([np.sqrt(squares / count) for count, _, squares in self._totals])
        return LatentStatistics(mean=mean.astype(np.float32), std=np.maximum(std, STD_FLOOR).astype(np.float32))
