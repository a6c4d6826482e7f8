"""Colours and line styles of a report: one style per run, the same in plots, videos and page."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..evaluation import Role

# Told apart by people with the common colour-vision deficiencies, and readable on white and on near-black.
RUN_COLOURS = ("#2f6df6", "#e8710a", "#0f9d76", "#a855d8", "#d6336c", "#97791a")
BOUND_COLOURS = ("#6b7480", "#9aa3ae")
BOUND_DASHES = ((6.0, 3.0), (2.0, 2.5))
CONTEXT_COLOUR = "#f2b01e"
# Plots and pictures have no background: they lie on light and on dark pages.
INK, RULE, BAND = "#727e8c", "#727e8c40", "#727e8c18"


@dataclass(frozen=True, kw_only=True)
class RunStyle:
    """How one run is drawn. `dash`: lengths of dash and gap, empty for a solid line."""

    name: str
    role: Role
    colour: str
    dash: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The name, for a legend."""
        return self.name if self.role == "run" else f"{self.name} (bound)"


def run_styles(roles: Mapping[str, Role]) -> tuple[RunStyle, ...]:
    """A style for each run in order."""
    runs = [run for run, role in roles.items() if role == "run"]
    bounds = [run for run, role in roles.items() if role == "bound"]

    def style(run: str) -> RunStyle:
        if roles[run] == "run":
            return RunStyle(name=run, role="run", colour=RUN_COLOURS[runs.index(run) % len(RUN_COLOURS)])
        index = bounds.index(run) % len(BOUND_COLOURS)
        return RunStyle(name=run, role="bound", colour=BOUND_COLOURS[index], dash=BOUND_DASHES[index])

    return tuple(style(run) for run in roles)
