"""Where parameters lie in flat partitions: by hand, and gathered and scattered by simulated processes."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from millivid.training.partitions import Parameter, Partition, contiguous_spans, striped_spans


def test_contiguous_spans_by_hand() -> None:
    assert contiguous_spans(0, 4, 10) == ((0, 0, 4),)
    assert contiguous_spans(8, 5, 10) == ((0, 8, 10), (1, 0, 3))
    assert contiguous_spans(8, 23, 10) == ((0, 8, 10), (1, 0, 10), (2, 0, 10), (3, 0, 1))


def test_striped_spans_by_hand() -> None:
    assert striped_spans(3, 7, 4, 2) == ((0, 3, 7), (1, 3, 6))
    assert striped_spans(0, 2, 1, 4) == ((0, 0, 1), (1, 0, 1))


SIZES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5)


def partitions(sizes: list[tuple[int, int]], processes: int, striped: bool) -> tuple[list[Partition], int]:
    """The same layout as each process sees it, and the length of the flat tensors."""
    parameters, start = [], 0
    total = sum(rows * columns for rows, columns in sizes)
    size = -(-total // processes)
    for index, (rows, columns) in enumerate(sizes):
        numel = rows * columns
        part = -(-numel // processes)
        spans = striped_spans(start, numel, part, processes) if striped else contiguous_spans(start, numel, size)
        start += part if striped else numel
        parameters.append(Parameter(name=f"p{index}", shape=torch.Size((rows, columns)), spans=spans))
    layout = tuple(parameters)
    length = start if striped else size
    return [Partition(parameters=layout, processes=processes, rank=rank) for rank in range(processes)], length


@given(sizes=SIZES, processes=st.integers(1, 4), striped=st.booleans())
def test_what_is_scattered_is_gathered_again(sizes: list[tuple[int, int]], processes: int, striped: bool) -> None:
    each, length = partitions(sizes, processes, striped)
    whole = {f"p{index}": torch.randn(shape) for index, shape in enumerate(sizes)}
    flats = [torch.full((length,), torch.nan) for _ in each]
    for partition, flat in zip(each, flats, strict=True):
        partition.scatter(whole, flat)

    def all_gather(out: list[Tensor], part: Tensor) -> None:
        for place, flat in zip(out, flats, strict=True):
            place.copy_(flat)

    with patch("torch.distributed.all_gather", all_gather):
        for partition, flat in zip(each, flats, strict=True):
            found = {parameter.name: tensor for parameter, tensor in partition.gather(flat)}
            assert found.keys() == whole.keys()
            assert all(torch.equal(found[name], whole[name]) for name in whole)
            local = [parameter.name for parameter, _ in partition.gather(flat, only_local=True)]
            assert local == [
                p.name for p in partition.parameters if any(rank == partition.rank for rank, _, _ in p.spans)
            ]


def test_places_cover_a_processs_part_of_a_parameter() -> None:
    each, length = partitions([(3, 3)], 2, striped=False)
    whole, flat = torch.arange(9.0).view(3, 3), torch.zeros(length)
    ((place, values),) = each[1].places(each[1].parameters[0], flat, whole)
    assert values.tolist() == [5, 6, 7, 8]
    place += values
    assert flat.tolist() == [5, 6, 7, 8, 0]


def test_a_tensor_of_another_shape_is_refused() -> None:
    partition = Partition.whole("weight", torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"weight has shape \(3, 2\), not \(2, 3\)"):
        partition.scatter({"weight": torch.zeros(3, 2)}, torch.zeros(2, 3))
