"""The embedded first-person block world: it runs anywhere and is the same for the same seed and pose."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millivid.files.values import check_number

from ..agent import flat_path
from ..world import HOP, Observation, World, WorldConfig, level_camera
from .build_scene import build_scene
from .config import VoxelConfig
from .rays import Camera
from .render import render
from .scene import Scene
from .surfaces import Surfaces, trace_surfaces

BODY_RADIUS = 0.35
"""Nothing solid comes nearer to the agent than this, in blocks. A solid counts with its bounding box, so round and pointed
ones are a little wider than they look."""

HIGHEST_STEP, HIGHEST_JUMP = 0.6, 1.1
"""The agent walks, or jumps, up and down steps of the ground that are at most this high, in blocks."""


class VoxelWorld(World):
    """A world of terraced hills with trees and two-coloured landmarks under one of three skies; see `VoxelConfig`.

    A frame is a pure function of the seed, the actions given to `reset` and the pose: time stands still, and a hop is part
    of the pose. scene: the current world's arrays, once it was reset.
    """

    Config: ClassVar[type[WorldConfig]] = VoxelConfig
    config: VoxelConfig
    scene: Scene

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``, near its middle; the start's direction depends on the seed.

        actions: int64 [frame]; nothing is built on the agent's way then. Without, the place of the start alone stays free,
        and the agent may be stopped by things. Raises ValueError for a seed that is negative or no integer.
        """
        check_number(seed, "seed", 0, whole=True)
        rng = np.random.default_rng([int(seed), 0])
        middle = self.config.world_size / 2
        self._x, self._z = (float(value) for value in middle + rng.uniform(-4, 4, 2))
        self._start(yaw=float(rng.integers(360)))
        self.scene = build_scene(int(seed), self.config, self._path(actions))
        return self._observe()

    def render(self, pose: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], seen from a pose [5] (x, y, z, yaw, 0) in the current world.

        Raises ValueError where the pitch is not 0, and RuntimeError where the world was not reset before.
        """
        frame = np.empty((*self.config.size, 3), np.uint8)
        render(self._camera(pose), 2 if self.config.antialias else 1, self.scene, frame)
        return frame

    def surfaces(self, pose: NDArray[np.float32]) -> Surfaces:
        """Which piece of surface each pixel shows from a pose (as in `render`), and how far away it is.

        One ray through the middle of each pixel. "Was this seen in that frame" is a look-up of ids: see `Surfaces`.
        """
        ids, depth = np.empty(self.config.size, np.int64), np.empty(self.config.size, np.float32)
        trace_surfaces(self._camera(pose), self.scene, ids, depth)
        return Surfaces(ids=ids, depth=depth)

    def is_free(self, x: float, z: float) -> bool:
        """Whether the agent can stand at (x, z): inside the world, with nothing solid within its body."""
        edge = self.config.world_size - 2.0
        if not (2.0 <= x <= edge and 2.0 <= z <= edge):
            return False
        feet = float(self.scene.ground[int(x), int(z)]) + 0.1
        head = self._eye(x, z) + 0.3 + (max(HOP) if self.config.jump else 0.0)  # all the same where in a hop it is
        solids = self.scene.solids
        apart_x = np.maximum(np.abs(solids["x"] - np.float64(x)) - solids["half_x"], 0.0)
        apart_z = np.maximum(np.abs(solids["z"] - np.float64(z)) - solids["half_z"], 0.0)
        near = apart_x * apart_x + apart_z * apart_z < BODY_RADIUS * BODY_RADIUS
        return not (near & (solids["bottom"] < np.float64(head)) & (solids["top"] > np.float64(feet))).any()

    def _move(self, dx: float, dz: float) -> bool:
        x, z = self._x + dx * self.config.step, self._z + dz * self.config.step
        if not self.is_free(x, z):
            return False
        ground, highest = self.scene.ground, HIGHEST_JUMP if self.config.jump else HIGHEST_STEP
        if abs(float(ground[int(x), int(z)]) - float(ground[int(self._x), int(self._z)])) > highest:
            return False
        self._x, self._z = x, z
        return True

    def _path(self, actions: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Where the agent will come by, [point, 2]."""
        start = np.array([[self._x, self._z]])
        if actions is None or len(actions) == 0:
            return start
        path = flat_path(np.asarray(actions), self.config.frames_per_action)
        angle = math.radians(self._yaw)
        # The path's heading 0 is the start's yaw: rotate by it (yaw 90 takes +z to -x).
        x = path[:, 0] * math.cos(angle) - path[:, 1] * math.sin(angle)
        z = path[:, 0] * math.sin(angle) + path[:, 1] * math.cos(angle)
        points = start + self.config.step * np.stack([x, z], axis=1)
        return np.concatenate([start, np.unique(points.round(3), axis=0)])

    def _camera(self, pose: NDArray[np.float32]) -> Camera:
        self.check_started()
        x, y, z, yaw = level_camera(pose)
        angle, (height, width) = math.radians(yaw), self.config.size
        scale = math.tan(math.radians(self.config.field_of_view) / 2) / (width / 2)
        far = float(self.config.view_distance)
        return Camera(x, y, z, math.sin(angle), math.cos(angle), height, width, scale, far)

    def _eye(self, x: float, z: float) -> float:
        """Height of the camera, hops apart: over the smooth ground, so that terraces do not jolt it."""
        smooth = self.scene.smooth
        i, j = int(x - 0.5), int(z - 0.5)
        u, v = x - 0.5 - i, z - 0.5 - j
        low = smooth[i, j] * (1 - v) + smooth[i, j + 1] * v
        high = smooth[i + 1, j] * (1 - v) + smooth[i + 1, j + 1] * v
        return float(low * (1 - u) + high * u) - 0.25 + self.config.eye_height

    def _observe(self) -> Observation:
        eye = self._eye(self._x, self._z) + self._hop
        pose = np.array([self._x, eye, self._z, self._yaw, 0.0], np.float32)
        return Observation(frame=self.render(pose), pose=pose)
