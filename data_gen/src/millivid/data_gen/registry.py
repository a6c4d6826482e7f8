"""Worlds by name: found through the entry points "millivid.worlds", so that other packages can add their own."""

import difflib
from importlib.metadata import entry_points
from typing import Any

from .world import World

ENTRY_POINTS = "millivid.worlds"


def world_names() -> list[str]:
    """Names of all worlds that are installed."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def make_world(name: str, **settings: Any) -> World:
    """Make a world by its name.

    Args:
        name: one of `world_names`.
        settings: the world's own settings; for ``voxel`` those of `VoxelConfig`.

    Raises:
        ValueError: no world has this name, or it has no such setting; the message names the closest one.
    """
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        factory = entry.load()
        world: World = factory(**settings)
        return world
    names = world_names()
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "is its package installed?"
    raise ValueError(f"there is no world {name!r}; {hint} Known: {', '.join(names) or 'none'}")


def check_settings(what: str, settings: dict[str, Any], known: list[str]) -> None:
    """Refuse settings with unknown names.

    Raises:
        ValueError: names the unknown setting and the closest known one.
    """
    for name in settings:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ValueError(f"{what} has no setting {name!r}; {hint}")
