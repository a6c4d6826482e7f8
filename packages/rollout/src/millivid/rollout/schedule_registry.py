"""Schedules by name: the built-in ones, and those that other packages declare as entry points."""

import difflib
import inspect
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .baselines import FramePack, FramePackMirrored, FullResolution
from .checks import ScheduleError
from .millivid import MilliVid
from .schedule import Schedule
from .upscaling import RolloutUpscale, Upscale

GROUP = "millivid.schedules"

# Also declared as entry points of this distribution; named here so that they work from a bare source tree.
BUILT_IN: dict[str, type[Schedule]] = {
    cls.name: cls for cls in (MilliVid, FullResolution, FramePack, FramePackMirrored, RolloutUpscale, Upscale)
}


def schedule_names() -> tuple[str, ...]:
    """The names that `make_schedule` knows, sorted. Nothing is imported, so a broken third-party one is listed too."""
    return tuple(sorted(BUILT_IN.keys() | {entry.name for entry in entry_points(group=GROUP)}))


def make_schedule(name: str, **settings: Any) -> Schedule:
    """Build a schedule from its name and settings, as `Schedule.settings` gives them; lists stand for tuples.

    Raises ScheduleError for an unknown name or setting (with the closest known one), for a missing setting, for
    settings that the schedule refuses, and for an entry point that cannot be used (naming its distribution).
    """
    cls = _find(name)
    known = [field for field in fields(cls) if field.init]  # type: ignore[arg-type]
    names = [field.name for field in known]
    for setting in settings:
        if setting not in names:
            raise ScheduleError(f"schedule {name!r} has no setting {setting!r}{_closest(setting, names)}")
    missing = [
        field.name
        for field in known
        if field.name not in settings and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ScheduleError(f"schedule {name!r} needs {', '.join(missing)}; its settings are {', '.join(names)}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})


def _find(name: str) -> type[Schedule]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = {entry.value: entry for entry in entry_points(group=GROUP) if entry.name == name}
    if not found:
        raise ScheduleError(f"there is no schedule {name!r}{_closest(name, schedule_names())}")
    if len(found) > 1:
        owners = " and ".join(sorted(_describe(entry) for entry in found.values()))
        raise ScheduleError(f"schedule {name!r} is declared by {owners}; uninstall one, or import its class directly")
    return _load(next(iter(found.values())))


def _load(entry: EntryPoint) -> type[Schedule]:
    try:
        cls = entry.load()
    except Exception as error:  # whatever a third-party module raises while it is imported
        raise ScheduleError(
            f"schedule {entry.name!r} of {_describe(entry)} cannot be imported: {type(error).__name__}: {error}; "
            f"repair or uninstall that distribution, all other schedules work"
        ) from error
    if not (inspect.isclass(cls) and issubclass(cls, Schedule) and is_dataclass(cls)):
        raise ScheduleError(
            f"schedule {entry.name!r} of {_describe(entry)} is {cls!r}; expected a dataclass that subclasses "
            f"millivid.rollout.Schedule"
        )
    if getattr(cls, "name", None) != entry.name:
        raise ScheduleError(
            f"schedule {entry.name!r} of {_describe(entry)} calls itself {getattr(cls, 'name', None)!r}; expected the "
            f"class attribute `name` to equal the entry point's name, so that saved settings are found again"
        )
    return cls


def _describe(entry: EntryPoint) -> str:
    distribution = f"distribution {entry.dist.name!r}" if entry.dist else "an unnamed distribution"
    return f"{distribution} ({entry.value})"


def _closest(word: object, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else ";") + f" Known: {', '.join(known)}"
