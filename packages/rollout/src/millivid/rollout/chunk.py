"""A chunk: the validated sequence of steps that writes the next frames of a video."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import ScheduleError, check_integer, check_tokens_per_level
from .steps import Role, Step


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The steps that write a chunk of video, checked when built.

    steps: run in this order; all have the same [level, frame] shape.
    tokens_per_level: tokens per frame, one number per row of a step's roles, finest first.
    target_start: frames before it are given; those from it on are written by the steps.
    num_clipped_frames: frames written at the end that are not kept.
    pads: steps may have fewer tokens than `num_tokens`; a batch of them must then mask the padding as keys.
    rewrites: a cell may be written more than once; the last time counts.

    Raises ScheduleError when steps differ in tokens though `pads` is false, when a cell is read before anything has
    written it, when a kept cell is not written, or is written twice though `rewrites` is false.
    """

    steps: tuple[Step, ...]
    tokens_per_level: tuple[int, ...]
    target_start: int
    num_clipped_frames: int = 0
    pads: bool = False
    rewrites: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "tokens_per_level", check_tokens_per_level(self.tokens_per_level))
        _check_shapes(self)
        _check_frames(self)
        _check_tokens(self)
        _check_order(self)

    @property
    def num_levels(self) -> int:
        """Rows of every step's roles."""
        return self.steps[0].num_levels

    @property
    def num_frames(self) -> int:
        """Frames that the chunk spans, given and written."""
        return self.steps[0].num_frames

    @property
    def num_kept_frames(self) -> int:
        """Frames that the chunk adds to the video."""
        return self.num_frames - self.target_start - self.num_clipped_frames

    @property
    def num_context_frames(self) -> int:
        """How many frames must exist before the first target: the memory horizon."""
        seen = np.any([step.roles.any(axis=0) for step in self.steps], axis=0)
        return max(0, self.target_start - int(np.argmax(seen)))

    @property
    def num_tokens(self) -> int:
        """The largest token count of any step; the count of every step unless `pads`."""
        return int(self.num_tokens_per_step.max())

    @property
    def num_tokens_per_step(self) -> NDArray[np.int64]:
        """Token count of every step, shape [step]."""
        return np.array([step.num_tokens(self.tokens_per_level) for step in self.steps], dtype=np.int64)

    @property
    def step_probabilities(self) -> NDArray[np.float64]:
        """Probability that training draws each step, shape [step]: every group has the same, shared within it."""
        _, group, size = np.unique([step.group for step in self.steps], return_inverse=True, return_counts=True)
        probabilities: NDArray[np.float64] = 1 / (len(size) * size[group])
        return probabilities

    def available(self, step_index: int) -> NDArray[np.bool_]:
        """Cells that exist just before step `step_index`, bool [level, frame]: given, or written by an earlier step."""
        available = np.zeros((self.num_levels, self.num_frames), dtype=bool)
        available[:, : self.target_start] = True
        for step in self.steps[: range(len(self.steps))[step_index]]:
            available |= step.roles == Role.TARGET
        return available


def _check_shapes(chunk: Chunk) -> None:
    if not chunk.steps:
        raise ScheduleError("the chunk has no steps; give it at least one")
    for index, step in enumerate(chunk.steps):
        if step.roles.shape != chunk.steps[0].roles.shape:
            raise ScheduleError(
                f"step {index} has roles of shape {step.roles.shape}; expected {chunk.steps[0].roles.shape} like step 0"
            )
    if len(chunk.tokens_per_level) != chunk.num_levels:
        raise ScheduleError(
            f"tokens_per_level {chunk.tokens_per_level} has {len(chunk.tokens_per_level)} levels, but the steps' roles "
            f"have {chunk.num_levels}; expected one number per row"
        )


def _check_frames(chunk: Chunk) -> None:
    check_integer(chunk.target_start, "target_start", 0)
    check_integer(chunk.num_clipped_frames, "num_clipped_frames", 0)
    if chunk.num_kept_frames < 1:
        raise ScheduleError(
            f"nothing is left of {chunk.num_frames} frames after {chunk.target_start} given and "
            f"{chunk.num_clipped_frames} clipped ones; expected at least one frame to keep"
        )


def _check_tokens(chunk: Chunk) -> None:
    counts = chunk.num_tokens_per_step
    if not chunk.pads and (counts != counts[0]).any():
        index = int(np.flatnonzero(counts != counts[0])[0])
        raise ScheduleError(
            f"step {index} has {counts[index]} tokens and step 0 has {counts[0]} at {chunk.tokens_per_level} tokens per "
            f"frame; expected the same number in every step, or pads=True and a mask over the padding"
        )


def _check_order(chunk: Chunk) -> None:
    given = np.arange(chunk.num_frames) < chunk.target_start
    kept = ~given & (np.arange(chunk.num_frames) < chunk.target_start + chunk.num_kept_frames)
    written = np.zeros((chunk.num_levels, chunk.num_frames), dtype=np.int64)
    for index, step in enumerate(chunk.steps):
        target = step.roles == Role.TARGET
        if (target & given).any():
            level, frame = np.argwhere(target & given)[0]
            raise ScheduleError(
                f"step {index} writes frame {frame} at level {level}, which is given; expected targets from frame "
                f"{chunk.target_start} on"
            )
        missing = (step.roles == Role.CONTEXT) & ~given & (written == 0)
        if missing.any():
            level, frame = np.argwhere(missing)[0]
            raise ScheduleError(
                f"step {index} reads frame {frame} at level {level}, which no step before it has written; expected "
                f"context before frame {chunk.target_start} or a step before {index} that writes it"
            )
        written += target
    read = np.any([(step.roles == Role.CONTEXT).any(axis=1) for step in chunk.steps], axis=0)
    for level in range(chunk.num_levels):
        lost = kept & (written[level] == 0)
        # A level that no step reads or writes is left alone. One that is read must be written too: what is given to
        # this chunk is what the one before has written.
        if lost.any() and (read[level] or written[level].any()):
            frame = int(np.flatnonzero(lost)[0])
            raise ScheduleError(
                f"frame {frame} at level {level} is kept but no step writes it; expected every frame from "
                f"{chunk.target_start} to {chunk.target_start + chunk.num_kept_frames - 1} to be a target at that level"
            )
    if not written[0].any():
        raise ScheduleError("no step writes level 0, the finest; expected every kept frame to be a target there")
    if not chunk.rewrites and (written > 1).any():
        level, frame = np.argwhere(written > 1)[0]
        raise ScheduleError(
            f"frame {frame} at level {level} is written {written[level, frame]} times; expected once, or rewrites=True"
        )
