"""The embedded first-person block world: it runs anywhere and is the same for the same seed and pose."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..agent import ACTION_NAMES, FORWARD, LEFT, RIGHT, wrong_action
from ..hop import hop_heights
from ..trajectory import flat_path
from ..world import Observation, WorldConfig
from .build_scene import build_scene
from .collision import stands_free
from .columns import render_columns
from .config import VoxelConfig
from .raycast import render_rays
from .scene import Scene
from .surfaces import Surfaces, trace_surfaces

BODY_RADIUS = 0.35
"""Nothing solid and no water comes nearer to the agent than this, in blocks."""

HIGHEST_STEP, HIGHEST_JUMP = 0.6, 1.1
"""The agent walks, or jumps, up and down steps of the ground that are at most this high, in blocks."""

HOP = hop_heights()


class VoxelWorld:
    """A world of biomes with terraced hills, ponds, trees, houses and two-coloured landmarks; see `VoxelConfig`.

    A frame is a pure function of the seed, the actions given to `reset` and the pose: time stands still, and a hop is
    part of the pose.
    """

    Config: ClassVar[type[WorldConfig]] = VoxelConfig
    action_names: tuple[str, ...] = ACTION_NAMES

    def __init__(self, config: VoxelConfig | None = None) -> None:
        self.config = config or VoxelConfig()
        self.size = self.config.size
        self._scene: Scene | None = None
        self._turn = 90.0 / self.config.frames_per_action
        self._x, self._z = 0.0, 0.0
        self._frames = 0  # since the reset: when in a hop the agent is
        self._start_yaw, self._turns = 0.0, 0  # turns are counted, so that a full circle ends exactly where it began

    def reset(self, seed: int, actions: NDArray[np.int64] | None = None) -> Observation:
        """Go to the start of world number ``seed``, near its middle; the start's direction depends on the seed.

        Args:
            seed: 0 or more.
            actions: int64 [frame], what the agent will do, if known: nothing is built on its way then. Without, the
                place of the start alone stays free, and the agent may be stopped by things.

        Raises:
            ValueError: ``seed`` is negative or no integer.
        """
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0; got {seed!r}")
        rng = np.random.default_rng([int(seed), 0])
        middle = self.config.world_size / 2
        self._x, self._z = (float(value) for value in middle + rng.uniform(-4, 4, 2))
        self._start_yaw, self._turns, self._frames = float(rng.integers(360)), 0, 0
        self._scene = build_scene(int(seed), self.config, self._way(actions))
        return self._observe()

    def step(self, action: int) -> Observation:
        """Move forward or turn for one frame. Where something solid, water or the edge is in the way, the agent
        slides along it if it can, else stays.

        Raises:
            ValueError: the action is not in 0..2.
            RuntimeError: the world was not reset before.
        """
        if action == FORWARD:
            heading = math.radians(self._yaw())
            dx, dz = -math.sin(heading) * self.config.step, math.cos(heading) * self.config.step
            for way_x, way_z in ((dx, dz), (dx, 0.0), (0.0, dz)):
                if self._passable(self._x, self._z, self._x + way_x, self._z + way_z):
                    self._x, self._z = self._x + way_x, self._z + way_z
                    break
        elif action in (LEFT, RIGHT):
            self._turns += 1 if action == RIGHT else -1
            self._turns %= 4 * self.config.frames_per_action
        else:
            raise wrong_action(action)
        self._frames += 1
        return self._observe()

    def render(self, pose: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], seen from a pose [5] (x, y, z, yaw, pitch) in the current world."""
        x, y, z, yaw, pitch, angle, far = self._camera(pose)
        samples = 2 if self.config.antialias else 1
        frame = np.empty((*self.size, 3), np.uint8)
        if pitch == 0.0:
            render_columns(x, y, z, yaw, angle, far, samples, self.scene, frame)
        else:
            render_rays(x, y, z, yaw, pitch, angle, far, samples, self.scene, frame)
        return frame

    def surfaces(self, pose: NDArray[np.float32]) -> Surfaces:
        """Which piece of surface each pixel shows from a pose [5] in the current world, and how far away it is.

        One ray through the middle of each pixel. "Was this seen in that frame" is a look-up of ids: see `Surfaces`.
        """
        ids, depth = np.empty(self.size, np.int64), np.empty(self.size, np.float32)
        trace_surfaces(*self._camera(pose), self.scene, ids, depth)
        return Surfaces(ids=ids, depth=depth)

    def close(self) -> None:
        """Nothing to give back."""

    @property
    def scene(self) -> Scene:
        """The current world's arrays.

        Raises:
            RuntimeError: the world was not reset before.
        """
        if self._scene is None:
            raise RuntimeError("call reset(seed) before anything else")
        return self._scene

    def is_free(self, x: float, z: float) -> bool:
        """Whether the agent can stand at (x, z): inside the world, on land, with nothing solid within its body."""
        scene, edge = self.scene, self.config.world_size - 2.0
        if not (2.0 <= x <= edge and 2.0 <= z <= edge):
            return False
        head = self._eye(x, z) + 0.3 + (max(HOP) if self.config.jump else 0.0)  # all the same where in a hop it is
        return bool(stands_free(x, z, head, BODY_RADIUS, scene.ground, scene.water, scene.shapes))

    def _camera(self, pose: NDArray[np.float32]) -> tuple[float, float, float, float, float, float, float]:
        """Place, yaw, pitch, field of view (radians) and view distance: what the renderers take."""
        x, y, z, yaw, pitch = (float(value) for value in np.asarray(pose, np.float32))
        angle, far = math.radians(self.config.field_of_view), float(self.config.view_distance)
        return x, y, z, math.radians(yaw), math.radians(pitch), angle, far

    def _way(self, actions: NDArray[np.int64] | None) -> NDArray[np.float64]:
        start = np.array([[self._x, self._z]])
        if actions is None or len(actions) == 0:
            return start
        path = flat_path(np.asarray(actions), self.config.frames_per_action)
        angle = math.radians(self._start_yaw)
        # The path's heading 0 is the start's yaw: rotate by it (yaw 90 takes +z to -x).
        x = path[:, 0] * math.cos(angle) - path[:, 1] * math.sin(angle)
        z = path[:, 0] * math.sin(angle) + path[:, 1] * math.cos(angle)
        points = start + self.config.step * np.stack([x, z], axis=1)
        return np.concatenate([start, np.unique(points.round(3), axis=0)])

    def _passable(self, x: float, z: float, new_x: float, new_z: float) -> bool:
        if not self.is_free(new_x, new_z):
            return False
        ground, highest = self.scene.ground, HIGHEST_JUMP if self.config.jump else HIGHEST_STEP
        return abs(float(ground[int(new_x), int(new_z)]) - float(ground[int(x), int(z)])) <= highest

    def _yaw(self) -> float:
        return (self._start_yaw + self._turns * self._turn) % 360.0

    def _eye(self, x: float, z: float) -> float:
        """Height of the camera, hops apart: over the smooth ground, so that terraces do not jolt it."""
        smooth = self.scene.smooth
        i, j = int(x - 0.5), int(z - 0.5)
        u, v = x - 0.5 - i, z - 0.5 - j
        low = smooth[i, j] * (1 - v) + smooth[i, j + 1] * v
        high = smooth[i + 1, j] * (1 - v) + smooth[i + 1, j + 1] * v
        return float(low * (1 - u) + high * u) - 0.25 + self.config.eye_height

    def _observe(self) -> Observation:
        hop = HOP[self._frames % len(HOP)] if self.config.jump else 0.0
        pose = np.array([self._x, self._eye(self._x, self._z) + hop, self._z, self._yaw(), 0.0], np.float32)
        return Observation(frame=self.render(pose), pose=pose)
