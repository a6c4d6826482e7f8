"""History as the model would have written it: some context of a training example, made anew by the step that writes it.

Rollouts read what the model wrote, training the truth; a model that never met its own mistakes adds to them (exposure bias).
The truth is made noisy, up to a time of the example's own, and denoised from there, so that mistakes are small as well as large
and history still shows what the targets go on from (as in Resampling Forcing, Guo et al. 2025).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from millivid.diffusion.actions import Actions
from millivid.diffusion.model import Seen, VideoDiT
from millivid.diffusion.noise import add_noise, alpha_sigma
from millivid.diffusion.tokens import TokenBatch
from millivid.rollout import Chunk, Role, Step, StepTokens


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A step that writes what another one reads: its tokens, and which of them are which of the reader's."""

    tokens: StepTokens
    written: NDArray[np.int64]
    read: NDArray[np.int64]


def writers(chunk: Chunk, tokens_of: Callable[[Step, int], StepTokens]) -> list[list[Writer]]:
    """For every step of a chunk those that last wrote some of its context, of this chunk or of the one before.

    tokens_of: a step's tokens, with frames counted from some other one. Frames are those of two chunks: the earlier one begins
    at 0, the steps' own at `num_kept_frames`.
    """
    kept = chunk.num_kept_frames
    before, own = ([tokens_of(step, start) for step in chunk.steps] for start in (0, kept))
    return [_writers(reader, [*before, *own[:number]]) for number, reader in enumerate(own)]


def _writers(reader: StepTokens, earlier: Sequence[StepTokens]) -> list[Writer]:
    found = []
    unknown = {place: token for token, place in _places(reader, Role.CONTEXT)}
    for step in reversed(earlier):
        pairs = [(token, unknown.pop(place)) for token, place in _places(step, Role.TARGET) if place in unknown]
        if pairs:
            written, read = np.array(pairs).T
            found.append(Writer(tokens=step, written=written, read=read))
    return found


def _places(step: StepTokens, role: Role) -> list[tuple[int, tuple[int, ...]]]:
    """The tokens of a role, and where each of them is."""
    tokens = np.flatnonzero(step.cell_role[step.cell] == role)
    columns = (step.level, step.frame, step.row, step.column)
    return [(int(token), tuple(int(column[token]) for column in columns)) for token in tokens]


@dataclass(frozen=True, kw_only=True)
class OwnHistory:
    """What of a batch the model makes anew: the writing steps of some of its examples, side by side.

    t: up to which time the truth is made noisy. written, read: tokens of this batch, and those of the examples that become
    them, both counted over the whole batch. examples: whose they are.
    """

    x: Float[Tensor, "some token c"]
    tokens: TokenBatch
    action: Actions
    pose: Float[Tensor, "some cell 3"] | None
    t: Float[Tensor, " some"]
    examples: Int[Tensor, " some"]
    written: Int[Tensor, " changed"]
    read: Int[Tensor, " changed"]

    @torch.no_grad()
    def write(
        self,
        model: VideoDiT,
        x: Float[Tensor, "batch token c"],
        eps: Float[Tensor, "some token c"],
        shift: float = 1.0,
    ) -> Float[Tensor, "batch token c"]:
        """The batch's latents x, normalised, with the model's own in place of those that it makes anew; eps: its noise."""
        device = x.device
        true = model.normalize(self.x.to(device, torch.float32), self.tokens.level.to(device))
        pose = model.pose_seen(self.pose, self.tokens)
        context, targets = self.tokens.split()
        seen = Seen(context.tokens, context.of_tokens(true))
        read = model.read_context(seen.latents, *model.prepare(context, torch.zeros(()), self.action, pose, seen))
        data, noise = targets.of_tokens(true), targets.of_tokens(eps)
        for t in (self.t, self.t / 2):
            alpha, sigma = (part[:, None, None].to(device) for part in alpha_sigma(t, shift))
            noisy = add_noise(data, noise, alpha, sigma)
            asked, placed = model.prepare(targets, t[:, None], self.action, pose, seen)
            data, noise = model.data_and_noise(model.predict(noisy, asked, placed, read).float(), noisy, alpha, sigma)
        place = targets.token.to(device).unsqueeze(-1).expand_as(data)
        made = true.scatter(1, place, data).flatten(0, 1)
        return x.flatten(0, 1).index_copy(0, self.read.to(device), made[self.written.to(device)]).view_as(x)
