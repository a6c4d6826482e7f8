"""The whole system in one object: context frames and actions in, remembered video out."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.diffusion import Noise, RolloutProgress, SamplerConfig, VideoDiT, VideoModelInfo, rollout
from millivid.diffusion.actions import known_actions
from millivid.rollout import plan
from millivid.tokenizer import HierarchicalTokenizer, fingerprint


class VideoPipeline:
    """A tokenizer, a video model and the rollout schedule that it was trained for."""

    def __init__(self, tokenizer: HierarchicalTokenizer, model: VideoDiT, info: VideoModelInfo) -> None:
        self.tokenizer, self.model, self.info = tokenizer, model, info
        self.schedule = info.make_schedule()

    @classmethod
    def from_pretrained(cls, model: str | Path, tokenizer: str | Path) -> Self:
        """Load a trained video model's folder and its tokenizer's.

        Raises ValueError when a folder holds no such model, or the video model was trained on another tokenizer.
        """
        video_model, info = VideoDiT.from_pretrained(model), VideoModelInfo.read(model)
        loaded = HierarchicalTokenizer.from_pretrained(tokenizer)
        if fingerprint(loaded) != info.tokenizer:
            raise ValueError(
                f"{model} was trained on latents of tokenizer {info.tokenizer}, but {tokenizer} is "
                f"{fingerprint(loaded)}; give the tokenizer it was trained with"
            )
        return cls(loaded, video_model, info)

    def to(self, device: str | torch.device) -> Self:
        """Move both models; returns self."""
        self.tokenizer.to(device)
        self.model.to(device)
        return self

    @property
    def num_context_frames(self) -> int:
        """How many frames have to be given before the first generated one."""
        return self.schedule.chunk(self.model.config.tokens_per_level).num_context_frames

    def sampling_steps(self, steps: int | None = None) -> int:
        """The sampler's steps: as given, else those that the model was measured with.

        Raises ValueError where nobody says.
        """
        steps = self.info.sampling_steps if steps is None else steps
        if steps is None:
            raise ValueError("the model does not say how many sampling steps it was measured with; give steps=50 or so")
        return steps

    @torch.no_grad()
    def generate(
        self,
        frames: Float[Tensor, "batch context 3 h w"],
        actions: Int[Tensor, "batch frame"] | Float[Tensor, "batch frame action"],
        *,
        steps: int | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
        on_step: Callable[[RolloutProgress], object] | None = None,
    ) -> Float[Tensor, "batch generated 3 h w"]:
        """The frames after the context, one for every further action.

        frames: the context in [0, 1]; actions: of every frame, the context's too; both go where the models are. steps,
        guidance: see `SamplerConfig`; by default the steps that the model was measured with. generator: of the models' device.
        Raises ValueError when the context is shorter than the schedule's memory, and for frames, actions or settings that
        cannot be.
        """
        if not isinstance(frames, Tensor) or frames.ndim != 5:
            came = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
            raise ValueError(f"frames are {came}; expected a tensor (batch, context, 3, height, width)")
        actions = known_actions(actions, self.model.config, len(frames), self.info.action_names, gaps=False)
        sampler = SamplerConfig(steps=self.sampling_steps(steps), guidance=guidance, shift=self.info.shift)
        noise = Noise(generator)
        start, end = frames.shape[1], actions.shape[1]
        if start < self.num_context_frames:
            raise ValueError(f"{start} context frames are too few; the model needs {self.num_context_frames} or more")
        if end <= start:
            raise ValueError(f"{end} actions for {start} context frames leave nothing to generate; give more actions")
        planned = plan(self.schedule, self.model.config.tokens_per_level, start, end)
        device = next(self.model.parameters()).device
        frames, actions = frames.to(device), actions.to(device)
        given = self.tokenizer.encode(frames)
        stores = []
        for latent in given[: planned.chunk.num_levels]:
            store = latent.new_zeros(latent.shape[0], planned.buffer_end, *latent.shape[2:])
            store[:, :start] = latent
            stores.append(store)
        missing = planned.buffer_end - end
        padded = torch.cat([actions, actions.new_zeros(len(actions), max(0, missing), *actions.shape[2:])], dim=1)
        for progress in rollout(self.model, stores, planned, padded, sampler, noise):
            if on_step is not None:
                on_step(progress)
        wrong = f"the model gives no finite numbers with guidance={guidance:g}; use guidance=1, or a model that is not damaged"
        if not torch.isfinite(stores[0]).all():
            raise ValueError(wrong)
        made = torch.cat([self.tokenizer.decode((part,)) for part in stores[0][:, start:end].split(64, dim=1)], dim=1)
        if not torch.isfinite(made).all():
            raise ValueError(wrong)
        return made.clamp(0, 1)
