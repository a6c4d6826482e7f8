"""Training examples of a video model: windows of encoded videos, of which only what a drawn step sees is read."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from millivid.data import LatentDataset
from millivid.diffusion.actions import Actions
from millivid.diffusion.odometry import dead_reckon
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.rollout import Chunk, StepTokens

Odometry = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A step's tokens in a window of a video: latents as stored, the window's actions, and the example's random draws.

    t: a time for each copy of the targets.
    """

    x: Float[Tensor, "token c"]
    step: int
    actions: Int[Tensor, " frame"] | Float[Tensor, "frame action"]
    t: tuple[float, ...]
    dropped: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows side by side: latents per token, action and pose per cell, and the draws per example.

    group: the sampling group of each example's step.
    """

    x: Float[Tensor, "batch token c"]
    tokens: TokenBatch
    group: Int[Tensor, " batch"]
    action: Actions
    pose: Float[Tensor, "batch cell 3"] | None
    t: Float[Tensor, "batch *copies"]
    dropped: Bool[Tensor, " batch"]
    seeds: tuple[int, ...]

    def pin_memory(self) -> "WindowBatch":
        """The same where a GPU can fetch it by itself; the data loader asks for this."""
        return replace(self, x=self.x.pin_memory(), tokens=self.tokens.pin_memory())


class WindowExamples:
    """Windows as long as a chunk, of the training videos that are; a video of n times that length counts n times.

    tokens: of each step, as the model reads them. Where an example's window begins is drawn from its share of the video, which
    step of the chunk it shows by the chunk's probabilities, or by `group_shares`: how often each of its sampling groups is to
    be shown. copies: of its targets, each with a time of its own in another part of [0, 1].
    """

    def __init__(
        self,
        dataset: LatentDataset,
        chunk: Chunk,
        tokens: Sequence[StepTokens],
        context_dropout: float,
        odometry: Odometry | None,
        copies: int = 1,
        group_shares: Sequence[float] | None = None,
    ) -> None:
        self.dataset, self.chunk, self.context_dropout, self.odometry = dataset, chunk, context_dropout, odometry
        self.copies, self.tokens = copies, tokens
        self.ids = long_enough(dataset, chunk)
        self.shares = [dataset.num_frames(id) // chunk.num_frames for id in self.ids]
        self.ends = list(accumulate(self.shares))
        self.reads = [_Read.of(step, dataset.index.grids) for step in tokens]
        self.cumulative = torch.from_numpy(np.cumsum(step_probabilities(chunk, group_shares)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def example(self, index: int, generator: torch.Generator) -> Window:
        """A window of the video that the index belongs to. Raises DatasetError where it cannot be read."""
        video = bisect_right(self.ends, index)
        id, shares = self.ids[video], self.shares[video]
        share = index - self.ends[video] + shares
        place, chosen, time, dropped, *times = torch.rand(
            3 + self.copies, dtype=torch.float64, generator=generator
        ).tolist()
        starts = self.dataset.num_frames(id) - self.chunk.num_frames + 1
        first, last = share * starts // shares, (share + 1) * starts // shares
        start = first + int(place * (last - first))
        step = min(int(torch.searchsorted(self.cumulative, chosen, right=True)), len(self.tokens) - 1)
        seed = int(torch.randint(2**62, (), generator=generator))
        x = torch.from_numpy(self.reads[step].read(self.dataset, id, start))
        actions = torch.from_numpy(self.dataset.actions(id, start, start + self.chunk.num_frames))
        return Window(
            x=x,
            step=step,
            actions=actions,
            t=tuple((number + t) / self.copies for number, t in enumerate((time, *times))),
            dropped=dropped < self.context_dropout,
            seed=seed,
        )

    def collate(self, examples: Sequence[Window]) -> WindowBatch:
        """Examples as a batch; shorter sequences are padded with zeros."""
        tokens = stack_tokens([self.tokens[example.step] for example in examples])
        actions = torch.stack([example.actions for example in examples])
        poses = None if self.odometry is None else dead_reckon(actions, self.odometry)
        return WindowBatch(
            x=pad_sequence([example.x for example in examples], batch_first=True),
            tokens=tokens,
            group=torch.tensor([self.chunk.steps[example.step].group for example in examples]),
            action=_of_cells(actions, tokens),
            pose=None if poses is None else _of_cells(poses, tokens),
            t=torch.tensor([example.t for example in examples], dtype=torch.float32).squeeze(1),
            dropped=torch.tensor([example.dropped for example in examples]),
            seeds=tuple(example.seed for example in examples),
        )


def step_probabilities(chunk: Chunk, group_shares: Sequence[float] | None) -> NDArray[np.float64]:
    """How often each step is shown. Raises ValueError for another number of shares than there are groups."""
    _, group = np.unique([step.group for step in chunk.steps], return_inverse=True)
    equal, count = chunk.step_probabilities, int(group.max()) + 1
    if group_shares is None:
        return equal
    if len(group_shares) != count:
        raise ValueError(
            f"group_shares is {list(group_shares)}; the schedule has {count} sampling groups, give a share of each, or null"
        )
    return equal * count * (np.array(group_shares) / np.sum(group_shares))[group]


def _of_cells(values: Tensor, tokens: TokenBatch) -> Tensor:
    """Each cell's of values per frame."""
    return values[torch.arange(len(values)).unsqueeze(1), tokens.cell_frame]


@dataclass(frozen=True)
class _Read:
    """What a step reads of a window: spans of frames per level, and which of the tokens read each of its tokens is.

    order is None where the tokens are read in order.
    """

    spans: Mapping[int, tuple[tuple[int, int], ...]]
    order: NDArray[np.int64] | None

    @classmethod
    def of(cls, step: StepTokens, grids: Sequence[tuple[int, int]]) -> "_Read":
        spans: dict[int, tuple[tuple[int, int], ...]] = {}
        order, before = np.zeros(len(step), np.int64), 0
        for level in np.unique(step.level).tolist():
            at_level = step.level == level
            frames = np.unique(step.frame[at_level])
            breaks = np.flatnonzero(np.diff(frames) > 1) + 1
            spans[level] = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(frames, breaks))
            height, width = grids[level]
            place = np.searchsorted(frames, step.frame[at_level])
            order[at_level] = before + (place * height + step.row[at_level]) * width + step.column[at_level]
            before += len(frames) * height * width
        in_order = before == len(step) and bool((order == np.arange(before)).all())
        return cls(spans, None if in_order else order)

    def read(self, dataset: LatentDataset, video: str, start: int) -> NDArray[np.float16]:
        """The step's tokens in a window that begins at a frame of a video: float16 [token, channel]."""
        spans = {level: [(start + a, start + b) for a, b in runs] for level, runs in self.spans.items()}
        levels = dataset.read_spans(video, spans)
        tokens = np.concatenate([levels[level].reshape(-1, dataset.index.channels) for level in self.spans])
        return tokens if self.order is None else tokens[self.order]


def long_enough(dataset: LatentDataset, chunk: Chunk) -> list[str]:
    """The training videos that have as many frames as a chunk."""
    return [id for id in dataset.index.splits.get("train", ()) if dataset.num_frames(id) >= chunk.num_frames]
