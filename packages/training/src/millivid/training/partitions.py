"""How parameters lie in an optimizer's tensors: whole, or in flat partitions of which every process holds one (ZeRO)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

Span = tuple[int, int, int]
"""(process, start, stop): numbers that lie in that process's flat tensor."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter's name and shape, and where its numbers lie, in order."""

    name: str
    shape: torch.Size
    spans: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """This process's flat tensor, and the parameters that the equally long ones of all processes make up together.

    processes: how many share the parameters; 1 where every process holds the whole. rank: which of them this process is.
    """

    parameters: tuple[Parameter, ...]
    processes: int = 1
    rank: int = 0

    @classmethod
    def whole(cls, name: str, tensor: Tensor) -> "Partition":
        """A parameter that every process holds."""
        return cls(parameters=(Parameter(name=name, shape=tensor.shape, spans=((0, 0, tensor.numel()),)),))

    def gather(self, part: Tensor, only_local: bool = False) -> Iterator[tuple[Parameter, Tensor]]:
        """Every parameter's whole tensor, of each process's `part`; all processes have to call it.

        only_local: leave out parameters of which this process holds nothing.
        """
        flat = [part.reshape(-1)]
        if self.processes > 1:
            flat = [torch.empty_like(flat[0]) for _ in range(self.processes)]
            dist.all_gather(flat, part.contiguous())
        for parameter in self.parameters:
            if not only_local or any(rank == self.rank for rank, _, _ in parameter.spans):
                pieces = [flat[rank][start:stop] for rank, start, stop in parameter.spans]
                yield parameter, (pieces[0] if len(pieces) == 1 else torch.cat(pieces)).view(parameter.shape)

    def places(self, parameter: Parameter, part: Tensor, whole: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(place in this process's part, the same numbers of the whole tensor), as flat views."""
        first, flat = 0, whole.reshape(-1)
        for rank, start, stop in parameter.spans:
            if rank == self.rank:
                yield part.view(-1)[start:stop], flat[first : first + stop - start]
            first += stop - start

    def scatter(self, whole: Mapping[str, Tensor], part: Tensor) -> None:
        """Fill this process's part from whole tensors by name, the inverse of `gather`."""
        for parameter in self.parameters:
            tensor = whole[parameter.name]
            if tensor.shape != parameter.shape:
                raise ValueError(f"{parameter.name} has shape {tuple(tensor.shape)}, not {tuple(parameter.shape)}")
            for place, values in self.places(parameter, part, tensor):
                place.copy_(values)


def contiguous_spans(start: int, numel: int, size: int) -> tuple[Span, ...]:
    """Where numbers `start` to `start + numel` of a long flat tensor lie when it is cut into parts of `size`."""
    stop, spans = start + numel, []
    while start < stop:
        rank, first = divmod(start, size)
        count = min(size - first, stop - start)
        spans.append((rank, first, first + count))
        start += count
    return tuple(spans)


def striped_spans(start: int, numel: int, size: int, processes: int) -> tuple[Span, ...]:
    """Where a parameter lies that is cut into `processes` parts of `size`, each at `start` in its process's tensor."""
    counts = [min(size, numel - rank * size) for rank in range(processes)]
    return tuple((rank, start, start + count) for rank, count in enumerate(counts) if count > 0)
