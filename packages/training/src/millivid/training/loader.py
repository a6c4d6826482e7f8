"""Batches by step number: shuffled, split over processes, the same whatever the number of processes and workers."""

import hashlib
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
"""How many examples in a row may be unreadable before a run stops even where it passes them over."""


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


@dataclass(frozen=True)
class Unreadable:
    """Examples that could not be read, told in words."""

    told: tuple[str, ...]


class Positions(Dataset[Any]):
    """Examples by their position in the whole run; every example once per epoch, each epoch in an order of its own."""

    def __init__(self, examples: Examples, config: TrainingConfig) -> None:
        if not len(examples):
            raise RunError("there are no examples to train on; give a dataset with training videos")
        self.examples, self.config = examples, config

    def __getitem__(self, position: int) -> tuple[Any, tuple[str, ...]]:
        size = len(self.examples)
        epoch, index = divmod(position, size)
        index = shuffled(index, size, random_bits("epoch", self.config.seed, epoch))
        told: list[str] = []
        for attempt in range(min(size, ATTEMPTS)):
            generator = position_generator(self.config.seed, position)
            try:
                return self.examples.example((index + attempt) % size, generator), tuple(told)
            except (ValueError, OSError) as error:
                told.append(str(error))
                if self.config.unreadable == "raise":
                    break
        return None, tuple(told)

    def __getitems__(self, positions: Sequence[int]) -> Any:
        """A batch, with what could not be read on the way; None and that where there was nothing else."""
        found = [self[position] for position in positions]
        told = tuple(sentence for _, sentences in found for sentence in sentences)
        examples = [example for example, _ in found]
        return (None if any(example is None for example in examples) else self.examples.collate(examples)), told


class _Steps:
    """Which positions this process's batches hold, from a step on."""

    def __init__(self, config: TrainingConfig, processes: Processes, start: int) -> None:
        self.config, self.processes, self.start = config, processes, start

    def __iter__(self) -> Iterator[list[int]]:
        size, count = self.config.micro_batches(self.processes.count)
        for step in range(self.start, self.config.steps):
            first = step * self.config.batch_size + self.processes.rank * size * count
            for micro in range(count):
                yield list(range(first + micro * size, first + (micro + 1) * size))


def load_batches(
    examples: Examples, config: TrainingConfig, processes: Processes, start: int = 0
) -> Iterator[tuple[list[Any], tuple[str, ...]]]:
    """This process's share of every step from `start` on, as batches, and what could not be read on the way.

    The examples of step s are those at positions s x batch_size onwards, so the step is all there is to remember.
    Raises RunError naming the file of an example that cannot be read, with `unreadable="raise"` or after many.
    """
    loader = DataLoader(
        Positions(examples, config),
        batch_sampler=_Steps(config, processes, start),  # type: ignore[arg-type]
        collate_fn=_as_it_is,
        num_workers=config.workers,
        pin_memory=processes.device.type == "cuda",
        persistent_workers=False,
        prefetch_factor=4 if config.workers else None,
    )
    count = config.micro_batches(processes.count)[1]
    batches: list[Any] = []
    told: tuple[str, ...] = ()
    for batch, sentences in loader:
        told += sentences
        if batch is None:
            raise RunError(
                f"{told[-1]} (to pass over examples that cannot be read, set training.unreadable=skip)"
                if config.unreadable == "raise"
                else f"the last {ATTEMPTS} examples could not be read, the last because: {told[-1]}"
            )
        batches.append(batch)
        if len(batches) == count:
            yield batches, told
            batches, told = [], ()


def _as_it_is(batch: Any) -> Any:
    return batch
