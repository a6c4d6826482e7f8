"""What a training run trains: a model, its examples and its loss."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Parts = dict[str, Tensor]
"""Named numbers for the log, each the mean over some of a batch's examples."""


class Examples(Protocol):
    """A set of examples. Everything random in one comes from the given generator, so that it can be repeated."""

    def __len__(self) -> int:
        """How many there are; each is drawn once per epoch."""

    def example(self, index: int, generator: torch.Generator) -> Any:
        """One of them, on the CPU. Raises ValueError or OSError, naming the file, where it cannot be read."""

    def collate(self, examples: Sequence[Any]) -> Any:
        """Several as one batch."""


class Task(Protocol):
    """What is trained.

    With a method `pictures(model)`, it also draws for the log: images (3, height, width) in [0, 1] by name, of a copy of the
    model in evaluation mode, on the training device.
    """

    @property
    def model(self) -> nn.Module:
        """The model, on its device. Only trained parameters are kept in checkpoints: buffers have to be constants."""

    @property
    def examples(self) -> Examples:
        """What it learns from."""

    def loss(self, batch: Any) -> tuple[Tensor, Parts]:
        """The mean loss of a batch, and named parts of it for the log; what is random in it comes with the batch."""

    def weight(self, batch: Any) -> float:
        """Of how many terms, such as examples, the loss is a mean: it weights the batch among those of a step."""
