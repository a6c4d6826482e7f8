"""When a view was last seen: from the camera's poses alone, for every generated frame.

Definitions, with a worked example, in docs/evaluation.md.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from millivid.files.values import check_number

from .errors import EvaluationError

FrameKind = Literal["recall", "invention", "continued"]
NEVER = 0
"""The gap of a view that was not seen before."""


@dataclass(frozen=True, kw_only=True)
class Revisits:
    """When two poses show one view: at most `distance` apart (units of the world) and `angle` degrees between the
    directions they look in.

    Raises EvaluationError unless distance is at least 0 and angle lies in [0, 180].
    """

    distance: float = 1.0
    angle: float = 15.0

    def __post_init__(self) -> None:
        hint = ": distance must be at least 0, angle in 0 to 180 degrees"
        check_number(self.distance, "distance", 0, hint=hint, error=EvaluationError)
        check_number(self.angle, "angle", 0, 180, hint=hint, error=EvaluationError)

    def same_view(
        self, poses: Float[np.ndarray, "frame 5"], others: Float[np.ndarray, "other 5"]
    ) -> Bool[np.ndarray, "frame other"]:
        """Whether each pose shows the view of each other one; poses are x, y, z, yaw, pitch (degrees)."""
        apart = np.linalg.norm(poses[:, None, :3] - others[None, :, :3], axis=-1)
        cosine = np.clip(_directions(poses) @ _directions(others).T, -1, 1)
        # Equal directions must count at angle 0, where the cosine is 1 only up to rounding.
        return (apart <= self.distance + 1e-5) & (cosine >= np.cos(np.radians(self.angle)) - 1e-7)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Of every generated frame: what the context has to do with its view, and how many frames ago it was last seen.

    A frame's stay is the unbroken run of frames before it that show its view; those do not count as having seen it before.
    kinds: a letter per frame, each the first of its `FrameKind`. continued: the stay reaches back into the context, so that
    nothing has to be remembered. recall: some context frame shows the view, before the stay. invention: none does. gap:
    NEVER (0) where no frame before the stay shows the view.
    """

    kinds: str
    gap: Int[np.ndarray, " frame"]

    def of(self, kind: FrameKind) -> Bool[np.ndarray, " frame"]:
        """Which frames are of a kind."""
        return np.array([letter == kind[0] for letter in self.kinds])


def last_seen(poses: Float[np.ndarray, "frame 5"], context: int, revisits: Revisits) -> Seen:
    """When the view of every frame from `context` on was last seen, and whether the context shows it.

    Raises EvaluationError for poses that are not (frame, 5) or not finite, and for a context that leaves no frame.
    """
    poses = np.asarray(poses, np.float64)
    if poses.ndim != 2 or poses.shape[1] != 5 or not np.isfinite(poses).all():
        raise EvaluationError(
            f"poses have shape {poses.shape}{'' if np.isfinite(poses).all() else ' and hold NaN or infinity'}; expected "
            "finite numbers (frame, 5): x, y, z, yaw, pitch"
        )
    check_number(context, "context", 0, whole=True, error=EvaluationError)
    if context >= len(poses):
        raise EvaluationError(f"context is {context} of {len(poses)} frames; it must leave at least one")
    same = revisits.same_view(poses[context:], poses)
    kinds, gaps = "", []
    for now, alike in enumerate(same, start=context):
        away = np.flatnonzero(~alike[:now])
        stay = away[-1] + 1 if len(away) else 0
        before = np.flatnonzero(alike[:stay])
        gaps.append(now - before[-1] if len(before) else NEVER)
        kinds += "c" if stay < context else "r" if alike[:context].any() else "i"
    return Seen(kinds=kinds, gap=np.array(gaps))


def gap_bins(longest: int) -> tuple[tuple[int, int], ...]:
    """Ranges of gaps, both ends included: 1-16, 17-32, 33-64, 65-128, ... until `longest` is covered."""
    bins = [(1, 16)]
    while bins[-1][1] < longest:
        bins.append((bins[-1][1] + 1, bins[-1][1] * 2))
    return tuple(bins)


def _directions(poses: np.ndarray) -> np.ndarray:
    yaw, pitch = np.radians(poses[:, 3]), np.radians(poses[:, 4])
    return np.stack([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)], axis=1)
