"""Walking: the game's own physics depends on time, this depends on the frames alone."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from ..world import HOP, slide

FORBIDDEN, NOT_GROUND, HEIGHT = 255, 32, 31
"""What a byte of the map says: never enter (water, lava); part of a tree; bits of the height in sixteenths."""

RADIUS, BODY, EYE = 0.3, 1.8, 1.625
"""The body: half its width, its height, and the height of its eye, in blocks (the game's own numbers)."""

HIGHEST_STEP, DEEPEST_DROP = 1.0, 3.0
"""The agent walks up one block at a time and down three; where it is steeper, it is stopped."""

RISE, FALL = 0.25, 0.35
"""Blocks per frame that the eye follows the feet at most, up and down."""

HOP_FRAMES = len(HOP)

ABOVE_EYE, SHORE = 0.2, 0.6
"""Space that stays free above the eye, and below the feet where there is water."""


class Ground:
    """What stands where in a map.

    solids: uint8 [z, y, x], one byte per block: 0 lets the agent pass, 1 to 16 is the height of the block's upper side in
    sixteenths, plus `NOT_GROUND` for trees; `FORBIDDEN`. Block (x, z) has its middle at these numbers. low: the y of the
    lowest blocks; x and z are 0 in the middle.
    """

    def __init__(self, solids: NDArray[np.uint8], low: int) -> None:
        self.solids = solids
        self.half = solids.shape[0] // 2
        self._bottoms = (np.arange(solids.shape[1]) + (low - 0.5)).astype(np.float64)[None, :, None]

    def is_free(self, x: float, z: float, low: float, high: float) -> bool:
        """Whether a body at (x, z) from ``low`` to ``high`` touches nothing, and is inside the map. It would touch water
        already if that was a little below it."""
        if not max(abs(x), abs(z)) <= self.half - 1:
            return False
        kinds, bottoms, tops = self._columns(x, z)
        lowest = np.where(kinds == FORBIDDEN, low - SHORE, low + 1e-6)
        return not ((kinds > 0) & (bottoms < high - 1e-6) & (tops > lowest)).any()

    def floor(self, x: float, z: float, highest: float) -> float:
        """The highest upper side at (x, z) that is not above ``highest``, water's left out; -inf where there is none."""
        kinds, _, tops = self._columns(x, z)
        carries = (kinds > 0) & (kinds != FORBIDDEN) & (tops <= highest + 1e-6)
        return float(np.max(np.where(carries, tops, -np.inf)))

    def start(self) -> tuple[float, float, float]:
        """A place (x, y, z) for the feet: on dry ground under the open sky, on the largest such piece of land that can be
        walked, in an open part without cliffs above, as near to the middle as possible. Raises ValueError where there is no
        dry ground.
        """
        surface = self._surface()
        land = _largest_piece(surface)
        if not land.any():
            raise ValueError("the map has no dry ground; record with another seed")
        height = np.where(land, surface, np.inf)
        for margin in (6, 4, 2, 0):
            sides = range(-margin, margin + 1)
            around = [np.roll(height, (dz, dx), (0, 1)) for dz in sides for dx in sides]
            open_land = land & (np.max(around, axis=0) <= surface + margin / 2)
            if open_land.any():
                break
        places = np.argwhere(open_land)
        z, x = places[np.argmin(((places - self.half) ** 2).sum(1))]
        return float(x - self.half), float(surface[z, x]), float(z - self.half)

    def _columns(self, x: float, z: float) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
        """Of the columns that the body touches, [z, y, x]: kinds, lower and upper sides."""
        ends = [math.floor(value + 0.5 + side * (RADIUS - 1e-6)) + self.half for value in (x, z) for side in (-1, 1)]
        kinds = self.solids[ends[2] : ends[3] + 1, :, ends[0] : ends[1] + 1]
        heights = np.where(kinds == FORBIDDEN, 16, kinds & HEIGHT) / 16
        return kinds, self._bottoms, self._bottoms + heights

    def _surface(self) -> NDArray[np.float64]:
        """Height of the ground [z, x]; nan at the edge, and where the topmost block is a tree's or may not be entered."""
        there = self.solids > 0
        top = self.solids.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
        kinds = np.take_along_axis(self.solids, top[:, None], axis=1)[:, 0]
        good = there.any(1) & (kinds < NOT_GROUND)
        good[:2], good[-2:], good[:, :2], good[:, -2:] = False, False, False, False
        return np.where(good, self._bottoms.ravel()[top] + (kinds & HEIGHT) / 16, np.nan)


def _largest_piece(surface: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns belong to the largest piece of ground that can be walked both ways."""
    seen, best = np.isnan(surface), np.zeros(surface.shape, bool)
    for start in np.argwhere(~seen).tolist():
        if seen[tuple(start)]:
            continue
        piece, queue = [], deque([tuple(start)])
        seen[tuple(start)] = True
        while queue:
            z, x = queue.popleft()
            piece.append((z, x))
            for place in ((z - 1, x), (z + 1, x), (z, x - 1), (z, x + 1)):
                if not seen[place] and abs(surface[place] - surface[z, x]) <= HIGHEST_STEP:
                    seen[place] = True
                    queue.append(place)
        if len(piece) > best.sum():
            best = np.zeros(surface.shape, bool)
            best[tuple(np.transpose(piece))] = True
    return best


class Walker:
    """Where the agent is, and how it moves.

    x, z: its place. feet: height of the ground that it stands on, or will once it has fallen. eye: height of the camera,
    which follows the feet smoothly.
    """

    def __init__(self, ground: Ground, jump: bool) -> None:
        self._ground, self._jump = ground, jump
        self.x, self.feet, self.z = ground.start()
        self._height = self.feet + EYE  # of the eye, without the hop
        self._hop = 0  # frames since take-off

    @property
    def eye(self) -> float:
        """Height of the camera."""
        return self._height + HOP[self._hop]

    def frame(self, dx: float = 0.0, dz: float = 0.0) -> None:
        """One frame, with a move that is stopped by what is in the way; along walls it slides."""
        if self._jump:
            self._hop = (self._hop + 1) % HOP_FRAMES
            while self._hop and not self._ground.is_free(self.x, self.z, self.feet, self.eye + ABOVE_EYE):
                rising = 2 * self._hop <= HOP_FRAMES  # then fall from the height of the frame before
                self._hop = (HOP_FRAMES - self._hop + 1 if rising else self._hop + 1) % HOP_FRAMES
        slide(dx, dz, self._move)
        self._height += min(max(self.feet + EYE - self._height, -FALL), RISE)

    def _move(self, dx: float, dz: float) -> bool:
        ground, x, z = self._ground, self.x + dx, self.z + dz
        if max(abs(x), abs(z)) > ground.half - 1:
            return False
        feet = ground.floor(x, z, self.feet + HIGHEST_STEP)
        if feet < self.feet - DEEPEST_DROP:
            return False
        head = max(feet + BODY, self.feet + BODY, self.eye + ABOVE_EYE)
        if not ground.is_free(x, z, feet, head) or not ground.is_free(self.x, self.z, self.feet, head):
            return False
        self.x, self.z, self.feet = x, z, feet
        return True
