"""Batches by step number: shuffled, split over processes, the same whatever the number of processes and workers."""

import hashlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from millivid.training.checkpoint import RunError
from millivid.training.config import TrainingConfig
from millivid.training.processes import Processes
from millivid.training.task import Examples

ROUNDS = 4
ATTEMPTS = 100
"""How many examples in a row may be unreadable before a run stops even with `unreadable=skip`."""


def random_bits(*key: int | str) -> int:
    """64 bits that depend on the key alone."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little")


def shuffled(index: int, size: int, seed: int) -> int:
    """Where `index` goes in a shuffle of `size` items, without a table of them (a Feistel network, walked in cycles).

    For every seed, a permutation of range(size). Source: Black & Rogaway 2002.
    """
    half = max(1, (size - 1).bit_length() + 1) // 2 or 1
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (random_bits(seed, turn, right) & mask)
        index = (left << half) | right
        if index < size:
            return index


def position_generator(seed: int, position: int) -> torch.Generator:
    """The random numbers of the example at a position of the whole run: a function of seed and position alone."""
    return torch.Generator().manual_seed(random_bits("example", seed, position) >> 1)


class Positions(Dataset[Any]):
    """Examples by their position in the whole run; every one once per epoch, each epoch in an order of its own.

    With `unreadable="skip"`, another one, drawn for the position, takes the place of one that cannot be read.
    """

    def __init__(self, examples: Examples, config: TrainingConfig) -> None:
        if not len(examples):
            raise RunError("there are no examples to train on; give a dataset with training videos")
        self.examples, self.config = examples, config

    def __getitem__(self, position: int) -> tuple[Any, tuple[str, ...]]:
        """An example, or None, and what could not be read on the way."""
        size = len(self.examples)
        epoch, index = divmod(position, size)
        index = shuffled(index, size, random_bits("epoch", self.config.seed, epoch))
        errors: list[str] = []
        for attempt in range(ATTEMPTS):
            try:
                return self.examples.example(index, position_generator(self.config.seed, position)), tuple(errors)
            except (ValueError, OSError) as error:
                errors.append(str(error))
                if self.config.unreadable == "raise":
                    break
                index = random_bits("instead", self.config.seed, position, attempt) % size
        return None, tuple(errors)

    def collate(self, found: Sequence[tuple[Any, tuple[str, ...]]]) -> tuple[Any, tuple[str, ...]]:
        """A batch, or None, and what could not be read on the way."""
        errors = tuple(error for _, errors in found for error in errors)
        examples = [example for example, _ in found]
        return (None if any(example is None for example in examples) else self.examples.collate(examples)), errors


@dataclass(frozen=True, kw_only=True)
class Share:
    """A process's part of a step: its batches, what could not be read on the way, and why it has to stop, if it has to."""

    batches: tuple[Any, ...]
    passed_over: tuple[str, ...] = ()
    failure: str | None = None


def _positions(config: TrainingConfig, processes: Processes, start: int) -> Iterator[list[int]]:
    """Which positions each of this process's batches holds, from step `start` on."""
    size, count = config.micro_batches(processes.count)
    for step in range(start, config.steps):
        first = step * config.batch_size + processes.rank * size * count
        for micro in range(count):
            yield list(range(first + micro * size, first + (micro + 1) * size))


def load_shares(examples: Examples, config: TrainingConfig, processes: Processes, start: int = 0) -> Iterator[Share]:
    """This process's share of every step from `start` on.

    The examples of step s are those at positions s x batch_size onwards, so the step is all there is to remember.
    """
    positions = Positions(examples, config)
    loader = DataLoader(
        positions,
        batch_sampler=_positions(config, processes, start),  # type: ignore[arg-type]
        collate_fn=positions.collate,
        num_workers=config.workers,
        pin_memory=processes.device.type == "cuda",
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=_ignore_signals,
    )
    count = config.micro_batches(processes.count)[1]
    batches: list[Any] = []
    passed_over: list[str] = []
    for batch, errors in loader:
        if batch is None:
            yield Share(batches=(), failure=_explain_failure(errors[-1], config))
            return
        passed_over.extend(errors)
        batches.append(batch)
        if len(batches) == count:
            yield Share(batches=tuple(batches), passed_over=tuple(passed_over))
            batches, passed_over = [], []


def _explain_failure(error: str, config: TrainingConfig) -> str:
    if config.unreadable == "raise":
        return f"{error} (to pass over examples that cannot be read, set training.unreadable=skip)"
    return f"{ATTEMPTS} examples in a row could not be read, the last because: {error}"


def _ignore_signals(_: int) -> None:
    """A signal to the whole process group must not end the workers before the current step is done and saved."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
