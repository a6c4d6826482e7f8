"""Metrics of sets: features of all generated and of all true frames, compared as two clouds of points."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import EvaluationError
from .metrics import Metric, check_finite, check_frames
from .sets import SetFigure, set_figure


class SetMetric(Metric):
    """A Fréchet distance between features of items of `window` frames. Subclasses name it and implement `features`.

    Of a video whose length is no multiple of `window` the last frames are left out. `dim`: of a feature.
    """

    better = "lower"
    decimals = 1
    window: int = 1
    dim: int

    def __init__(self) -> None:
        self._rest: dict[str, tuple[Tensor, Tensor]] = {}
        self._features: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def features(self, frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "item dim"]:
        """The features of frames in [0, 1]; there are item x window of them."""
        raise NotImplementedError

    @torch.no_grad()
    def update(self, generated: Tensor, reference: Tensor, *, video: str = "") -> None:
        """Add frames in [0, 1]; batches of one `video` follow each other. Raises EvaluationError, also for NaN."""
        check_frames(generated, reference, self, video)
        if video in self._rest:
            earlier = self._rest.pop(video)
            generated, reference = torch.cat((earlier[0], generated)), torch.cat((earlier[1], reference))
        whole = len(generated) - len(generated) % self.window
        self._rest[video] = (generated[whole:], reference[whole:])
        if whole:
            features = (self.features(generated[:whole]), self.features(reference[:whole]))
            for side in features:
                check_finite(side.cpu().numpy(), self.label, video)
            self._features.setdefault(video, []).append(features)

    def compute(self) -> SetFigure:
        """The distances over all items added, with intervals over videos; nan for fewer than two items."""
        if not self._features:
            raise EvaluationError(f"{self.label}: not one item of {self.window} frames was given")
        pairs = [tuple(map(torch.cat, zip(*batches, strict=True))) for batches in self._features.values()]
        generated, reference = zip(*pairs, strict=True)
        return set_figure(generated, reference)

    def items(self, first: int, last: int) -> slice:
        """Of the items of a video's generated frames, those wholly within frames `first` to `last`, counted from 1."""
        return slice(-(-(first - 1) // self.window), last // self.window)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "frames_per_item": self.window, "dimensions": self.dim}
