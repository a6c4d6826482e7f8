"""The noise that exported models take, for a pipeline."""

import torch
from torch import Tensor

from millivid.diffusion import SeededNoise
from millivid.diffusion.tokens import TokenBatch
from millivid.export.player import normal


class PortableNoise(SeededNoise):
    """The exported models' noise; a context gets none. chunk: steps of a chunk and the frames that it keeps."""

    start = 0
    chunk: tuple[int, int] | None = None

    def draw(self, x: Tensor, tokens: TokenBatch) -> Tensor:
        step = self.step
        if self.chunk is not None:  # which a video is written with one after the other
            steps, kept = self.chunk
            step = (self.start + self.step // steps * kept) * steps + self.step % steps
        written = tokens.is_target[0]
        eps = torch.zeros_like(x)
        eps[:, written] = torch.from_numpy(normal(self.seeds[0], step, int(written.sum()) * x.shape[2])).view(
            -1, x.shape[2]
        )
        self.step += 1
        return eps
