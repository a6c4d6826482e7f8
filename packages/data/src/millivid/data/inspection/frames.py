"""What frames look like: brightness, spread, change from one to the next; black, blank and frozen ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipDataset
from .findings import Row

BLACK_BRIGHTNESS = 8.0  # mean brightness (0 to 255) below which a frame is black
BLANK_DEVIATION = 2.0  # deviation of every colour channel (of 255) below which a frame, if not black, is of one colour
STILL_DIFFERENCE = 0.25  # mean difference (of 255) up to which neighbours are the same; lossy coding alone makes some
TILE = 96  # pixels of the longer side of a frame that the page shows, at most
SIGNATURE = 16  # pixels of the longer side of a frame that is compared with other videos, at most
BINS = 32
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)

Frames = NDArray[np.uint8]


class FrameSample(NamedTuple):
    """Some frames of one video, measured; arrays are [moment] unless said otherwise."""

    moments: Sequence[int]
    tiles: Frames  # the frames, made small
    signature: Frames  # the frames, made tiny
    black: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    brightness: NDArray[np.float64]
    difference: NDArray[np.float64]  # to the frame after each; empty for a video of one frame
    sums: NDArray[np.float64]  # over all pixels, of ones, of the channels, and of their squares: [3, channel]
    histogram: Row  # of the pixels' brightness


def sample_frames(dataset: ClipDataset, video: str, moments: Sequence[int]) -> FrameSample:
    """Decode some frames of a video and the one after each. Raises DatasetError if they cannot be."""
    after = [moment + 1 for moment in moments if moment + 1 < dataset.num_frames(video)]
    frames = dataset.frames(video, [*moments, *after])
    here, there = frames[: len(moments)], frames[len(moments) :]
    light, wide = here.astype(np.float32) @ BRIGHTNESS, here.astype(np.float64)
    mean = light.mean(axis=(1, 2))
    black = mean < BLACK_BRIGHTNESS
    blank = ~black & (wide.std(axis=(1, 2)).max(axis=-1) < BLANK_DEVIATION)
    pairs = zip(here, there, strict=False)
    difference = np.array([np.abs(one.astype(np.int16) - two).mean() for one, two in pairs], np.float64)
    sums = np.stack([(wide**power).sum(axis=(0, 1, 2)) for power in range(3)])
    tiles, signature = shrink(here, TILE), shrink(here, SIGNATURE)
    brightness, counts = mean.astype(np.float64), histogram(light, BINS, (0, 256))
    return FrameSample(moments, tiles, signature, black, blank, brightness, difference, sums, counts)


def shrink(frames: Frames, longest: int) -> Frames:
    """Frames whose longer side has at most `longest` pixels: means over blocks of pixels, what is left over cut off."""
    height, width = frames.shape[1:3]
    factor = -(-max(height, width) // longest)
    down, right = min(factor, height), min(factor, width)
    high, wide = height // down, width // right
    cut = frames[:, : high * down, : wide * right].reshape(len(frames), high, down, wide, right, 3)
    return cut.mean(axis=(2, 4)).round().astype(np.uint8)


def summarise_frames(samples: Sequence[FrameSample]) -> Row | None:
    """Statistics of the sampled frames of several videos."""
    if not samples:
        return None
    pixels, sums, squares = np.sum([one.sums for one in samples], axis=0)
    mean, difference = sums / pixels, np.concatenate([one.difference for one in samples])
    found: Row = {
        "videos": len(samples),
        "frames": sum(len(one.moments) for one in samples),
        "mean": mean.tolist(),
        "std": np.sqrt(np.maximum(squares / pixels - mean**2, 0)).tolist(),
        "brightness": {
            "edges": samples[0].histogram["edges"],
            "counts": np.sum([one.histogram["counts"] for one in samples], axis=0).tolist(),
        },
        "difference": None,
        "differences": None,
        "black": float(np.concatenate([one.black for one in samples]).mean()),
        "blank": float(np.concatenate([one.blank for one in samples]).mean()),
        "still": None,
    }
    if len(difference):
        found["difference"], found["still"] = float(difference.mean()), float((difference <= STILL_DIFFERENCE).mean())
        found["differences"] = histogram(difference, BINS, (0, max(1.0, float(difference.max()))))
    return found


def histogram(values: NDArray[Any], bins: int, limits: tuple[float, float] | None = None) -> Row:
    """Counts of finite values in bins of equal width, from the lowest to the highest unless limits are given."""
    counts, edges = np.histogram(values.astype(np.float64), bins=bins, range=limits)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
