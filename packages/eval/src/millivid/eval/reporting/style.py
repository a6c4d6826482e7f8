"""Colours and line styles of a report: one style per run, the same in plots, videos and page."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..evaluation import Role

# Told apart by people with the common colour-vision deficiencies, and readable on white and on near-black.
LOOKS: dict[Role, Sequence[tuple[str, tuple[float, ...]]]] = {
    "run": [(colour, ()) for colour in ("#2f6df6", "#e8710a", "#0f9d76", "#a855d8", "#d6336c", "#97791a")],
    "bound": [("#6b7480", (6.0, 3.0)), ("#9aa3ae", (2.0, 2.5))],
}
"""Colours and dashes, which runs take in turn."""
CONTEXT_COLOUR = "#f2b01e"
# Plots and pictures have no background: they lie on light and on dark pages.
INK, RULE, BAND = "#727e8c", "#727e8c40", "#727e8c18"


@dataclass(frozen=True)
class RunStyle:
    """How one run is drawn. `dash`: lengths of dash and gap, empty for a solid line."""

    name: str
    role: Role
    colour: str
    dash: tuple[float, ...]

    @property
    def label(self) -> str:
        """The name, for a legend."""
        return self.name if self.role == "run" else f"{self.name} (bound)"


def run_styles(roles: Mapping[str, Role]) -> tuple[RunStyle, ...]:
    """A style for each run in order."""
    looks = {role: itertools.cycle(each) for role, each in LOOKS.items()}
    return tuple(RunStyle(run, role, *next(looks[role])) for run, role in roles.items())
