"""Generate videos for a clip dataset's context frames and actions, and write them as clips."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from millivid.app.pipeline import VideoPipeline
from millivid.command import REQUIRED, ConfigError, alone_in_out, check_device
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.diffusion import SamplerConfig, fingerprint
from millivid.files.values import check_number
from millivid.rollout import plan


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Go on from the first frames of videos, by their actions.

    data: a clip dataset; model, tokenizer: saved models; out: a clip dataset of the same ids whose first `context`
    frames are the given ones. split: which videos. count: the first so many of them, 0 for all. context: how many frames are
    given, null for as many as the model says. frames: generated frames per video, 0 for as many as the truth has. steps: of
    the sampler, null for those that the model was measured with. guidance: 1 is none. seed: of the sampler. batch: videos at
    once. device: such as cpu or cuda.
    """

    data: Path = REQUIRED
    model: Path = REQUIRED
    tokenizer: Path = REQUIRED
    out: Path = REQUIRED
    split: str = "test"
    count: int = 0
    context: int | None = None
    frames: int = 0
    steps: int | None = None
    guidance: float = 1.0
    seed: int = 0
    batch: int = 8
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_number(self.count, "count", 0, whole=True)
        check_number(1 if self.context is None else self.context, "context", 1, whole=True)
        check_number(self.frames, "frames", 0, whole=True)
        check_number(self.seed, "seed", 0, 2**31 - 1, whole=True)
        check_number(self.batch, "batch", 1, whole=True)
        SamplerConfig(steps=SamplerConfig.steps if self.steps is None else self.steps, guidance=self.guidance)


@alone_in_out
def generate_videos(config: GenerateConfig) -> Path:
    """Generate and write videos, batch by batch; a stopped run goes on with the batches that are missing."""
    dataset = ClipDataset(config.data)
    check_device(config.device)
    pipeline = VideoPipeline.from_pretrained(config.model, config.tokenizer).to(config.device)
    ids = list(dataset.ids(config.split))[: config.count or None]
    if not ids:
        raise ConfigError(f"{config.data} has no videos in split {config.split!r}; it has {list(dataset.index.splits)}")
    context = config.context or pipeline.info.context or pipeline.num_context_frames
    steps = pipeline.sampling_steps(config.steps)
    _check_fit(config, dataset, pipeline, context)
    end = _end(config, dataset, ids, context)
    horizons = pipeline.info.horizons_within(end - context)
    writer = ClipWriter(
        config.out,
        fps=dataset.index.fps,
        size=dataset.index.size,
        action_names=dataset.index.action_names,
        action_type=dataset.index.action_type,
        pose_names=dataset.index.pose_names,
        lossless=True,
        source={
            "generated_by": fingerprint(pipeline.model),
            "schedule": pipeline.schedule.settings(),
            "context": context,
            "frames": end - context,
            **({"horizons": list(horizons)} if pipeline.info.horizons else {}),
            "steps": steps,
            "guidance": config.guidance,
            "seed": config.seed,
            "batch": config.batch,
        },
    )
    batches = [ids[first : first + config.batch] for first in range(0, len(ids), config.batch)]
    per_batch = len(plan(pipeline.schedule, pipeline.model.config.tokens_per_level, context, end))
    with tqdm(total=per_batch * len(batches), desc=f"generate {config.out.name}", unit="step") as bar:
        for number, batch in enumerate(batches):
            if all(writer.done(id) for id in batch):
                bar.update(per_batch)
                continue
            for id in batch:
                dataset.check(id)
            given = torch.stack([torch.from_numpy(dataset.read(id, 0, context).frames) for id in batch])
            actions = [dataset.actions(id, 0, end) for id in batch]
            made = pipeline.generate(
                given.permute(0, 1, 4, 2, 3).float() / 255,
                torch.stack([torch.from_numpy(each) for each in actions]),
                steps=steps,
                guidance=config.guidance,
                generator=torch.Generator(config.device).manual_seed(config.seed * 1_000_003 + number),
                on_step=lambda _: bar.update(),
            )
            pixels = (made * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu()
            videos = torch.cat([given, pixels], dim=1).numpy()
            for id, frames, done in zip(batch, videos, actions, strict=True):
                writer.write(id, Clip(frames=frames, actions=done, poses=dataset.poses(id, 0, end)))
    writer.finish({config.split: ids})
    return config.out


def _check_fit(config: GenerateConfig, dataset: ClipDataset, pipeline: VideoPipeline, context: int) -> None:
    """Raise ConfigError where frames, context or actions are none that the model can go on from."""
    size = pipeline.tokenizer.config.image_size
    if tuple(dataset.index.size) != size:
        raise ConfigError(
            f"{config.data} has frames of {tuple(dataset.index.size)}, but the tokenizer takes {size}; give clips of that size"
        )
    if context < pipeline.num_context_frames:
        raise ConfigError(
            f"context={context} is shorter than the {pipeline.num_context_frames} frames that schedule "
            f"{pipeline.schedule.name} reads; use context={pipeline.num_context_frames} or more"
        )
    model, names = pipeline.model.config, dataset.index.action_names
    if not model.num_actions:
        return
    if (model.action_type, model.num_actions) != (dataset.index.action_type, len(names)):
        raise ConfigError(
            f"{config.data} has {len(names)} {dataset.index.action_type} actions, but {config.model} was trained with "
            f"{model.num_actions} {model.action_type} ones; give clips with those"
        )
    if pipeline.info.action_names and pipeline.info.action_names != tuple(names):
        raise ConfigError(
            f"{config.data} has the actions {', '.join(names)}, but {config.model} was trained with "
            f"{', '.join(pipeline.info.action_names)}; give clips with those"
        )


def _end(config: GenerateConfig, dataset: ClipDataset, ids: list[str], context: int) -> int:
    """How many frames each video gets, the context included; raises ConfigError where the truth has fewer."""
    end = context + config.frames if config.frames else min(dataset.num_frames(id) for id in ids)
    short = [id for id in ids if dataset.num_frames(id) < end]
    if short or end <= context:
        shown = (short or ids)[0]
        raise ConfigError(
            f"{max(end - context, 1)} frames after {context} of context need {max(end, context + 1)} true frames and actions, "
            f"but {shown} has {dataset.num_frames(shown)}; lower frames= or context="
        )
    return end
