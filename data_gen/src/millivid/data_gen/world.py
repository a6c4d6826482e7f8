"""What a world is: something that an agent acts in and that shows a frame after every action."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What the camera sees, and where it is.

    Attributes:
        frame: uint8 RGB, [height, width, 3].
        pose: float32 [5]: x, y (up), z in blocks; yaw and pitch in degrees. Yaw 0 looks along +z and grows to the
            right, in [0, 360); pitch is positive downward.
    """

    frame: NDArray[np.uint8]
    pose: NDArray[np.float32]


@runtime_checkable
class World(Protocol):
    """A world that can be recorded.

    Attributes:
        action_names: what action 0, 1, ... are.
        size: (height, width) of a frame.
    """

    action_names: tuple[str, ...]
    size: tuple[int, int]

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``.

        Args:
            seed: another seed is another world; equal arguments give an equal world.
            actions: [frame], what the agent is going to do, where that is known. A world may use it to keep the
                agent's way free of obstacles, or ignore it.
        """
        ...

    def step(self, action: int) -> Observation:
        """Do the action for one frame; the frame and the pose are those *after* it."""
        ...
