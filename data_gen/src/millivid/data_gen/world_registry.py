"""Worlds by name: found through the entry points "millivid.worlds", so that other packages can add their own."""

import difflib
from importlib.metadata import entry_points
from typing import Any

from millivid.command import build

from .world import World

ENTRY_POINTS = "millivid.worlds"


def world_names() -> list[str]:
    """Names of all worlds that are installed."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def world_class(name: str) -> type[World]:
    """The class of a world, by its name.

    Raises ValueError where no world has this name, and names the closest one, or where its config has another name.
    """
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        found: type[World] = entry.load()
        if (called := getattr(found.Config, "world", None)) != name:
            raise ValueError(
                f"world {name!r} ({entry.value}): its config calls it {called!r}; give it world = {name!r}"
            )
        return found
    names = world_names()
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "is its package installed?"
    raise ValueError(f"there is no world {name!r}; {hint} Known: {', '.join(names) or 'none'}")


def make_world(name: str, **settings: Any) -> World:
    """Make a world by its name, one of `world_names`.

    settings: the world's own; for ``voxel`` those of `VoxelConfig`. Raises ValueError where no world has this name, or it
    has no such setting, or a value is out of range; the message names the closest one.
    """
    found = world_class(name)
    return found(build(found.Config, settings))
