"""The whole system in one object: context frames and actions in, remembered video out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.app.live import LiveSession
from millivid.app.pipeline_folder import find_pipeline, push_pipeline, save_pipeline
from millivid.command import Precision, autocast, device_named, precision_on
from millivid.diffusion import (
    LatentStream,
    LiveLatents,
    Noise,
    RolloutProgress,
    SamplerConfig,
    SeededNoise,
    VideoDiT,
    VideoModelInfo,
)
from millivid.diffusion.actions import known_actions
from millivid.tokenizer import HierarchicalTokenizer, fingerprint


class VideoPipeline:
    """A tokenizer, a video model and the rollout schedule that it was trained for."""

    def __init__(
        self, tokenizer: HierarchicalTokenizer, model: VideoDiT, info: VideoModelInfo, precision: Precision = "auto"
    ) -> None:
        precision_on("cpu", precision)  # if it is none it says so
        self.tokenizer, self.model, self.info, self.precision = tokenizer, model, info, precision
        self.schedule = info.make_schedule()
        self.about: str | None = None
        """What introduces the model: the text of its README.md, figures included."""

    @classmethod
    def from_pretrained(
        cls, model: str | Path, tokenizer: str | Path | None = None, precision: Precision = "auto"
    ) -> Self:
        """Load a pipeline: "tiny", which is shipped, the folder of a saved one, or its name on the Hugging Face hub.

        tokenizer: where `model` is a video model's folder alone, its tokenizer's. precision: bf16, fp32, or auto for bf16
        where it is fast.

        Raises ValueError when there is no such pipeline or only half of one, when it is of another version, and when the video
        model was trained on another tokenizer.
        """
        about = None
        if tokenizer is None:
            parts = find_pipeline(model)
            model, tokenizer, about = parts.model, parts.tokenizer, parts.about
        video_model, info = VideoDiT.from_pretrained(model), VideoModelInfo.read(model)
        loaded = HierarchicalTokenizer.from_pretrained(tokenizer)
        if fingerprint(loaded) != info.tokenizer:
            raise ValueError(
                f"{model} was trained on latents of tokenizer {info.tokenizer}, but {tokenizer} is "
                f"{fingerprint(loaded)}; give the tokenizer it was trained with"
            )
        made = cls(loaded, video_model, info, precision)
        made.about = about
        return made

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> Path:
        """Write all of it into one new folder, whole or not at all: models, schedule, sampler, actions, card (docs/formats.md).

        license: of the weights, as the hub names it, such as "mit". Returns the folder. Raises ValueError where something is
        there, and for weights that are not finite.
        """
        save_pipeline(Path(folder), self.tokenizer, self.model, self.info, self.about, license)
        return Path(folder)

    def push_to_hub(
        self, repo: str, *, license: str | None = None, private: bool | None = None, token: str | None = None
    ) -> str:
        """Save it on the Hugging Face hub under owner/name; returns the address. Raises ValueError where the hub refuses."""
        return push_pipeline(repo, lambda folder: self.save_pretrained(folder, license=license), private, token)

    def to(self, device: str | torch.device) -> Self:
        """Move both models, "auto" to the fastest device that is there; returns self."""
        device = device_named(device) if isinstance(device, str) else device
        self.tokenizer.to(device)
        self.model.to(device)
        return self

    def compile(self) -> Self:
        """Let torch compile the video model's blocks, which takes its time at the first frames; returns self."""
        self.model.compile_blocks()
        return self

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.model.parameters()).device

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, self.precision)

    @property
    def num_context_frames(self) -> int:
        """How many frames have to be given before the first generated one."""
        return self.schedule.chunk(self.model.config.tokens_per_level).num_context_frames

    def sampler(
        self,
        steps: int | None = None,
        guidance: float = 1.0,
        solver: str | None = None,
        last_time: float | None = None,
    ) -> SamplerConfig:
        """How rollout steps are sampled: as given, else as the model was measured.

        Raises ValueError for settings that cannot be, and where nobody says how many steps.
        """
        steps = self.info.sampling_steps if steps is None else steps
        if steps is None:
            raise ValueError("the model does not say how many sampling steps it was measured with; give steps=50 or so")
        return SamplerConfig(
            steps=steps,
            guidance=guidance,
            shift=self.info.shift,
            solver=self.info.solver if solver is None else solver,
            last_time=self.info.last_time if last_time is None else last_time,
        )

    def stream(
        self,
        frames: Float[Tensor, "batch context 3 h w"],
        actions: Tensor | Iterable[Tensor],
        *,
        steps: int | None = None,
        guidance: float = 1.0,
        solver: str | None = None,
        last_time: float | None = None,
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[RolloutProgress], object] | None = None,
    ) -> Iterator[Float[Tensor, "batch some 3 h w"]]:
        """The frames after the context as they are finished, a few at a time; memory does not grow with their number.

        frames: the context in [0, 1]. actions: of the context's frames and on: a tensor as `generate` takes it, or an
        iterable of any length of each frame's (batch) categories or (batch, action) vectors, of which as many are taken
        ahead as the schedule looks ahead. The video ends with the actions. Other settings: see `generate`.

        Raises ValueError as `generate` does; for actions of an iterable when they are reached.
        """
        stream = self.latents(
            frames,
            actions,
            self.sampler(steps, guidance, solver, last_time),
            noise=_noise(seed, generator, len(frames) if isinstance(frames, Tensor) else 0),
        )
        return self._frames(stream, on_step)

    def _frames(
        self, stream: LatentStream, on_step: Callable[[RolloutProgress], object] | None
    ) -> Iterator[Float[Tensor, "batch some 3 h w"]]:
        while (chunk := stream.next_chunk()) is not None:  # takes actions, which is none of what is computed
            yield from (made for _, made in self.decoded(chunk, on_step) if made.shape[1])

    def latents(
        self,
        frames: Float[Tensor, "batch context 3 h w"],
        actions: Tensor | Iterable[Tensor],
        sampler: SamplerConfig,
        noise: Noise | None = None,
    ) -> LatentStream:
        """The stream of latents after the context; frames and actions as `stream` takes them."""
        given = self._encode(frames)
        if isinstance(actions, Tensor):
            names = self.info.action_names
            actions = known_actions(actions, self.model.config, len(frames), names, gaps=False).unbind(1)
        return LatentStream(self.model, self.schedule, given, actions, sampler, noise, self.info.action_names)

    def _encode(self, frames: object) -> list[Tensor]:
        if not isinstance(frames, Tensor) or frames.ndim != 5:
            came = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
            raise ValueError(f"frames are {came}; expected a tensor (batch, context, 3, height, width)")
        with torch.no_grad(), self._autocast():
            return [level.float() for level in self.tokenizer.encode(frames.to(self.device))]

    def live(
        self,
        frames: Float[Tensor, "context 3 h w"],
        actions: Int[Tensor, " context"] | Float[Tensor, "context action"],
        poses: Float[Tensor, "context 5"] | None = None,
        *,
        steps: int | None = None,
        guidance: float = 1.0,
        solver: str | None = None,
        last_time: float | None = None,
        seed: int = 0,
        keep: int = 4096,
    ) -> LiveSession:
        """A walk that goes on from its context, one action after the other.

        frames: in [0, 1]; actions: theirs; poses: theirs, [5] as in `millivid.data.clip.POSE_NAMES`, for where the walk is.
        keep: how many of the newest frames stay at hand, to go back to and to be saved. Other settings: see `generate`.

        Raises ValueError when the context is shorter than the schedule's memory, and for frames, actions or settings that
        cannot be.
        """
        sampler = self.sampler(steps, guidance, solver, last_time)
        given = self._encode(frames.unsqueeze(0) if isinstance(frames, Tensor) and frames.ndim == 4 else frames)
        names, config = self.info.action_names, self.model.config
        if not isinstance(actions, Tensor) or len(actions) != len(frames):
            raise ValueError(f"a walk begins with the action of each of its {len(frames)} context frames; give as many")
        if poses is not None and poses.shape != (len(frames), 5):
            raise ValueError(f"poses are {tuple(poses.shape)}; expected one of 5 numbers for each context frame")
        known = known_actions(actions.unsqueeze(0), config, 1, names, gaps=False)
        latents = LiveLatents(self.model, self.schedule, given, known.unbind(1), sampler, (seed,), names)
        source = {
            "generated_by": fingerprint(self.model),
            "schedule": self.schedule.settings(),
            **{name: value for name, value in asdict(sampler).items() if name != "shift"},
            "precision": precision_on(self.device, self.precision),
            "seed": seed,
        }
        return LiveSession(
            latents,
            self.tokenizer,
            frames,
            known[0],
            poses,
            keep=keep,
            odometry=config.odometry,
            autocast=self._autocast,
            source=source,
            action_names=names,
        )

    @torch.no_grad()
    def decoded(
        self,
        steps: Iterable[tuple[RolloutProgress, Tensor]],
        on_step: Callable[[RolloutProgress], object] | None = None,
    ) -> Iterator[tuple[RolloutProgress, Float[Tensor, "batch some 3 h w"]]]:
        """Steps of a stream, with frames in [0, 1] for its latents."""
        steps = iter(steps)
        while True:
            with self._autocast():  # and not over a yield, from where it would reach whoever asks for frames
                if (step := next(steps, None)) is None:
                    return
                progress, latents = step
                made = latents.new_zeros(len(latents), 0, 3, *self.tokenizer.config.image_size)
                if latents.shape[1]:
                    made = self.tokenizer.decode((latents,)).float().clamp(0, 1)
            if latents.shape[1] and not torch.isfinite(made).all():
                raise ValueError("the tokenizer gives no finite numbers; give one that is not damaged")
            if on_step is not None:
                on_step(progress)
            yield progress, made

    def generate(
        self,
        frames: Float[Tensor, "batch context 3 h w"],
        actions: Int[Tensor, "batch frame"] | Float[Tensor, "batch frame action"],
        *,
        steps: int | None = None,
        guidance: float = 1.0,
        solver: str | None = None,
        last_time: float | None = None,
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        on_step: Callable[[RolloutProgress], object] | None = None,
    ) -> Float[Tensor, "batch generated 3 h w"]:
        """The frames after the context, one for every further action.

        frames: the context in [0, 1]; actions: of every frame, the context's too. steps, guidance, solver, last_time: see
        `SamplerConfig`; by default as the model was measured. seed: one for each video or one for all; a video's frames are
        then the same alone and beside others. generator: instead of a seed, of the models' device.

        Raises ValueError when the context is shorter than the schedule's memory, and for frames, actions or settings that
        cannot be.
        """
        if not isinstance(actions, Tensor):
            raise ValueError(f"actions are a {type(actions).__name__}; the model takes a tensor, or use stream")
        made = self.stream(
            frames,
            actions,
            steps=steps,
            guidance=guidance,
            solver=solver,
            last_time=last_time,
            seed=seed,
            generator=generator,
            on_step=on_step,
        )
        return torch.cat(list(made), dim=1)


def _noise(seed: int | Sequence[int] | None, generator: torch.Generator | None, batch: int) -> Noise:
    if seed is None:
        return Noise(generator)
    if generator is not None:
        raise ValueError("seed and generator are both given; give one of them")
    if isinstance(seed, str) or not isinstance(seed, Iterable) or getattr(seed, "ndim", 1) == 0:
        return SeededNoise((seed,) * batch)  # type: ignore[arg-type]  # what is no number is refused there
    return SeededNoise(tuple(seed))
