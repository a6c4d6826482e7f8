"""Rollouts of any length in bounded memory: chunk after chunk, of which only what the schedule can still read is kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from millivid.diffusion.actions import known_actions
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.rollout_noise import FrameNoise, Noise
from millivid.diffusion.sample_step import SamplerConfig
from millivid.diffusion.sampler import RolloutProgress, rollout
from millivid.rollout import Plan, Role, Schedule

Latents = Sequence[Float[Tensor, "batch _frame _height _width c"]]


class LatentStream:
    """A video that goes on from its context, one chunk of the schedule at a time.

    context: latents per level, finest first; of their frames the last that the schedule can read are kept. actions: of the
    context's frames, then of those to write, each a tensor (batch) of categories or (batch, action) of vectors; an iterable of
    any length, from which a chunk takes what it looks ahead to. The video ends with the actions. action_names: for what errors
    say. noise: by default fresh, from torch's own generator.

    Raises ValueError for a context that is too short, and for latents and actions that are none of the model's; the latter when
    they are reached, and then frames before that chunk stay as they are.
    """

    def __init__(
        self,
        model: VideoDiT,
        schedule: Schedule,
        context: Latents,
        actions: Iterable[Tensor],
        config: SamplerConfig | None = None,
        noise: Noise | None = None,
        action_names: Sequence[str] = (),
    ) -> None:
        self.model, self.noise, self.names = model, noise or Noise(), action_names
        self.config = config or SamplerConfig()
        self.chunk = schedule.chunk(model.config.tokens_per_level)
        if not isinstance(actions, Iterable):
            raise ValueError(f"actions are of type {type(actions).__name__}; give an iterable of each frame's")
        if isinstance(self.noise, FrameNoise):
            raise ValueError("FrameNoise belongs to a whole video; give a stream Noise or SeededNoise")
        self.upcoming, self.ahead = iter(actions), list[Tensor]()
        start, self.batch = context[0].shape[1], len(context[0])
        if start < self.chunk.num_context_frames:
            raise ValueError(
                f"{start} context frames are too few; the model needs {self.chunk.num_context_frames} or more"
            )
        kept, frames = min(start, self.chunk.target_start), self.chunk.num_frames
        given = list(islice(self.upcoming, start))
        if len(given) < start:
            raise _nothing_to_generate(len(given), start)
        self.stores = []
        for latents in context[: self.chunk.num_levels]:
            store = latents.new_zeros(self.batch, frames, *latents.shape[2:])
            store[:, self.chunk.target_start - kept : self.chunk.target_start] = latents[:, start - kept :]
            self.stores.append(store)
        before = self.known(given)[:, start - kept :]
        missing = before.new_zeros(self.batch, self.chunk.target_start - kept, *before.shape[2:])
        self.actions = torch.cat([missing, before], dim=1)
        self.start, self.frame = start, start
        """The first frame that was not given, and the first that no chunk has written yet."""

    def __iter__(self) -> Iterator[tuple[RolloutProgress, Float[Tensor, "batch _frame _height _width c"]]]:
        """After every step its progress and the finest latents of the frames that it finished, in order and once.

        Frames are those of the video; the progress's index and total are those of the chunk.
        """
        while (progress := self.next_chunk()) is not None:
            yield from progress

    def next_chunk(
        self,
    ) -> Iterator[tuple[RolloutProgress, Float[Tensor, "batch _frame _height _width c"]]] | None:
        """Write the next chunk; what `__iter__` yields of it, or None where there are no more actions."""
        first, kept = self.chunk.target_start, self.chunk.num_kept_frames
        self.ahead += islice(self.upcoming, self.chunk.num_frames - first - len(self.ahead))
        if not self.ahead:
            if self.frame == self.start:
                raise _nothing_to_generate(self.start, self.start)
            return None
        return self._write(self.known(self.ahead), first, kept)

    def _write(
        self, ahead: Tensor, first: int, kept: int
    ) -> Iterator[tuple[RolloutProgress, Float[Tensor, "batch _frame _height _width c"]]]:
        frames, count = self.chunk.num_frames, min(kept, ahead.shape[1])
        missing = ahead.new_zeros(self.batch, frames - first - ahead.shape[1], *ahead.shape[2:])
        actions = torch.cat([self.actions, ahead, missing], dim=1)
        plan = Plan(chunk=self.chunk, chunk_starts=(0,), start=first, video_end=first + kept, buffer_end=frames)
        # What the next chunk may read is written too, unless there is none.
        end = None if count == kept else first + count
        skipped = set() if end is None else plan.not_needed(end)
        last_write = np.zeros(frames, dtype=np.int64)
        for number, planned in enumerate(step for step in plan if step.index not in skipped):
            last_write[planned.step.roles[0] == Role.TARGET] = number
        finished = first
        for progress in rollout(self.model, self.stores, plan, actions, self.config, self.noise, end=end):
            begin = finished
            while finished < first + count and last_write[finished] <= progress.index:
                finished += 1
            latents, offset = self.stores[0][:, begin:finished].clone(), self.frame - first
            self.check(latents)
            span = (begin + offset, finished + offset) if begin < finished else (0, 0)
            yield RolloutProgress(index=progress.index, total=progress.total, finished=span), latents
        self.advance(kept, actions)
        self.ahead = self.ahead[kept:]
        self.frame += count - kept

    def advance(self, frames: int, actions: Tensor) -> None:
        """Let the next chunk begin so many frames later; actions: of this chunk's frames, those before it included."""
        self.stores = [
            torch.cat([store[:, frames:], torch.zeros_like(store[:, :frames])], dim=1) for store in self.stores
        ]
        self.actions = actions[:, frames : frames + self.chunk.target_start]
        self.frame += frames

    def check(self, latents: Tensor) -> None:
        """Raise ValueError for latents that are no finite numbers."""
        if latents.numel() and not latents.isfinite().all():
            raise ValueError(
                f"the model gives no finite numbers with guidance={self.config.guidance:g}; use guidance=1, or a model that is "
                "not damaged"
            )

    def known(self, actions: Sequence[Tensor]) -> Tensor:
        """Actions side by side, if the model knows them."""
        for action in actions:
            if not isinstance(action, Tensor):
                raise ValueError(f"an action is {action!r:.80}; give a tensor with one for each of {self.batch} videos")
        shapes = {tuple(action.shape) for action in actions} | {(self.batch, *actions[0].shape[1:])}
        if len(shapes) > 1 or len({action.dtype for action in actions}) > 1:
            kinds = ", ".join(sorted({f"{action.dtype} {tuple(action.shape)}" for action in actions}))
            raise ValueError(
                f"actions are {kinds} for {self.batch} videos; give every frame's as one type and one shape"
            )
        if not self.model.config.num_actions:
            return torch.zeros(self.batch, len(actions), dtype=torch.long)  # whatever they are
        return known_actions(
            torch.stack(list(actions), dim=1).cpu(), self.model.config, self.batch, self.names, gaps=False
        )

    def state(self) -> dict[str, Tensor]:
        """What another stream of the same settings, with seeded noise, needs to go on from here, between two chunks."""
        latents = {f"level_{level}": store for level, store in enumerate(self.stores)}
        return latents | {"actions": self.actions, "frame": torch.tensor(self.frame), **self.noise.state()}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from another stream's state; of the actions, those that it had used are passed over."""
        passed = int(state["frame"]) - self.frame
        list(islice(self.upcoming, passed))
        self.stores = [state[f"level_{level}"].to(store) for level, store in enumerate(self.stores)]
        self.actions, self.frame = state["actions"], self.frame + passed
        self.noise.resume(state)


def _nothing_to_generate(actions: int, context: int) -> ValueError:
    return ValueError(f"{actions} actions for {context} context frames leave nothing to generate; give more actions")
