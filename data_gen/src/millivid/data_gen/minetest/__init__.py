"""The world minetest: the game Minetest, headless, driven frame by frame by a mod of ours."""

from .config import MinetestConfig
from .world import MinetestWorld

__all__ = ["MinetestConfig", "MinetestWorld"]
