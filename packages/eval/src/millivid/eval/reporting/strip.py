"""The picture strip: truth and runs as rows, moments as columns (strip.png)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..results import Results
from ..videos import VideoSource
from .drawing import canvas, factor_for, fit_text, font, upscale
from .palette import CONTEXT_COLOUR, Look, Theme

CANDIDATES = (1, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
TILE = 128
GAP = 6
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
    blocks = [_block(runs, reference, looks, id, columns, heads, theme) for id in ids]
    width = max(block.width for block in blocks) + 2 * MARGIN
    height = sum(block.height for block in blocks) + MARGIN * (len(blocks) + 1)
    image, _ = canvas(width, height, theme.background)
    top = MARGIN
    for block in blocks:
        image.paste(block, (MARGIN, top))
        top += block.height + MARGIN
    image.save(path, format="PNG")


def _block(
    runs: Mapping[str, VideoSource],
    reference: VideoSource,
    looks: Sequence[Look],
    id: str,
    columns: list[int],
    heads: list[str],
    theme: Theme,
) -> Image.Image:
    rows = [("truth", theme.ink, reference), *((look.name, look.colour, runs[look.name]) for look in looks)]
    tiles = [[source.read(id, c, c + 1)[0] for c in columns] for _, _, source in rows]
    factor = factor_for(tiles[0][0].shape[0], TILE)
    height, width = (side * factor for side in tiles[0][0].shape[:2])
    small, plain, bold = font(14), font(15), font(14)
    context_gap = 10 if heads[0] == "context" else 0
    lefts = [LABELS + i * (width + GAP) + (context_gap if i else 0) for i in range(len(columns))]
    header = 52
    image, draw = canvas(lefts[-1] + width, header + len(rows) * (height + GAP) - GAP, theme.background)
    draw.text((0, 2), fit_text(draw, f"video {id}", bold, image.width), font=bold, fill=theme.muted)
    for left, head in zip(lefts, heads, strict=True):
        colour = CONTEXT_COLOUR if head == "context" else theme.ink
        draw.text((left + width / 2, header - 12), head, font=plain, fill=theme.ink, anchor="ms")
        if head == "context":
            draw.rectangle((left, header - 5, left + width - 1, header - 3), fill=colour)
    for row, ((name, colour, _), frames) in enumerate(zip(rows, tiles, strict=True)):
        top = header + row * (height + GAP)
        draw.rectangle((0, top + height // 2 - 9, 3, top + height // 2 + 9), fill=colour)
        text = fit_text(draw, name, small, LABELS - 22)
        draw.text((12, top + height / 2), text, font=small, fill=theme.ink, anchor="lm")
        for left, frame in zip(lefts, frames, strict=True):
            image.paste(Image.fromarray(upscale(frame, factor)), (left, top))
    return image
