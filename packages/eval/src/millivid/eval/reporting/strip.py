"""Picture strips, truth and runs as rows: moments of a video (strip.png), views that came back (recall.png)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..results import Results
from ..revisits import Seen
from ..videos import Frames, VideoSource
from .drawing import canvas, factor_for, fit_text, font, upscale
from .palette import CONTEXT_COLOUR, Look, Theme

CANDIDATES = (1, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
TILE = 128
GAP = 6
AWAY = 64
"""Frames that a view has been out of sight for, to be shown as one that came back."""
LABELS = 144
MARGIN = 20


def strip_frames(count: int, columns: int = 7) -> tuple[int, ...]:
    """Generated frames (from 1) to show of `count`: first, last, and round numbers between; at most `columns`."""
    candidates = [c for c in CANDIDATES if c <= count]
    if candidates[-1] < count:
        candidates.append(count)
    if len(candidates) > columns:
        candidates = [candidates[i] for i in np.linspace(0, len(candidates) - 1, columns).round().astype(int)]
    return tuple(candidates)


def draw_strip(
    results: Results,
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    looks: Sequence[Look],
    ids: Sequence[str],
    path: Path,
    theme: Theme,
) -> None:
    """Write the strip of `ids`, one block of rows per video. The first column is the last context frame, if any."""
    picks = strip_frames(results.num_frames)
    columns = [results.start + pick - 1 for pick in picks]
    heads = [f"+{pick}" for pick in picks]
    if results.start > 0:
        columns, heads = [results.start - 1, *columns], ["context", *heads]
    sources = [("truth", theme.ink, reference), *((look.name, look.colour, runs[look.name]) for look in looks)]
    blocks = [
        _block([_row(*row, [(id, c) for c in columns]) for row in sources], heads, f"video {id}", theme) for id in ids
    ]
    width = max(block.width for block in blocks) + 2 * MARGIN
    height = sum(block.height for block in blocks) + MARGIN * (len(blocks) + 1)
    image, _ = canvas(width, height, theme.background)
    top = MARGIN
    for block in blocks:
        image.paste(block, (MARGIN, top))
        top += block.height + MARGIN
    image.save(path, format="PNG")


def draw_recall(
    results: Results,
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    looks: Sequence[Look],
    ids: Sequence[str],
    path: Path,
    theme: Theme,
    away: int = AWAY,
) -> bool:
    """Write what became of the first view that came back to each video: the context's frame of it, truth and runs beneath.

    Columns are those of `ids` that have such a view (see `returned`). Returns whether there are any; without, nothing is
    written.
    """
    assert results.memory is not None
    found = [(id, moment) for id in ids if (moment := returned(results.memory.seen[id], away)) is not None]
    if not found:
        return False
    now = [(id, results.start + row) for id, (row, _) in found]
    before = [(id, frame - gap) for (id, frame), (_, (_, gap)) in zip(now, found, strict=True)]
    rows = [
        _row("in the context", CONTEXT_COLOUR, reference, before),
        _row("truth", theme.ink, reference, now),
        *(_row(look.name, look.colour, runs[look.name], now) for look in looks),
    ]
    block = _block(rows, [f"+{row + 1}" for _, (row, _) in found], "", theme)
    image, _ = canvas(block.width + 2 * MARGIN, block.height + 2 * MARGIN, theme.background)
    image.paste(block, (MARGIN, MARGIN))
    image.save(path, format="PNG")
    return True


def returned(seen: Seen, away: int = AWAY) -> tuple[int, int] | None:
    """(row, gap) of the first generated frame whose view the context shows and nothing else in the `away` frames before it.

    The view was last seen in the context, not in what was generated since. None where there is no such frame.
    """
    rows = np.flatnonzero(seen.recall & (seen.gap > np.arange(len(seen.gap))) & (seen.gap >= away))
    return (int(rows[0]), int(seen.gap[rows[0]])) if len(rows) else None


@dataclass(frozen=True, kw_only=True)
class _Row:
    name: str
    colour: str
    tiles: Sequence[Frames]


def _row(name: str, colour: str, source: VideoSource, cells: Sequence[tuple[str, int]]) -> _Row:
    """cells: ids and frames."""
    return _Row(name=name, colour=colour, tiles=[source.read(id, c, c + 1)[0] for id, c in cells])


def _block(rows: Sequence[_Row], heads: Sequence[str], caption: str, theme: Theme) -> Image.Image:
    factor = factor_for(rows[0].tiles[0].shape[0], TILE)
    height, width = (side * factor for side in rows[0].tiles[0].shape[:2])
    small, plain = font(14), font(15)
    context_gap = 10 if heads[0] == "context" else 0
    lefts = [LABELS + i * (width + GAP) + (context_gap if i else 0) for i in range(len(heads))]
    header = 52 if caption else 32
    image, draw = canvas(lefts[-1] + width, header + len(rows) * (height + GAP) - GAP, theme.background)
    draw.text((0, 2), fit_text(draw, caption, small, image.width), font=small, fill=theme.muted)
    for left, head in zip(lefts, heads, strict=True):
        draw.text((left + width / 2, header - 12), head, font=plain, fill=theme.ink, anchor="ms")
        if head == "context":
            draw.rectangle((left, header - 5, left + width - 1, header - 3), fill=CONTEXT_COLOUR)
    for number, row in enumerate(rows):
        top = header + number * (height + GAP)
        draw.rectangle((0, top + height // 2 - 9, 3, top + height // 2 + 9), fill=row.colour)
        text = fit_text(draw, row.name, small, LABELS - 22)
        draw.text((12, top + height / 2), text, font=small, fill=theme.ink, anchor="lm")
        for left, frame in zip(lefts, row.tiles, strict=True):
            image.paste(Image.fromarray(upscale(frame, factor)), (left, top))
    return image
