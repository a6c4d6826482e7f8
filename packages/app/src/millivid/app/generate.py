"""Generate videos for a clip dataset's context frames and actions, and write them as clips."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from millivid.app.loops import Way, loop_ways
from millivid.app.pipeline import VideoPipeline
from millivid.command import REQUIRED, ConfigError, check_device
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.diffusion import SamplerConfig, fingerprint
from millivid.rollout import plan


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What to generate.

    data: a clip dataset; model, tokenizer: saved models; out: a clip dataset of the same ids whose first `context`
    frames are the given ones. split, count: the first videos of that split, 0 for all. frames: generated frames per
    video, 0 for as many as the truth has. loop: if above 0, do so many of the recorded actions after the context and
    then what leads back to the last context frame's pose (see `loop_ways`). steps, guidance, seed: of the sampler. batch:
    videos at once.
    """

    data: Path = REQUIRED
    model: Path = REQUIRED
    tokenizer: Path = REQUIRED
    out: Path = REQUIRED
    split: str = "test"
    count: int = 0
    context: int = 84
    frames: int = 0
    loop: int = 0
    steps: int = 6
    guidance: float = 1.0
    seed: int = 0
    batch: int = 8
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, least in (("count", 0), ("context", 1), ("frames", 0), ("loop", 0), ("seed", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.loop and self.frames:
            raise ValueError(f"loop={self.loop} says how many frames there are; leave frames={self.frames} out")
        if self.seed >= 2**31:
            raise ValueError(f"seed is {self.seed}; it must be below 2^31")
        SamplerConfig(steps=self.steps, guidance=self.guidance)


def generate_videos(config: GenerateConfig) -> Path:
    """Generate and write videos, batch by batch; a stopped run goes on with the batches that are missing."""
    dataset = ClipDataset(config.data)
    check_device(config.device)
    pipeline = VideoPipeline.from_pretrained(config.model, config.tokenizer).to(config.device)
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
    model, names = pipeline.model.config, dataset.index.action_names
    if model.num_actions and (model.action_type, model.num_actions) != (dataset.index.action_type, len(names)):
        raise ConfigError(
            f"{config.data} has {len(names)} {dataset.index.action_type} actions, but {config.model} was trained with "
            f"{model.num_actions} {model.action_type} ones; give clips with those"
        )
    ways = _ways(config, dataset, ids)
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
            "context": config.context,
            **({"loop": config.loop} if config.loop else {"frames": len(ways[ids[0]]) - config.context}),
            "steps": config.steps,
            "guidance": config.guidance,
            "seed": config.seed,
            "batch": config.batch,
        },
    )
    batches = _batches(ids, ways, config.batch)
    tokens = pipeline.model.config.tokens_per_level
    steps = [len(plan(pipeline.schedule, tokens, config.context, len(ways[batch[0]]))) for batch in batches]
    with tqdm(total=sum(steps), desc=f"generate {config.out.name}", unit="step") as bar:
        for number, batch in enumerate(batches):
            if all(writer.done(id) for id in batch):
                bar.update(steps[number])
                continue
            truth = torch.stack([torch.from_numpy(dataset.read(id, 0, config.context).frames) for id in batch])
            actions = torch.stack([torch.from_numpy(ways[id].actions) for id in batch])
            made = pipeline.generate(
                truth.permute(0, 1, 4, 2, 3).float() / 255,
                actions,
                steps=config.steps,
                guidance=config.guidance,
                generator=torch.Generator(config.device).manual_seed(config.seed * 1_000_003 + number),
                on_step=lambda _: bar.update(),
            )
            pixels = (made * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu()
            for id, given, new in zip(batch, truth, pixels, strict=True):
                frames = torch.cat([given, new]).numpy()
                writer.write(id, Clip(frames=frames, actions=ways[id].actions, poses=ways[id].poses))
    writer.finish({config.split: ids})
    return config.out


def _ways(config: GenerateConfig, dataset: ClipDataset, ids: list[str]) -> dict[str, Way]:
    """What is done in each video: as recorded, or a loop."""
    wanted = config.loop or config.frames
    end = config.context + wanted if wanted else min(dataset.num_frames(id) for id in ids)
    short = [id for id in ids if dataset.num_frames(id) < end]
    if short or end <= config.context:
        raise ConfigError(
            f"{end - config.context} frames after {config.context} of context need {end} true frames and actions, but "
            f"{(short or ids)[0]} has {dataset.num_frames((short or ids)[0])}; lower "
            f"{'loop' if config.loop else 'frames'}= or context="
        )
    if config.loop:
        return loop_ways(dataset, ids, config.context, config.loop)
    return {id: Way(actions=dataset.actions(id, 0, end), poses=dataset.poses(id, 0, end)) for id in ids}


def _batches(ids: list[str], ways: dict[str, Way], size: int) -> list[list[str]]:
    """Videos of equal length, `size` at a time, the shorter ones first."""
    groups = [[id for id in ids if len(ways[id]) == length] for length in sorted({len(ways[id]) for id in ids})]
    return [group[first : first + size] for group in groups for first in range(0, len(group), size)]
