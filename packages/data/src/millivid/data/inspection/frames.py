"""Which frames of which videos are decoded, the same ones every time, and what they look like."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ..clips import ClipDataset
from ..video import GROUP_OF_PICTURES
from .tables import Table, Travel, at_rest, path_steps

LEAST_PER_SPLIT = 25  # videos of each split, if it has as many: a few test videos shall not be overlooked among many
BLACK_BRIGHTNESS = 8.0  # mean brightness (0 to 255) below which a frame is black
BLANK_DEVIATION = 2.0  # deviation of every colour channel (of 255) below which a frame, if not black, is of one colour
STILL_DIFFERENCE = 0.25  # mean difference (of 255) up to which neighbours are the same; lossy coding alone makes some
TILE = 96  # pixels of the longer side of a frame that the page shows, at most
SIGNATURE = 16  # pixels of the longer side of a frame that is compared with other videos, at most
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
COLOURS, SQUARES = ["red", "green", "blue"], ["red_squared", "green_squared", "blue_squared"]

Frames = NDArray[np.uint8]


def even(ids: Sequence[str], count: int) -> list[str]:
    """`count` of the ids, evenly spread, the first and the last among them; all if there are no more."""
    if len(ids) <= count:
        return list(ids)
    return [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]


def sample_videos(groups: Mapping[str, Sequence[str]], count: int, least: int = LEAST_PER_SPLIT) -> list[str]:
    """About `count` ids, evenly from each group by its share, yet at least `least` of each."""
    total = sum(map(len, groups.values()))
    if total <= count:
        return [video for ids in groups.values() for video in ids]
    fewest = max(1, min(least, count // len(groups)))
    return [video for ids in groups.values() for video in even(ids, max(fewest, round(count * len(ids) / total)))]


def sample_moments(frames: int, count: int) -> list[int]:
    """`count` frames, evenly spread, each with a neighbour after it where the video has two frames.

    Moved to the key frames before them where that keeps them apart, which saves nearly all of the decoding.
    """
    last = max(frames - 2, 0)
    moments = sorted({int(i) for i in np.linspace(0, last, min(count, last + 1)).round()})
    keys = sorted({moment // GROUP_OF_PICTURES * GROUP_OF_PICTURES for moment in moments})
    return keys if len(keys) == len(moments) else moments


class FrameSample(NamedTuple):
    """Some frames of one video."""

    moments: pd.DataFrame  # by frame: brightness, black, blank, difference to the next, colours and their squares
    tiles: Frames  # the frames, made small
    signature: Frames  # the frames, made tiny


def sample_frames(dataset: ClipDataset, video: str, moments: Sequence[int]) -> FrameSample:
    """Decode some frames of a video and the one after each. Raises DatasetError if they cannot be."""
    dataset.check(video, "videos")
    after = [moment + 1 for moment in moments if moment + 1 < dataset.num_frames(video)]
    frames = dataset.frames(video, [*moments, *after])
    here, there, wide = frames[: len(moments)], frames[len(moments) :], frames[: len(moments)].astype(np.float64)
    found = pd.DataFrame(index=list(moments))
    found["brightness"] = (here.astype(np.float32) @ BRIGHTNESS).mean(axis=(1, 2)).astype(float)
    found["black"] = found.brightness < BLACK_BRIGHTNESS
    found["blank"] = ~found.black & (wide.std(axis=(1, 2)).max(axis=-1) < BLANK_DEVIATION)
    difference = [np.abs(one.astype(np.int16) - two).mean() for one, two in zip(here, there, strict=False)]
    found["difference"] = pd.Series(difference, index=moments[: len(after)], dtype=float)  # a last frame has none
    found[COLOURS], found[SQUARES] = wide.mean(axis=(1, 2)), (wide**2).mean(axis=(1, 2))
    return FrameSample(found, _shrink(here, TILE), _shrink(here, SIGNATURE))


def _shrink(frames: Frames, longest: int) -> Frames:
    """Frames whose longer side has at most `longest` pixels, which are means over blocks."""
    factor = -(-max(frames.shape[1:3]) // longest)
    return np.stack([np.asarray(Image.fromarray(frame).reduce(factor)) for frame in frames])


def measure_frames(moments: pd.DataFrame, table: Table, travel: Travel | None) -> dict[str, float]:
    """Numbers of one video's frames; which neighbours should differ, its table knows."""
    moving = moments.difference.notna() & ~(moments.black | moments.blank)  # the others have flags of their own
    if travel and (travel.step > 0 or travel.turn > 0):
        moving &= ~at_rest(path_steps(table.path), travel).reindex(moments.index + 1, fill_value=False).to_numpy()
    still = moving & (moments.difference <= STILL_DIFFERENCE)
    means, sums = moments[["brightness", "difference"]].mean(), moments[["black", "blank"]].sum()
    sampled = {"sampled_frames": len(moments), "sampled_pairs": moments.difference.count()}
    return {**sampled, **means, **sums, "moving_pairs": moving.sum(), "still_pairs": still.sum()}


def summarise_frames(samples: Sequence[FrameSample]) -> dict[str, Any] | None:
    """Statistics of the sampled frames of several videos."""
    if not samples:
        return None
    moments = pd.concat([one.moments for one in samples])
    mean, still = moments[COLOURS].mean(), moments.difference.dropna() <= STILL_DIFFERENCE
    std = np.sqrt((moments[SQUARES].mean().set_axis(COLOURS) - mean**2).clip(lower=0))
    colours = {"mean": mean.tolist(), "std": std.tolist()}
    shares = {**moments[["difference", "black", "blank"]].mean(), "still": still.mean()}
    return {"videos": len(samples), "frames": len(moments), **colours, **shares}
