"""Packing: a truth table by hand, the round trip, and what is refused."""

import pytest
import torch
from torch import Tensor

from millivid.kernels import pack_tokens, unpack_tokens_

GRIDS = ((4, 6), (2, 3), (1, 1))


def numbered_stores(batch: int = 2, frames: int = 3) -> list[Tensor]:
    """Two channels: a number that spells batch, level, frame, row, column in decimal digits, and its negative."""
    stores = []
    for level, (height, width) in enumerate(GRIDS):
        axes = torch.meshgrid(*map(torch.arange, (batch, frames, height, width)), indexing="ij")
        b, f, r, c = axes
        value = (10_000 * b + 1_000 * level + 100 * f + 10 * r + c).float()
        stores.append(torch.stack([value, -value], dim=-1))
    return stores


def columns(rows: list[list[int]], batch: int = 1) -> tuple[Tensor, ...]:
    """Rows (level, frame, row, column) as four (batch, token) columns."""
    return tuple(part.expand(batch, -1) for part in torch.tensor(rows).T.unsqueeze(1))


def all_places(frames: int = 3) -> list[list[int]]:
    return [
        [level, f, r, c]
        for level, (height, width) in enumerate(GRIDS)
        for f in range(frames)
        for r in range(height)
        for c in range(width)
    ]


def test_pack_truth_table() -> None:
    index = columns([[0, 2, 3, 5], [2, 1, 0, 0], [1, 0, 1, 2], [0, 0, 0, 0], [0, 2, 3, 5]])
    packed = pack_tokens(numbered_stores(), *index)
    assert packed[0, :, 0].tolist() == [235, 2100, 1012, 0, 235]
    assert packed[1, :, 0].tolist() == [10235, 12100, 11012, 10000, 10235]
    assert torch.equal(packed[..., 1], -packed[..., 0])


def test_pack_reads_each_video_with_its_own_columns() -> None:
    index = tuple(torch.tensor(part) for part in ([[0], [1]], [[1], [2]], [[2], [1]], [[3], [0]]))
    assert pack_tokens(numbered_stores(), *index)[..., 0].tolist() == [[123], [11210]]


