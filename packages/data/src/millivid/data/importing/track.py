"""The actions or poses of one video, row by row, and which row belongs to a frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError

TIMES = ("time", "timestamp")
"""The first column of these that is there, in seconds after the video's first frame, says when each row was."""
TIME_TOLERANCE = 0.1
"""How far the row of a frame may be from it by default, in seconds, where frames are not longer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Actions or poses of a video, row by row.

    path: their table. names: what the columns are called in the dataset. values: float32 [row, column]; or int64 or str,
    [row], for a single column of actions of that kind. times: seconds after the first frame, [row]; None where row i
    belongs to frame i. tolerance: as `ImportSettings.time_tolerance`. word: of actions that are words, the first, and where
    it stands. notes: what was lost.
    """

    path: Path
    names: tuple[str, ...]
    values: NDArray[Any]
    times: NDArray[np.float64] | None
    tolerance: float | None = None
    word: str = ""
    notes: tuple[str, ...] = ()

    def at(self, indices: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[Any]:
        """The values of frames, by their numbers and their times in seconds; without times in the table, the numbers."""
        if self.times is None:
            return self.values[np.minimum(indices, len(self.values) - 1)]  # whether there are enough, `check` says
        return self.values[self._nearest(self.times, times)]

    def check(self, shown: Sequence[float], gap: float, until: float) -> None:
        """Raise DatasetError where there are too few or too many rows for a video, or their times are not its own.

        shown: when each frame is shown, in seconds after the first. gap: seconds between frames. until: when the last ends.
        """
        rows, frames = len(self.values), len(shown)
        if self.times is None:
            if rows != frames:
                raise DatasetError(
                    f"{self.path}: has {rows} rows, but the video has {frames} frames; give one row per frame, or a column "
                    f"{TIMES[0]!r} in seconds after the first frame"
                )
            return
        first, last, end = self.times[0], self.times[-1], shown[-1]
        limit = max(TIME_TOLERANCE, gap) if self.tolerance is None else self.tolerance
        reach = limit + 1e-4  # times are rounded
        if first > reach or last < end - reach or first < -2 * reach or last > max(end + gap, until) + 2 * reach:
            raise DatasetError(
                f"{self.path}: its times go from {first:.3f} s to {last:.3f} s, but the video's frames from 0 to {end:.3f} s; "
                f"give rows for all of it and no more, in seconds after the first frame (time_tolerance= is {limit:g} s)"
            )
        nearest = self.times[self._nearest(self.times, np.array(shown))]
        away = np.abs(nearest - shown)
        worst = int(away.argmax())
        if away[worst] > reach:
            raise DatasetError(
                f"{self.path}: its times have a hole: for the frame at {shown[worst]:.3f} s the nearest row is the one at "
                f"{nearest[worst]:.3f} s; give the rows that are missing, or time_tolerance= ({limit:g} s now)"
            )

    @staticmethod
    def _nearest(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
        after = np.searchsorted(rows, times).clip(1, max(1, len(rows) - 1))
        before = after - 1
        after = np.minimum(after, len(rows) - 1)
        return np.where(times - rows[before] <= rows[after] - times, before, after)
