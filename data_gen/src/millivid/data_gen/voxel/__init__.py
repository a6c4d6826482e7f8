"""The embedded block world."""

from .config import VoxelConfig
from .surfaces import Surfaces
from .world import VoxelWorld

__all__ = ["Surfaces", "VoxelConfig", "VoxelWorld"]
