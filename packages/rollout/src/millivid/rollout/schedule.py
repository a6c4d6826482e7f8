"""What a schedule is: a few settings that turn into a chunk once the pyramid's size is known."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from .chunk import Chunk


class Schedule(ABC):
    """Base class of all schedules; a subclass is a frozen, keyword-only dataclass whose fields are the settings.

    A subclass defines `name` (under which it is registered), `num_levels` (a field or a property: how many levels of
    the pyramid it uses) and `chunk`. Settings must be JSON values or tuples of them. A subclass in another package is
    found by name when that package declares it in the entry-point group "millivid.schedules".
    """

    name: ClassVar[str]

    if TYPE_CHECKING:  # at run time a subclass may make it a dataclass field, which a property here would shadow

        @property
        def num_levels(self) -> int:
            """How many levels the schedule uses, finest first."""

    @abstractmethod
    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        """The steps for a pyramid with these tokens per frame (finest first; coarser levels than used are ignored).

        Raises ScheduleError when the settings do not fit the pyramid.
        """

    def settings(self) -> dict[str, Any]:
        """The schedule as plain JSON values; `make_schedule(**settings)` gives an equal schedule."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.init}  # type: ignore[arg-type]
        return {"name": self.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
