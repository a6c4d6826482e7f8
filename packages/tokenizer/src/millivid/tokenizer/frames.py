"""Training examples of a tokenizer: single frames of clips, from memory or straight from the videos."""

import sys
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from tqdm import tqdm

from millivid.data import ClipDataset, DatasetError

Example = tuple[Tensor, int, int]
"""A frame, uint8 (height, width, 3), the level that it is decoded from, and a seed for noise."""


class FrameExamples:
    """The frames of training videos, each with a level drawn for it.

    pool: frames held in memory; None to decode each from its video when it is drawn.
    """

    def __init__(self, dataset: ClipDataset, num_levels: int, pool: UInt8[Tensor, "frame h w 3"] | None = None) -> None:
        self.dataset, self.num_levels, self.pool = dataset, num_levels, pool
        self.ids = dataset.index.splits.get("train", ())
        self.ends = list(accumulate(dataset.num_frames(id) for id in self.ids))

    def __len__(self) -> int:
        if self.pool is not None:
            return len(self.pool)
        return self.ends[-1] if self.ends else 0

    def example(self, index: int, generator: torch.Generator) -> Example:
        """A frame, a level and a seed. Raises DatasetError where its video cannot be read."""
        level = int(torch.randint(self.num_levels, (), generator=generator))
        seed = int(torch.randint(2**62, (), generator=generator))
        if self.pool is not None:
            return self.pool[index], level, seed
        video = bisect_right(self.ends, index)
        id = self.ids[video]
        frame = index - self.ends[video] + self.dataset.num_frames(id)
        return torch.from_numpy(self.dataset.frames(id, [frame])[0]), level, seed

    def collate(
        self, examples: Sequence[Example]
    ) -> tuple[UInt8[Tensor, "batch 3 h w"], Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Frames, levels and seeds side by side."""
        frames, levels, seeds = zip(*examples, strict=True)
        return torch.stack(frames).permute(0, 3, 1, 2), torch.tensor(levels), torch.tensor(seeds)


def load_pool(
    dataset: ClipDataset, ids: Sequence[str], count: int, skip_unreadable: bool = False, hidden: bool = False
) -> UInt8[Tensor, "frame h w 3"]:
    """About `count` frames, evenly spread over the videos.

    Raises DatasetError for a video that cannot be read; with skip_unreadable, says so and goes on, unless none can be read.
    """
    stride = max(1, -(-sum(dataset.num_frames(id) for id in ids) // count))
    frames: list[np.ndarray] = []
    with tqdm(ids, desc="read frames", unit="video", disable=hidden) as bar:
        for id in bar:
            try:
                frames.append(dataset.read(id).frames[::stride])
            except DatasetError as error:
                if not skip_unreadable or (id == ids[-1] and not frames):
                    raise
                tqdm.write(f"passed over: {error}", file=sys.stderr)
    return torch.from_numpy(np.concatenate(frames))
