"""One video with what was done and where the camera was."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

POSE_NAMES = ("x", "y", "z", "yaw", "pitch")
"""Columns of a pose: x, y (up), z in blocks; yaw and pitch in degrees. Yaw 0 looks along +z and grows to the right
(clockwise seen from above), pitch is positive downward."""


ActionType = Literal["categorical", "continuous"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A span of video frames with the action and the pose of each.

    frames: uint8 RGB, [frame, height, width, 3]. actions: int64, [frame]: index into the dataset's action names; or
    float32, [frame, action]: a vector with one column per action name, none at all where nothing is known. The action that
    *led to* the frame. poses: float32, [frame, pose]: the camera when the frame was taken; columns as in `POSE_NAMES`, or
    none at all. Raises ValueError where a dtype, a shape or a length is another one.
    """

    frames: NDArray[np.uint8]
    actions: NDArray[Any]
    poses: NDArray[np.float32]

    def __post_init__(self) -> None:
        continuous = isinstance(self.actions, np.ndarray) and self.actions.ndim == 2
        for name, dtype, axes in (
            ("frames", np.uint8, ("frame", "height", "width", "3")),
            ("actions", np.float32, ("frame", "action")) if continuous else ("actions", np.int64, ("frame",)),
            ("poses", np.float32, ("frame", "pose")),
        ):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != len(axes):
                found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(f"clip.{name} must be {np.dtype(dtype)} [{', '.join(axes)}]; got {found}")
        if self.frames.shape[-1] != 3:
            raise ValueError(f"clip.frames must end in 3 colour channels; got shape {list(self.frames.shape)}")
        if not len(self.frames) == len(self.actions) == len(self.poses):
            raise ValueError(
                f"a clip needs one action and one pose per frame; got {len(self.frames)} frames, "
                f"{len(self.actions)} actions, {len(self.poses)} poses"
            )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)
