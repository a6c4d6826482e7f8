"""Colours and line styles of a report: one look per run, the same in plots, videos and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import EvaluationError

Role = Literal["run", "bound"]

# Told apart by people with the common colour-vision deficiencies, and readable on white and on near-black.
RUN_COLOURS = ("#2f6df6", "#e8710a", "#0f9d76", "#a855d8", "#d6336c", "#97791a")
BOUND_COLOURS = ("#6b7480", "#9aa3ae")
BOUND_DASHES = ((6.0, 3.0), (2.0, 2.5))
CONTEXT_COLOUR = "#f2b01e"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one run is drawn. `dash`: lengths of dash and gap, empty for a solid line."""

    name: str
    role: Role
    colour: str
    dash: tuple[float, ...]


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


def looks(runs: Sequence[str], roles: Mapping[str, str] | None) -> tuple[Look, ...]:
    """A look for each run in order; runs that `roles` does not name are plain runs.

    Raises EvaluationError for a role of no run, and for roles other than "run" and "bound".
    """
    roles = dict(roles or {})
    for run, role in roles.items():
        if run not in runs:
            raise EvaluationError(f"roles name {run!r}, which is not a run; these are: {', '.join(runs)}")
        if role not in ("run", "bound"):
            raise EvaluationError(f"role of {run!r} is {role!r}; it must be 'run' or 'bound'")
    result = []
    counts = {"run": 0, "bound": 0}
    for run in runs:
        role = roles.get(run, "run")
        index = counts[role]
        counts[role] += 1
        if role == "bound":
            colour, dash = BOUND_COLOURS[index % len(BOUND_COLOURS)], BOUND_DASHES[index % len(BOUND_DASHES)]
            result.append(Look(name=run, role="bound", colour=colour, dash=dash))
        else:
            result.append(Look(name=run, role="run", colour=RUN_COLOURS[index % len(RUN_COLOURS)], dash=()))
    return tuple(result)
