"""How parameters lie in an optimizer's tensors: whole, or in flat shards of which every process holds one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter's name, shape, and its places in order: (process, start, stop) in that process's shard."""

    name: str
    shape: torch.Size
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The parameters that equally long flat tensors of all processes make up together.

    processes: how many share them; 1 where every process holds the whole. rank: which of the shards is this process's.
    """

    parameters: tuple[Parameter, ...]
    processes: int = 1
    rank: int = 0

    @classmethod
    def whole(cls, name: str, tensor: Tensor) -> "Shard":
        """A parameter that every process holds."""
        return cls(parameters=(Parameter(name=name, shape=tensor.shape, spans=((0, 0, tensor.numel()),)),))

    def gather(self, mine: Tensor, only_mine: bool = False) -> Iterator[tuple[Parameter, Tensor]]:
        """Every parameter's whole tensor, of tensors laid out as the shards are; all processes have to call it.

        only_mine: leave out parameters of which this process holds no part.
        """
        flat = [mine.reshape(-1)]
        if self.processes > 1:
            flat = [torch.empty_like(flat[0]) for _ in range(self.processes)]
            dist.all_gather(flat, mine.contiguous())
        for parameter in self.parameters:
            if not only_mine or any(rank == self.rank for rank, _, _ in parameter.spans):
                parts = [flat[rank][start:stop] for rank, start, stop in parameter.spans]
                yield parameter, (parts[0] if len(parts) == 1 else torch.cat(parts)).view(parameter.shape)

    def places(self, parameter: Parameter, mine: Tensor, whole: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(place in this process's shard, the same numbers of the whole tensor), as flat views."""
        first, flat = 0, whole.reshape(-1)
        for rank, start, stop in parameter.spans:
            if rank == self.rank:
                yield mine.view(-1)[start:stop], flat[first : first + stop - start]
            first += stop - start

    def scatter(self, whole: Mapping[str, Tensor], mine: Tensor) -> None:
        """Fill this process's tensor from whole ones by name, the inverse of `gather`."""
        for parameter in self.parameters:
            tensor = whole[parameter.name]
            if tensor.shape != parameter.shape:
                raise ValueError(f"{parameter.name} has shape {tuple(tensor.shape)}, not {tuple(parameter.shape)}")
            for place, values in self.places(parameter, mine, tensor):
                place.copy_(values)


def contiguous_spans(start: int, numel: int, size: int) -> tuple[tuple[int, int, int], ...]:
    """Where numbers `start` to `start + numel` of a long flat tensor lie when it is cut into shards of `size`."""
    spans = []
    stop = start + numel
    while start < stop:
        rank, first = divmod(start, size)
        count = min(size - first, stop - start)
        spans.append((rank, first, first + count))
        start += count
    return tuple(spans)


def striped_spans(start: int, numel: int, size: int, processes: int) -> tuple[tuple[int, int, int], ...]:
    """Where a parameter lies that is cut into `processes` parts of `size`, each at `start` in its process's shard."""
    counts: Sequence[int] = [min(size, numel - rank * size) for rank in range(processes)]
    return tuple((rank, start, start + count) for rank, count in enumerate(counts) if count > 0)
