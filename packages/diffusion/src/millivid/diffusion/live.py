"""Rollouts by hand: a step at a time, as if the action that is held stayed, and a new future when it changes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from millivid.diffusion.model import VideoDiT
from millivid.diffusion.rollout_noise import SeededNoise
from millivid.diffusion.sample_step import SamplerConfig
from millivid.diffusion.sampler import RolloutProgress, rollout
from millivid.diffusion.streaming import Latents, LatentStream
from millivid.rollout import LivePlan, Plan, Schedule


class LiveLatents:
    """A video that goes on under an action that may change at any moment; in memory that does not grow.

    context, actions: latents per level, finest first, and the action of each of their frames, see `LatentStream`. seeds: one
    per video; a step's noise depends on its video's seed and its place alone, so the same actions at the same frames give the
    same latents, whatever was given up in between.

    Raises ValueError as `LatentStream` does.
    """

    def __init__(
        self,
        model: VideoDiT,
        schedule: Schedule,
        context: Latents,
        actions: Iterable[Tensor],
        config: SamplerConfig | None = None,
        seeds: Sequence[int] = (0,),
        action_names: Sequence[str] = (),
    ) -> None:
        self._noise = SeededNoise(seeds)
        self._stream = LatentStream(model, schedule, context, actions, config, self._noise, action_names)
        self.plan = LivePlan(chunk=self._stream.chunk, first=self._stream.frame)
        self._running: Iterator[RolloutProgress] | None = None
        self._actions = self._stream.actions
        """Of the chunk that is under way, its context's included."""

    def run(self, action: Tensor) -> Float[Tensor, "batch _frame _height _width c"]:
        """Run the next step, and give the finest latents of the frames that it makes final, if any.

        action: (batch) categories or (batch, action) vectors, taken to stay until `change` is called. Raises ValueError for
        another action than the one that the chunk was begun with, and for one that the model does not know.
        """
        stream = self._stream
        held = stream.known([action])
        if self._running is None:
            self._begin(held)
        elif not torch.equal(held[:, 0], self._actions[:, -1]):
            raise ValueError("the action differs from the one that this future was planned with; call change first")
        assert self._running is not None
        next(self._running)
        plan, offset = self.plan.ran(), stream.chunk.target_start - self.plan.first
        latents = stream.stores[0][:, self.plan.finished + offset : plan.finished + offset].clone()
        stream.check(latents)
        self._move(plan)
        return latents

    def known(self, action: Tensor) -> Tensor:
        """One video's action as the model takes it, () or (action). Raises ValueError for one that it does not know."""
        return self._stream.known([action.unsqueeze(0)])[0, 0]

    def change(self, shown: int) -> int:
        """Give up what is planned behind the video frames before `shown`; from which frame on it is written anew.

        See `LivePlan.change`.
        """
        self._move(self.plan.change(shown))
        self._running = None
        return self.plan.first

    def _begin(self, held: Tensor) -> None:
        chunk, first = self._stream.chunk, self._stream.chunk.target_start
        ahead = held.expand(-1, chunk.num_frames - first, *held.shape[2:])
        self._actions = torch.cat([self._stream.actions, ahead], dim=1)
        self._noise.step = self.plan.first * len(chunk.steps)
        end = first + chunk.num_kept_frames
        plan = Plan(chunk=chunk, chunk_starts=(0,), start=first, video_end=end, buffer_end=chunk.num_frames)
        stream = self._stream
        self._running = rollout(stream.model, stream.stores, plan, self._actions, stream.config, self._noise)

    def _move(self, plan: LivePlan) -> None:
        """Take over a plan; where it begins later, what lies before becomes context."""
        if plan.first > self.plan.first:
            self._stream.advance(plan.first - self.plan.first, self._actions)
            self._running = None
        self.plan = plan

    def latents(self, level: int, frame: int) -> Float[Tensor, "batch _height _width c"] | None:
        """What is written at a level of a video frame; None where nothing is, or not any more."""
        store, place = self._stream.stores[level], frame - self.plan.first + self._stream.chunk.target_start
        if not 0 <= place < store.shape[1] or not (found := store[:, place]).any():
            return None
        return found

    def state(self) -> dict[str, Tensor]:
        """What another object of the same settings needs to go on from the beginning of this chunk."""
        start, state = self._stream.chunk.target_start, self._stream.state()
        return {name: value[:, :start] if name.startswith("level_") else value for name, value in state.items()}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state, of an earlier moment or of a later one."""
        ahead = self._stream.chunk.num_frames - self._stream.chunk.target_start
        whole = {
            name: torch.cat([value, value.new_zeros(len(value), ahead, *value.shape[2:])], dim=1)
            if name.startswith("level_")
            else value
            for name, value in state.items()
        }
        self._stream.frame = int(state["frame"])  # no actions lie upcoming that would have to be passed over
        self._stream.resume(whole)
        self.plan, self._running = LivePlan(chunk=self._stream.chunk, first=self._stream.frame), None
