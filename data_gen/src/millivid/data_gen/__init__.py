"""Worlds to remember, the agent that wanders in them, and the recorder."""

from .agent import ACTION_NAMES, draw_actions
from .record_config import RecordConfig
from .recorder import record
from .trajectory import chamfer_distance, draw_test_actions, flat_path
from .voxel import Surfaces, VoxelConfig, VoxelWorld
from .world import Observation, World, WorldConfig
from .world_registry import make_world, world_class, world_names

__all__ = [
    "ACTION_NAMES", "Observation", "RecordConfig", "Surfaces", "VoxelConfig", "VoxelWorld", "World",
    "WorldConfig", "chamfer_distance", "draw_actions", "draw_test_actions", "flat_path", "make_world", "record",
    "world_class", "world_names",
]  # fmt: skip
