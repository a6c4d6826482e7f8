"""Generate videos for a clip dataset's context frames and actions, and write them as clips."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from millivid.app.pipeline import VideoPipeline
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.diffusion import SamplerConfig, fingerprint
from millivid.rollout import plan
from millivid.training import REQUIRED, ConfigError


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What to generate.

    data: a clip dataset; model, tokenizer: saved models; out: a clip dataset of the same ids whose first `context`
    frames are the given ones. split, count: the first videos of that split, 0 for all. frames: generated frames per
    video, 0 for as many as the truth has. steps, guidance, seed: of the sampler.
    """

    data: Path = REQUIRED
    model: Path = REQUIRED
    tokenizer: Path = REQUIRED
    out: Path = REQUIRED
    split: str = "test"
    count: int = 0
    context: int = 84
    frames: int = 0
    steps: int = 6
    guidance: float = 1.0
    seed: int = 0
    batch: int = 8

    def __post_init__(self) -> None:
        for name, least in (("count", 0), ("context", 1), ("frames", 0), ("seed", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.seed >= 2**31:
            raise ValueError(f"seed is {self.seed}; it must be below 2^31")
        SamplerConfig(steps=self.steps, guidance=self.guidance)


def generate_videos(config: GenerateConfig) -> Path:
    """Generate and write videos, batch by batch; a stopped run goes on with the batches that are missing."""
    dataset = ClipDataset(config.data)
    pipeline = VideoPipeline.from_pretrained(config.model, config.tokenizer)
    ids = list(dataset.ids(config.split))[: config.count or None]
    if not ids:
        raise ConfigError(f"{config.data} has no videos in split {config.split!r}; it has {list(dataset.index.splits)}")
    if tuple(dataset.index.size) != pipeline.tokenizer.config.image_size:
        raise ConfigError(
            f"{config.data} has frames of {tuple(dataset.index.size)}, but the tokenizer takes "
            f"{pipeline.tokenizer.config.image_size}; give clips of that size"
        )
    if config.context < pipeline.num_context_frames:
        raise ConfigError(
            f"context={config.context} is shorter than the {pipeline.num_context_frames} frames that schedule "
            f"{pipeline.schedule.name} reads; use context={pipeline.num_context_frames} or more"
        )
    end = config.context + config.frames if config.frames else min(dataset.num_frames(id) for id in ids)
    short = [id for id in ids if dataset.num_frames(id) < end]
    if short or end <= config.context:
        raise ConfigError(
            f"{end - config.context} frames after {config.context} of context need {end} true frames and actions, but "
            f"{(short or ids)[0]} has {dataset.num_frames((short or ids)[0])}; lower frames= or context="
        )
    writer = ClipWriter(
        config.out,
        fps=dataset.index.fps,
        size=dataset.index.size,
        action_names=dataset.index.action_names,
        pose_names=dataset.index.pose_names,
        lossless=True,
        source={
            "generated_by": fingerprint(pipeline.model),
            "schedule": pipeline.schedule.settings(),
            "context": config.context,
            "frames": end - config.context,
            "steps": config.steps,
            "guidance": config.guidance,
            "seed": config.seed,
            "batch": config.batch,
        },
    )
    batches = [ids[first : first + config.batch] for first in range(0, len(ids), config.batch)]
    num_steps = len(plan(pipeline.schedule, pipeline.model.config.tokens_per_level, config.context, end))
    with tqdm(total=len(batches) * num_steps, desc=f"generate {config.out.name}", unit="step") as bar:
        for number, batch in enumerate(batches):
            if all(writer.done(id) for id in batch):
                bar.update(num_steps)
                continue
            clips = [dataset.read(id, 0, end) for id in batch]
            truth = torch.stack([torch.from_numpy(clip.frames[: config.context]) for clip in clips])
            actions = torch.stack([torch.from_numpy(clip.actions).long() for clip in clips])
            made = pipeline.generate(
                truth.permute(0, 1, 4, 2, 3).float() / 255,
                actions,
                steps=config.steps,
                guidance=config.guidance,
                generator=torch.Generator().manual_seed(config.seed * 1_000_003 + number),
                on_step=lambda _: bar.update(),
            )
            pixels = (made * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
            for id, clip, given, new in zip(batch, clips, truth, pixels, strict=True):
                frames = torch.cat([given, new]).numpy()
                writer.write(id, Clip(frames=frames, actions=clip.actions, poses=clip.poses))
    writer.finish({config.split: ids})
    return config.out
