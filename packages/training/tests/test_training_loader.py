"""Batches by step: every example once an epoch, the same whatever the processes and workers, from any step on."""

import re
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millivid.training import RunError
from millivid.training.loader import Positions, load_shares, position_generator, shuffled
from millivid.training.processes import Processes

from .toy import Toy, settings


@given(size=st.integers(1, 300), seed=st.integers(0, 2**63))
def test_a_shuffle_is_a_permutation(size: int, seed: int) -> None:
    assert sorted(shuffled(index, size, seed) for index in range(size)) == list(range(size))


def test_shuffles_of_different_seeds_differ_and_leave_little_in_place() -> None:
    orders = {tuple(shuffled(index, 1000, seed) for index in range(1000)) for seed in range(20)}
    assert len(orders) == 20
    assert all(sum(index == place for index, place in enumerate(order)) < 10 for order in orders)


def test_a_shuffle_is_even() -> None:
    """Each item comes first about as often as any other."""
    counts = Counter(shuffled(0, 10, seed) for seed in range(5000))
    assert all(abs(counts[item] - 500) < 5 * 500**0.5 for item in range(10))


def test_a_large_set_needs_no_table() -> None:
    assert 0 <= shuffled(123_456_789, 205_000_000, 0) < 205_000_000


def indices_of_epochs(size: int, epochs: int, **given: object) -> list[list[int]]:
    seen: list[int] = []
    task = Toy(size=size, on_example=seen.append)
    positions = Positions(task, settings(**given))
    for position in range(size * epochs):
        positions[position]
    return [seen[epoch * size : (epoch + 1) * size] for epoch in range(epochs)]


def test_every_example_comes_once_an_epoch_in_another_order_each_time() -> None:
    epochs = indices_of_epochs(37, 3)
    assert all(sorted(epoch) == list(range(37)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs != indices_of_epochs(37, 3, seed=1)


def batches(processes: Processes, start: int = 0, **given: object) -> list[torch.Tensor]:
    return [
        torch.cat([x for x, _, _ in share.batches])
        for share in load_shares(Toy(), settings(steps=6, **given), processes, start)
    ]


@pytest.mark.parametrize(("count", "micro"), [(1, 2), (2, None), (4, 1), (8, None)])
def test_steps_are_the_same_whatever_the_processes(count: int, micro: int | None) -> None:
    whole = batches(Processes())
    shares = [batches(Processes(rank=rank, count=count), micro_batch_size=micro) for rank in range(count)]
    together = [torch.cat(parts) for parts in zip(*shares, strict=True)]
    assert len(together) == 6
    assert all(torch.equal(a, b) for a, b in zip(whole, together, strict=True))


@pytest.mark.parametrize("workers", [1, 3])
def test_steps_are_the_same_whatever_the_workers(workers: int) -> None:
    assert all(map(torch.equal, batches(Processes(), workers=workers), batches(Processes())))


def test_a_later_start_gives_the_rest() -> None:
    assert all(map(torch.equal, batches(Processes(), start=4), batches(Processes())[4:]))


def test_an_examples_random_numbers_depend_on_seed_and_position_alone() -> None:
    draws = {
        (seed, n): torch.rand(1, generator=position_generator(seed, n)).item() for seed in (0, 1) for n in range(3)
    }
    assert len(set(draws.values())) == 6
    assert torch.rand(1, generator=position_generator(1, 2)).item() == draws[1, 2]


def test_no_examples_are_refused() -> None:
    with pytest.raises(RunError, match="there are no examples to train on"):
        next(load_shares(Toy(size=0), settings(), Processes()))


def test_an_unreadable_example_is_named_by_workers_too() -> None:
    def refuse(index: int) -> None:
        raise OSError(f"{index}.mp4 is gone")

    share = next(load_shares(Toy(on_example=refuse), settings(workers=1), Processes()))
    assert not share.batches
    assert re.match(r"^\d+.mp4 is gone \(to pass over", share.failure)


def test_half_a_dataset_in_a_row_may_be_unreadable() -> None:
    """As the frames of one damaged video are."""

    def refuse(index: int) -> None:
        if index < 50:
            raise ValueError("the first video is damaged")

    shares = list(load_shares(Toy(on_example=refuse), settings(steps=12, unreadable="skip"), Processes()))
    assert all(len(share.batches[0][0]) == 8 and share.failure is None for share in shares)
    assert (
        40 < sum(len(share.passed_over) for share in shares) < 140
    )  # 96 examples, half of which are drawn again, some twice


@pytest.mark.parametrize(
    ("given", "processes", "message"),
    [
        ({"batch_size": 10}, 4, r"batch_size is 10, which 4 processes cannot share equally; 8 and 12 would do"),
        ({"batch_size": 3}, 4, r"batch_size is 3, .*; 4 and 4 would do|4 would do"),
        ({"batch_size": 24, "micro_batch_size": 5}, 2, r"micro_batch_size is 5, .* the 12 examples .*; [46] would do"),
    ],
)
def test_batches_that_do_not_divide_are_refused(given: dict, processes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**given).micro_batches(processes)


def test_a_process_takes_at_most_its_share_at_once() -> None:
    assert settings(batch_size=24, micro_batch_size=48).micro_batches(2) == (12, 1)
    assert settings(batch_size=24, micro_batch_size=4).micro_batches(2) == (4, 3)