def test_shared_columns_equal_repeated_columns() -> None:
    rows = all_places()[::7]
    assert torch.equal(
        pack_tokens(numbered_stores(), *columns(rows)), pack_tokens(numbered_stores(), *columns(rows, 2))
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_unpack_inverts_pack(batch: int) -> None:
    order = torch.randperm(len(all_places()), generator=torch.Generator().manual_seed(0)).tolist()
    index = columns([all_places()[i] for i in order], batch)
    stores, empty = numbered_stores(), [torch.full_like(store, torch.nan) for store in numbered_stores()]
    unpack_tokens_(empty, pack_tokens(stores, *index), *index, write=torch.ones(index[0].shape, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(stores, empty, strict=True))


def test_unpack_writes_only_marked_places_of_each_video() -> None:
    stores, before = numbered_stores(), numbered_stores()
    index = columns([[0, 1, 0, 0], [1, 1, 1, 1]], 2)
    write = torch.tensor([[True, False], [False, True]])
    unpack_tokens_(stores, torch.full((2, 2, 2), 7.0), *index, write=write)
    before[0][0, 1, 0, 0], before[1][1, 1, 1, 1] = 7.0, 7.0
    assert all(torch.equal(a, b) for a, b in zip(stores, before, strict=True))


def test_unpack_nothing_changes_nothing() -> None:
    stores, index = numbered_stores(), columns([[0, 0, 0, 0], [0, 0, 0, 0]])
    unpack_tokens_(stores, torch.zeros(2, 2, 2), *index, write=torch.zeros(1, 2, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(stores, numbered_stores(), strict=True))


@pytest.mark.parametrize(
    "place",
    [[3, 0, 0, 0], [-1, 0, 0, 0], [0, 3, 0, 0], [0, 0, 4, 0], [0, 0, 0, 6], [1, 0, 2, 0], [2, 0, 0, 1], [0, -1, 0, 0]],
)
def test_index_outside_the_stores_is_refused(place: list[int]) -> None:
    index = columns([[0, 0, 0, 0], place])
    with pytest.raises(IndexError, match=r"outside the stores.*\[3, 4, 6\]"):
        pack_tokens(numbered_stores(), *index)
    with pytest.raises(IndexError, match="outside the stores"):
        unpack_tokens_(numbered_stores(), torch.zeros(2, 2, 2), *index, write=torch.ones(1, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    "change",
    [lambda s: s[:1], lambda s: s[..., :1], lambda s: s.double()],
    ids=["batch", "channel", "dtype"],
)
def test_mismatched_stores_are_refused(change) -> None:  # type: ignore[no-untyped-def]
    stores = numbered_stores()
    stores[1] = change(stores[1])
    with pytest.raises(ValueError, match="store of level 1 .* does not match level 0's"):
        pack_tokens(stores, *columns([[0, 0, 0, 0]]))


def test_no_stores_are_refused() -> None:
    with pytest.raises(ValueError, match="no stores"):
        pack_tokens([], *columns([[0, 0, 0, 0]]))


def test_columns_of_another_batch_or_type_are_refused() -> None:
    with pytest.raises(ValueError, match="batch 3; expected 1 or the stores' batch 2"):
        pack_tokens(numbered_stores(), *columns([[0, 0, 0, 0]], 3))
    with pytest.raises(ValueError, match="int64"):
        pack_tokens(numbered_stores(), *(part.int() for part in columns([[0, 0, 0, 0]])))


def test_overlapping_writes_are_refused_and_write_nothing() -> None:
    stores, index = numbered_stores(), columns([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match="written to one place"):
        unpack_tokens_(stores, torch.zeros(2, 3, 2), *index, write=torch.ones(1, 3, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(stores, numbered_stores(), strict=True))


def test_tokens_that_do_not_fit_are_refused() -> None:
    index = columns([[0, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"tokens \(2, 1, 5\).*do not fit"):
        unpack_tokens_(numbered_stores(), torch.zeros(2, 1, 5), *index, write=torch.ones(1, 1, dtype=torch.bool))


def test_unpacking_what_does_not_fit_writes_nothing() -> None:
    index, write = columns([[0, 0, 0, 0]]), torch.ones(1, 1, dtype=torch.bool)
    stores = numbered_stores()
    for tokens, mark, message in (
        (torch.zeros(2, 1, 2).double(), write, "tokens .*float64 do not fit"),
        (torch.zeros(2, 1, 2), write.int(), "write is .*int32; expected bool"),
        (torch.zeros(2, 1, 2), torch.ones(1, 2, dtype=torch.bool), "write is .1, 2."),
        (torch.zeros(2, 1, 2), torch.ones(3, 1, dtype=torch.bool), "write is .3, 1."),
    ):
        with pytest.raises(ValueError, match=message):
            unpack_tokens_(stores, tokens, *index, mark)
    assert all(torch.equal(a, b) for a, b in zip(stores, numbered_stores(), strict=True))


def test_writing_into_memory_that_places_share_is_refused() -> None:
    store = torch.zeros(1, 1, 1, 1, 2).expand(1, 3, 1, 1, 2)
    with pytest.raises(ValueError, match="made by expand"):
        unpack_tokens_([store], torch.ones(1, 1, 2), *columns([[0, 1, 0, 0]]), write=torch.ones(1, 1, dtype=torch.bool))


def test_marks_of_each_video_with_shared_columns() -> None:
    stores, index = numbered_stores(), columns([[0, 0, 0, 0], [0, 0, 0, 1]])
    unpack_tokens_(stores, torch.full((2, 2, 2), 7.0), *index, write=torch.tensor([[True, False], [False, True]]))
    assert stores[0][:, 0, 0, :2, 0].tolist() == [[7, 1], [10000, 7]]


def test_columns_of_one_video_and_of_each_go_together() -> None:
    level, frame, row, column = columns([[0, 2, 3, 5], [0, 1, 0, 0]])
    for frames in (frame, torch.tensor([[2, 1], [0, 1]])):
        expected = pack_tokens(
            numbered_stores(), *(part.expand(2, -1).clone() for part in (level, frames, row, column))
        )
        for levels in (level, level.expand(2, -1)):
            assert torch.equal(pack_tokens(numbered_stores(), levels, frames, row, column), expected)


def test_tokens_in_another_order_of_axes_are_refused() -> None:
    index, write = columns([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2]]), torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"tokens \(3, 2, 2\).*do not fit"):
        unpack_tokens_(numbered_stores(), torch.zeros(3, 2, 2), *index, write)
    with pytest.raises((ValueError, RuntimeError)):
        torch.ops.millivid.unpack_tokens_(numbered_stores(), torch.zeros(3, 2, 2), *index, write)


def test_whole_numbers_are_refused() -> None:
    stores, index = [store.to(torch.uint8) for store in numbered_stores()], columns([[0, 0, 0, 0]])
    with pytest.raises(ValueError, match="expected a floating-point dtype"):
        pack_tokens(stores, *index)


def test_one_store_for_two_levels_is_not_written() -> None:
    store, index = numbered_stores()[0], columns([[0, 0, 0, 0], [1, 0, 0, 0]])
    with pytest.raises(ValueError, match="two stores are one piece of memory"):
        unpack_tokens_([store, store], torch.ones(2, 2, 2), *index, write=torch.ones(1, 2, dtype=torch.bool))
