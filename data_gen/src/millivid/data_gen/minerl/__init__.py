"""Minecraft, played through MineRL 0.4.4.

Not run against the game here: tested against a stand-in with MineRL's documented keys and shapes.
"""

from .config import MinerlConfig
from .world import MinerlWorld

__all__ = ["MinerlConfig", "MinerlWorld"]
