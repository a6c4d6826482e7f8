"""Generated mazes, drawn by ViZDoom with the textures of Freedoom."""

from .config import VizdoomConfig
from .world import VizdoomWorld

__all__ = ["VizdoomConfig", "VizdoomWorld"]
