"""An inspection as text, for a terminal of 100 columns."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from .findings import Inspection, Row
from .report import facts, sections

WIDTH = 100
NAME = 32  # characters of a name in a table, at most
BAR = 30  # characters of the longest bar


def inspection_text(inspection: Inspection) -> str:
    """All that was found, in aligned columns of at most 100 characters; the flags come last, where a terminal stops."""
    lines = [f"{inspection.name}  ({inspection.folder})", ""]
    for name, value in facts(inspection):
        lines += _wrap(value, f"  {name:<9}", max_lines=4)
    for section in sections(inspection):
        lines += ["", section.title, *(line for sentence in section.sentences for line in _wrap(sentence, "  "))]
        lines += _table([section.heads, *section.rows], section.bars) if section.heads else []
        lines += [f"  {title[:NAME]:<{NAME}}  {sparkline(histogram)}" for title, _, histogram in section.charts]
    problems = sum(flag.severity == "problem" for flag in inspection.flags)
    counts = ((problems, "problem"), (len(inspection.flags) - problems, "remark"))
    found = " and ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in counts if count)
    lines += ["", f"{found} found:" if found else "No problems found."]
    for flag in inspection.flags:
        lines += _wrap(flag.sentence, "  ! " if flag.severity == "problem" else "  - ")
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines) + "\n"


def sparkline(histogram: Row) -> str:
    """A histogram as one character per bin; a dot where there is nothing."""
    most = max(histogram["counts"]) or 1
    return "".join("·▁▂▃▄▅▆▇█"[-(-count * 8 // most)] for count in histogram["counts"])


def _table(rows: Sequence[Sequence[str]], shares: Sequence[float]) -> list[str]:
    """Columns with their heads, the first aligned to the left and the others to the right, and a bar for each share."""
    cells = [[row[0][:NAME], *row[1:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    bars = ["", *("█" * max(round(share * BAR), share > 0) for share in shares)]
    return [
        "  ".join([f"  {row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:]), bar]).rstrip()
        for row, bar in zip_longest(cells, bars, fillvalue="")
    ]


def _wrap(text: str, first: str, max_lines: int | None = None) -> list[str]:
    """Lines that begin below the text of the first."""
    indent = " " * len(first)
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=indent, max_lines=max_lines, break_on_hyphens=False
    )
