"""Picture strips, truth and runs as rows: moments of a video (strip.png), views that came back (recall.png)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..results import Results
from ..revisits import Seen
from ..videos import Frames, VideoSource
from .style import CONTEXT_COLOUR, INK

CANDIDATES = (1, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
TILE = 128
GAP = 6
AWAY = 64
"""Frames that a view has been out of sight for, to be shown as one that came back."""
LABELS = 144
MARGIN = 20
CLEAR = f"{INK}00"
"""Of the ink's colour, so that letters have no dark edges."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Shown:
    """One source in a picture: what it is called, its colour, and its videos."""

    name: str
    colour: str
    videos: VideoSource


def strip_frames(count: int, columns: int = 7) -> tuple[int, ...]:
    """Generated frames (from 1) to show of `count`: first, last, and round numbers between; at most `columns`."""
    candidates = [c for c in CANDIDATES if c <= count]
    if candidates[-1] < count:
        candidates.append(count)
    if len(candidates) > columns:
        candidates = [candidates[i] for i in np.linspace(0, len(candidates) - 1, columns).round().astype(int)]
    return tuple(candidates)


def draw_strip(results: Results, shown: Sequence[Shown], ids: Sequence[str], path: Path) -> None:
    """Write the strip of `ids`, one block of rows per video. The first column is the last context frame, if any."""
    picks = strip_frames(results.num_frames)
    columns = [results.start + pick - 1 for pick in picks]
    heads = [f"+{pick}" for pick in picks]
    if results.start > 0:
        columns, heads = [results.start - 1, *columns], ["context", *heads]
    blocks = [
        _block([(one, [(id, column) for column in columns]) for one in shown], heads, f"video {id}") for id in ids
    ]
    _save(blocks, path)


def draw_recall(results: Results, shown: Sequence[Shown], ids: Sequence[str], path: Path, away: int = AWAY) -> bool:
    """Write what became of the first view that came back to each video: the context's frame of it, truth and runs beneath.

    Columns are those of `ids` that have such a view (see `returned`). Returns whether there are any; without, nothing is
    written.
    """
    assert results.memory is not None
    found = [(id, moment) for id in ids if (moment := returned(results.memory.seen[id], away)) is not None]
    if not found:
        return False
    now = [(id, results.start + row) for id, (row, _) in found]
    before = [(id, results.start + row - gap) for id, (row, gap) in found]
    rows = [(Shown("in the context", CONTEXT_COLOUR, shown[0].videos), before), *((one, now) for one in shown)]
    _save([_block(rows, [f"+{row + 1}" for _, (row, _) in found], "")], path)
    return True


def returned(seen: Seen, away: int = AWAY) -> tuple[int, int] | None:
    """(row, gap) of the first generated frame whose view the context shows and nothing else in the `away` frames before it.

    The view was last seen in the context, not in what was generated since. None where there is no such frame.
    """
    rows = np.flatnonzero(seen.of("recall") & (seen.gap > np.arange(len(seen.gap))) & (seen.gap >= away))
    return (int(rows[0]), int(seen.gap[rows[0]])) if len(rows) else None


def _block(rows: Sequence[tuple[Shown, Sequence[tuple[str, int]]]], heads: Sequence[str], caption: str) -> Image.Image:
    """Rows of frames, given by id and number, under their heads."""
    tiles = [[one.videos.read(id, frame, frame + 1)[0] for id, frame in cells] for one, cells in rows]
    factor = factor_for(tiles[0][0].shape[0], TILE)
    height, width = (side * factor for side in tiles[0][0].shape[:2])
    small, plain = ImageFont.load_default(14), ImageFont.load_default(15)  # the same on every machine
    context_gap = 10 if heads[0] == "context" else 0
    lefts = [LABELS + i * (width + GAP) + (context_gap if i else 0) for i in range(len(heads))]
    header = 52 if caption else 32
    image = Image.new("RGBA", (lefts[-1] + width, header + len(rows) * (height + GAP) - GAP), CLEAR)
    draw = ImageDraw.Draw(image)
    draw.text((0, 2), fit_text(caption, small, image.width), font=small, fill=INK)
    for left, head in zip(lefts, heads, strict=True):
        draw.text((left + width / 2, header - 12), head, font=plain, fill=INK, anchor="ms")
        if head == "context":
            draw.rectangle((left, header - 5, left + width - 1, header - 3), fill=CONTEXT_COLOUR)
    for number, (one, _) in enumerate(rows):
        top = header + number * (height + GAP)
        draw.rectangle((0, top + height // 2 - 9, 3, top + height // 2 + 9), fill=one.colour)
        text = fit_text(one.name, small, LABELS - 22)
        draw.text((12, top + height / 2), text, font=small, fill=INK, anchor="lm")
        for left, frame in zip(lefts, tiles[number], strict=True):
            image.paste(upscaled(frame, factor), (left, top))
    return image


def _save(blocks: Sequence[Image.Image], path: Path) -> None:
    """One block below the other."""
    width = max(block.width for block in blocks) + 2 * MARGIN
    image = Image.new("RGBA", (width, sum(block.height + MARGIN for block in blocks) + MARGIN), CLEAR)
    top = MARGIN
    for block in blocks:
        image.paste(block, (MARGIN, top))
        top += block.height + MARGIN
    image.save(path, format="PNG")


def factor_for(height: int, target: int) -> int:
    """The whole number that brings `height` nearest to `target` pixels, at least 1."""
    return max(1, round(target / height))


def upscaled(frame: Frames, factor: int) -> Image.Image:
    """A frame of which every pixel becomes factor x factor pixels; nothing is smoothed."""
    return ImageOps.scale(Image.fromarray(frame), factor, Image.Resampling.NEAREST)


def fit_text(text: str, face: Font, width: float) -> str:
    """`text`, shortened with an ellipsis to `width` pixels."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
