"""Worlds to remember, the agent that wanders in them, and the recorder."""

from .agent import ACTION_NAMES, chamfer_distance, draw_actions, draw_test_actions, flat_path
from .record_config import RecordConfig, world_seed
from .recorder import record
from .voxel import Surfaces, VoxelConfig, VoxelWorld
from .world import Observation, World, WorldConfig, make_world, world_class, world_names

__all__ = [
    "ACTION_NAMES", "Observation", "RecordConfig", "Surfaces", "VoxelConfig", "VoxelWorld", "World",
    "WorldConfig", "chamfer_distance", "draw_actions", "draw_test_actions", "flat_path", "make_world", "record",
    "world_class", "world_names", "world_seed",
]  # fmt: skip
