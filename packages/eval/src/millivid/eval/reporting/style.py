"""Colours and line styles of a report: one style per run, the same in plots, videos and page."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..evaluation import Role

# Told apart by people with the common colour-vision deficiencies, and readable on white and on near-black.
RUN_COLOURS = ("#2f6df6", "#e8710a", "#0f9d76", "#a855d8", "#d6336c", "#97791a")
BOUND_COLOURS = ("#6b7480", "#9aa3ae")
BOUND_DASHES = ((6.0, 3.0), (2.0, 2.5))
CONTEXT_COLOUR = "#f2b01e"


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


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a drawing on a light or on a dark page."""

    background: str
    ink: str
    muted: str
    rule: str
    band: str


LIGHT = Theme(background="#ffffff", ink="#14171c", muted="#667080", rule="#d9dee5", band="#f3f5f8")
DARK = Theme(background="#15181d", ink="#eceff3", muted="#98a2b0", rule="#333a44", band="#1d2128")


def run_styles(roles: Mapping[str, Role]) -> tuple[RunStyle, ...]:
    """A style for each run in order."""
    styles = []
    counts = {"run": 0, "bound": 0}
    for run, role in roles.items():
        index = counts[role]
        counts[role] += 1
        if role == "bound":
            colour, dash = BOUND_COLOURS[index % len(BOUND_COLOURS)], BOUND_DASHES[index % len(BOUND_DASHES)]
            styles.append(RunStyle(name=run, role=role, colour=colour, dash=dash))
        else:
            styles.append(RunStyle(name=run, role=role, colour=RUN_COLOURS[index % len(RUN_COLOURS)]))
    return tuple(styles)
