"""What the frames look like: brightness, spread, change from one to the next; black, blank and frozen ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset
from .deeds import histogram
from .findings import Histogram, Pixels

BLACK_BRIGHTNESS = 8.0
"""Mean brightness (0 to 255) below which a frame is black."""
BLANK_DEVIATION = 2.0
"""Deviation of every colour channel (of 255) below which a frame, if not black, is of one colour."""
STILL_DIFFERENCE = 0.25
"""Mean absolute difference (of 255) up to which neighbouring frames are the same; lossy coding alone makes some."""
TILE = 96
"""Pixels that the longer side of a shown frame has at most."""
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
BINS = 32

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """The sampled frames of one video, measured.

    Attributes:
        moments: indices of the frames; tiles: those frames, made small.
        black, blank: bool [moment].
        difference: to the neighbour after each; empty for a video of one frame.
        brightness: mean, [moment].
        channel_sum, channel_squares: over all pixels, per channel; pixels: how many.
        histogram: of the pixels' brightness.
    """

    moments: tuple[int, ...]
    tiles: Frames
    black: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    difference: NDArray[np.float64]
    brightness: NDArray[np.float64]
    channel_sum: NDArray[np.float64]
    channel_squares: NDArray[np.float64]
    pixels: int
    histogram: Histogram


def look_at(dataset: ClipDataset, video: str, moments: Sequence[int]) -> Looked:
    """Decode some frames of a video and the one after each, and measure them. Raises DatasetError if they cannot be."""
    after = [moment + 1 for moment in moments if moment + 1 < dataset.num_frames(video)]
    frames = dataset.frames(video, [*moments, *after])
    here, there = frames[: len(moments)], frames[len(moments) :]
    light = here.astype(np.float32) @ BRIGHTNESS
    wide = here.astype(np.float64)
    mean = light.mean(axis=(1, 2))
    black = mean < BLACK_BRIGHTNESS
    pairs = zip(here, there, strict=False)
    return Looked(
        moments=tuple(moments),
        tiles=shrink(here, TILE),
        black=black,
        blank=~black & (wide.std(axis=(1, 2)).max(axis=-1) < BLANK_DEVIATION),
        difference=np.array([np.abs(one.astype(np.int16) - two).mean() for one, two in pairs], np.float64),
        brightness=mean.astype(np.float64),
        channel_sum=wide.sum(axis=(0, 1, 2)),
        channel_squares=(wide**2).sum(axis=(0, 1, 2)),
        pixels=light.size,
        histogram=histogram(light, BINS, (0, 256)),
    )


def shrink(frames: Frames, longest: int) -> Frames:
    """Frames whose longer side has at most `longest` pixels: means over blocks of pixels, what is left over cut off."""
    height, width = frames.shape[1:3]
    factor = -(-max(height, width) // longest)
    high, wide = max(1, height // factor), max(1, width // factor)
    down, right = min(factor, height), min(factor, width)
    cut = frames[:, : high * down, : wide * right].reshape(len(frames), high, down, wide, right, 3)
    return cut.mean(axis=(2, 4)).round().astype(np.uint8) if factor > 1 else frames


def sum_up(looked: Sequence[Looked]) -> Pixels | None:
    """Statistics of the sampled frames of several videos."""
    if not looked:
        return None
    pixels, frames = sum(one.pixels for one in looked), sum(len(one.moments) for one in looked)
    mean = sum((one.channel_sum for one in looked), np.zeros(3)) / pixels
    squares = sum((one.channel_squares for one in looked), np.zeros(3)) / pixels
    std = np.sqrt(np.maximum(squares - mean**2, 0))
    counts = np.sum([one.histogram.counts for one in looked], axis=0)
    difference = np.concatenate([one.difference for one in looked])
    return Pixels(
        videos=len(looked),
        frames=frames,
        mean=(float(mean[0]), float(mean[1]), float(mean[2])),
        std=(float(std[0]), float(std[1]), float(std[2])),
        brightness=Histogram(edges=looked[0].histogram.edges, counts=tuple(map(int, counts))),
        difference=float(difference.mean()) if len(difference) else None,
        differences=histogram(difference, BINS, (0, max(1.0, float(difference.max())))) if len(difference) else None,
        black=sum(int(one.black.sum()) for one in looked) / frames,
        blank=sum(int(one.blank.sum()) for one in looked) / frames,
        still=float((difference <= STILL_DIFFERENCE).mean()) if len(difference) else None,
    )
