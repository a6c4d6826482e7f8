"""What is done in the videos: how often each action is taken and how long it is held, or how components spread."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipIndex
from ..errors import DatasetError
from .findings import ActionNumbers, ComponentNumbers, Histogram

BINS = 24


class ActionCounts:
    """Adds up the actions of videos, one after the other."""

    def __init__(self, index: ClipIndex) -> None:
        self._index = index
        size = len(index.action_names)
        self._frames = 0
        self._taken = np.zeros(size, np.int64)
        self._runs = np.zeros(size, np.int64)
        self._sum, self._squares = np.zeros(size), np.zeros(size)
        self._low, self._high = np.full(size, np.inf), np.full(size, -np.inf)

    def add(self, actions: NDArray[Any]) -> None:
        """Count the actions of a video, as they are on disk; they must have been checked."""
        self._frames += len(actions)
        if self._index.action_type == "categorical":
            size = len(self._index.action_names)
            begins = np.diff(actions, prepend=-1) != 0
            self._taken += np.bincount(actions, minlength=size)
            self._runs += np.bincount(actions[begins], minlength=size)
        elif len(actions):
            wide = actions.astype(np.float64)
            self._sum += wide.sum(axis=0)
            self._squares += (wide**2).sum(axis=0)
            self._low, self._high = np.minimum(self._low, wide.min(axis=0)), np.maximum(self._high, wide.max(axis=0))

    def actions(self) -> tuple[ActionNumbers, ...]:
        """One entry per name of categorical actions."""
        if self._index.action_type != "categorical":
            return ()
        return tuple(
            ActionNumbers(
                name=name,
                frames=taken,
                share=taken / max(self._frames, 1),
                held=taken / max(runs, 1),
            )
            for name, taken, runs in zip(
                self._index.action_names, self._taken.tolist(), self._runs.tolist(), strict=True
            )
        )

    def components(self, sampled: Sequence[NDArray[Any]]) -> tuple[ComponentNumbers, ...]:
        """One entry per component of continuous actions. sampled: of some videos, for the histograms."""
        if self._index.action_type != "continuous" or not self._frames or not sampled:
            return ()
        mean = self._sum / self._frames
        std = np.sqrt(np.maximum(self._squares / self._frames - mean**2, 0))
        values = np.concatenate(sampled)
        return tuple(
            ComponentNumbers(
                name=name,
                mean=float(mean[i]),
                std=float(std[i]),
                low=float(self._low[i]),
                high=float(self._high[i]),
                histogram=histogram(values[:, i], BINS),
            )
            for i, name in enumerate(self._index.action_names)
        )


def check_actions(actions: NDArray[Any], index: ClipIndex, video: str) -> None:
    """Raise DatasetError for actions that no model could be given."""
    if index.action_type == "continuous":
        if not np.isfinite(actions).all():
            raise DatasetError(f"the actions of {video} hold NaN or infinity; make it again.")
    elif len(actions) and (actions.min() < 0 or actions.max() >= len(index.action_names)):
        raise DatasetError(
            f"the actions of {video} lie in {actions.min()}..{actions.max()}, but there are {len(index.action_names)} "
            f"action names; make it again."
        )


def histogram(values: NDArray[Any], bins: int, limits: tuple[float, float] | None = None) -> Histogram:
    """Counts of finite values in bins of equal width, from the lowest to the highest unless limits are given."""
    counts, edges = np.histogram(values.astype(np.float64), bins=bins, range=limits)
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
