"""Generate videos for a clip dataset's context frames and actions, and write them as clips."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor
from tqdm import tqdm

from millivid.app.pipeline import VideoPipeline
from millivid.app.pipeline_folder import chosen
from millivid.app.unfinished import UnfinishedVideos
from millivid.command import (
    REQUIRED,
    ConfigError,
    Precision,
    alone_in_out,
    check_device,
    device_named,
    precision_on,
)
from millivid.data import Clip, ClipDataset, ClipWriter
from millivid.diffusion import LatentStream, SamplerConfig, SeededNoise, fingerprint
from millivid.files.values import check_number

UNFINISHED = ".unfinished"


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Go on from the first frames of videos, by their actions.

    data: a clip dataset; pipeline: a saved one, its name on the hub, or "tiny" for the shipped one; model, tokenizer: saved
    models instead; out: a clip dataset of the same ids whose first `context` frames are the given ones. split: which videos.
    count: the first so many of them, 0 for all. context: how many frames are given, null for as many as the model says. frames:
    generated frames per video, 0 for as many as the truth has. steps, solver, last_time: of the sampler, null for those that
    the model was measured with. guidance: 1 is none. seed: of the sampler. batch: videos at once. device: such as cpu or cuda,
    auto for the fastest that is there. precision: fp32, bf16, or auto for bf16 where it is fast. compile: let torch compile the
    network, which takes its time at the first frames.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    pipeline: str | None = None
    model: Path | None = None
    tokenizer: Path | None = None
    split: str = "test"
    count: int = 0
    context: int | None = None
    frames: int = 0
    steps: int | None = None
    solver: str | None = None
    last_time: float | None = None
    guidance: float = 1.0
    seed: int = 0
    batch: int = 8
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        chosen(self.pipeline, self.model, self.tokenizer)
        check_number(self.count, "count", 0, whole=True)
        check_number(1 if self.context is None else self.context, "context", 1, whole=True)
        check_number(self.frames, "frames", 0, whole=True)
        check_number(self.seed, "seed", 0, 2**31 - 1, whole=True)
        check_number(self.batch, "batch", 1, whole=True)
        given = {name: getattr(self, name) for name in ("steps", "solver", "last_time", "guidance")}
        SamplerConfig(**{name: value for name, value in given.items() if value is not None})


@alone_in_out
def generate_videos(config: GenerateConfig) -> Path:
    """Generate and write videos, batch by batch; a run that was stopped goes on in the middle of the batch it was at."""
    dataset = ClipDataset(config.data)
    device = check_device(device_named(config.device))
    named = chosen(config.pipeline, config.model, config.tokenizer)
    pipeline = VideoPipeline.from_pretrained(*named, precision=config.precision).to(device)
    ids = list(dataset.ids(config.split))[: config.count or None]
    if not ids:
        raise ConfigError(f"{config.data} has no videos in split {config.split!r}; it has {list(dataset.index.splits)}")
    context = config.context or pipeline.info.context or pipeline.num_context_frames
    sampler = pipeline.sampler(config.steps, config.guidance, config.solver, config.last_time)
    _check_fit(config, dataset, pipeline, context)
    end = _end(config, dataset, ids, context)
    horizons = pipeline.info.horizons_within(end - context)
    source = {
        "generated_by": fingerprint(pipeline.model),
        "schedule": pipeline.schedule.settings(),
        "context": context,
        "frames": end - context,
        **({"horizons": list(horizons)} if pipeline.info.horizons else {}),
        "steps": sampler.steps,
        "solver": sampler.solver,
        "last_time": sampler.last_time,
        "guidance": sampler.guidance,
        "precision": precision_on(device, config.precision),
        "seed": config.seed,
        "batch": config.batch,
    }
    if config.compile:
        pipeline.compile()
    writer = ClipWriter(
        config.out,
        fps=dataset.index.fps,
        size=dataset.index.size,
        action_names=dataset.index.action_names,
        action_type=dataset.index.action_type,
        pose_names=dataset.index.pose_names,
        lossless=True,
        source=source,
    )
    with tqdm(total=len(ids) * (end - context), desc=f"generate {config.out.name}", unit="frame") as bar:
        for first in range(0, len(ids), config.batch):
            batch = ids[first : first + config.batch]
            if all(writer.done(id) for id in batch):
                bar.initial += len(batch) * (end - context)
                bar.update(len(batch) * (end - context))
                continue
            for id in batch:
                dataset.check(id)
            given = torch.stack([torch.from_numpy(dataset.read(id, 0, context).frames) for id in batch])
            actions = [dataset.actions(id, 0, end) for id in batch]
            unfinished = UnfinishedVideos(config.out / UNFINISHED / str(first), {"videos": batch, **source})
            stream = pipeline.latents(
                given.permute(0, 1, 4, 2, 3).float() / 255,
                torch.stack([torch.from_numpy(each) for each in actions]),
                sampler,
                SeededNoise([_seed_of(config.seed, id) for id in batch]),
            )
            videos = torch.cat([given, *_frames(pipeline, stream, unfinished, bar)], dim=1).numpy()
            for id, frames, done in zip(batch, videos, actions, strict=True):
                writer.write(id, Clip(frames=frames, actions=done, poses=dataset.poses(id, 0, end)))
            unfinished.remove()
    writer.finish({config.split: ids})
    shutil.rmtree(config.out / UNFINISHED, ignore_errors=True)
    return config.out


def _frames(
    pipeline: VideoPipeline, stream: LatentStream, unfinished: UnfinishedVideos, bar: tqdm
) -> Iterator[Shaped[Tensor, "batch some height width 3"]]:
    """The frames of a stream, uint8, chunk by chunk; those that a run before has made are taken from where it kept them."""
    if (found := unfinished.load()) is not None:
        for frames in found[0]:
            bar.initial += frames.shape[:2].numel()  # which makes them part of no rate
            bar.update(frames.shape[:2].numel())
            yield frames
        stream.resume(found[1])
    while (chunk := stream.next_chunk()) is not None:
        made = []
        for _, frames in pipeline.decoded(chunk):
            if frames.shape[1]:
                made.append((frames * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu())
                bar.update(made[-1].shape[:2].numel())
        unfinished.save(torch.cat(made, dim=1), stream.state())
        yield torch.cat(made, dim=1)


def _seed_of(seed: int, video: str) -> int:
    """A seed for a video, whichever batch it is in."""
    return int.from_bytes(hashlib.sha256(f"{seed} {video}".encode()).digest()[:7], "big")


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
