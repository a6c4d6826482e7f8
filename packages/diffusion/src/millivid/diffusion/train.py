"""Train a video model on a latent dataset: `python -m millivid.diffusion.train experiment=... data=... out=...`."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from millivid.data import LatentDataset
from millivid.diffusion.config import VideoDiTConfig
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.motion import dead_reckon
from millivid.diffusion.objective import diffusion_loss, draw
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.kernels import pack_tokens
from millivid.rollout import Chunk, make_schedule
from millivid.training import (
    REQUIRED,
    ConfigError,
    TrainingConfig,
    check_device,
    load_config,
    open_run,
    to_plain,
    train,
    write_json,
)

CONF = Path(__file__).parent / "conf"
VIDEO_MODEL_FILE = "video_model.json"


@dataclass(frozen=True, kw_only=True)
class TrainDiffusionConfig:
    """A video model's training run.

    data: a latent dataset, whose grids and channels the model takes over; out: the run's folder, where `model/` ends
    up. schedule: the rollout schedule to train for, by name and settings. context_dropout: how often an example sees no
    context and no actions, or still the actions with drop_actions=false. shift: of the noise schedule.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    schedule: dict[str, object] = field(
        default_factory=lambda: {"name": "millivid", "windows": [3, 12, 48, 192], "history": 768}
    )
    model: VideoDiTConfig = field(default_factory=VideoDiTConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(steps=192_000, batch_size=48))
    context_dropout: float = 0.1
    drop_actions: bool = True
    shift: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0 <= self.context_dropout <= 1:
            raise ValueError(f"context_dropout is {self.context_dropout}; it must lie between 0 and 1")
        if not 0 < self.shift < math.inf:
            raise ValueError(f"shift is {self.shift}; it must be positive and finite")


@dataclass(frozen=True)
class Example:
    """A batch of packed windows: latents per token, and action and pose per cell."""

    x: Tensor
    tokens: TokenBatch
    action: Tensor
    pose: Tensor | None


class DiffusionTask:
    """Denoise the targets of a schedule's steps, in windows drawn from training videos held in memory."""

    def __init__(self, model: VideoDiT, dataset: LatentDataset, chunk: Chunk, config: TrainDiffusionConfig) -> None:
        self.model, self.chunk, self.config = model, chunk, config
        num_levels = chunk.num_levels if model.config.patchify == "linear" else 1
        ids = _long_enough(dataset, chunk)
        self.levels: list[list[Tensor]] = []
        self.actions: list[Tensor] = []
        with tqdm(ids, desc="read latents", unit="video") as bar:
            for id in bar:
                self.levels.append([torch.from_numpy(dataset.read(id, level)) for level in range(num_levels)])
                self.actions.append(torch.from_numpy(np.asarray(dataset.actions(id), dtype=np.int64)))
        self.steps = [model.tokens_of(step) for step in chunk.steps]
        self.probabilities = torch.from_numpy(np.array(chunk.step_probabilities))

    def batch(self, step: int, generator: torch.Generator) -> Example:
        """A video, a window of it and a step of the schedule per example."""
        size, frames = self.config.training.batch_size, self.chunk.num_frames
        videos = torch.randint(len(self.levels), (size,), generator=generator).tolist()
        chosen = torch.multinomial(self.probabilities, size, replacement=True, generator=generator).tolist()
        starts = [
            int(torch.randint(len(self.actions[video]) - frames + 1, (), generator=generator)) for video in videos
        ]
        where = list(zip(videos, starts, strict=True))
        stores = [
            torch.stack([self.levels[video][level][start : start + frames] for video, start in where]).float()
            for level in range(len(self.levels[0]))
        ]
        actions = torch.stack([self.actions[video][start : start + frames] for video, start in where])
        tokens = stack_tokens([self.steps[index] for index in chosen])
        x = pack_tokens(stores, tokens.level, tokens.frame, tokens.row, tokens.column)
        pose = None
        if self.model.config.odometry is not None:
            poses = dead_reckon(actions, self.model.config.odometry)
            pose = poses.gather(1, tokens.cell_frame.unsqueeze(-1).expand(-1, -1, 3))
        return Example(x=x, tokens=tokens, action=actions.gather(1, tokens.cell_frame), pose=pose)

    def loss(self, batch: Example, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The diffusion objective, and its mean per level written."""
        device = self.config.device
        draws = draw(batch.x, self.config.context_dropout, generator)
        draws = replace(draws, t=draws.t.to(device), dropped=draws.dropped.to(device), eps=draws.eps.to(device))
        tokens = batch.tokens.to(device)
        x = self.model.normalize(batch.x.to(device), tokens.level)
        pose = None if batch.pose is None else batch.pose.to(device)
        loss, per_example = diffusion_loss(
            self.model, x, tokens, batch.action.to(device), draws, pose, self.config.shift, self.config.drop_actions
        )
        written = torch.where(tokens.cell_is_target, tokens.cell_level, self.chunk.num_levels).amin(dim=1)
        parts = {
            f"loss_level_{level}": per_example[written == level].mean()
            for level in range(self.chunk.num_levels)
            if (written == level).any()
        }
        return loss, parts


def train_diffusion(config: TrainDiffusionConfig) -> Path:
    """Train, or go on training, and save the model with its schedule and its tokenizer's fingerprint; returns its folder.

    Raises ValueError with one sentence for data or folders that do not fit.
    """
    check_device(config.device)
    dataset = LatentDataset(config.data)
    for name, given, default in (
        ("grids", dataset.index.grids, VideoDiTConfig.grids),
        ("latent_channels", dataset.index.channels, VideoDiTConfig.latent_channels),
    ):
        if (asked := getattr(config.model, name)) not in (given, default):
            raise ConfigError(f"model.{name} is {asked}, but the latents in {config.data} have {given}; leave it out")
    if config.model.num_actions and config.model.num_actions != len(dataset.index.action_names):
        raise ConfigError(
            f"model.num_actions is {config.model.num_actions}, but {config.data} has the "
            f"{len(dataset.index.action_names)} actions {', '.join(dataset.index.action_names)}"
        )
    model_config = replace(config.model, grids=dataset.index.grids, latent_channels=dataset.index.channels)
    schedule = make_schedule(**config.schedule)  # type: ignore[arg-type]
    chunk = schedule.chunk(model_config.tokens_per_level)
    if not _long_enough(dataset, chunk):
        raise ConfigError(
            f"no training video of {config.data} has the {chunk.num_frames} frames that schedule {schedule.name} needs; "
            "record longer videos or use smaller windows"
        )
    open_run(config.out, "a video model's training", to_plain(config))
    if (config.out / "model" / VIDEO_MODEL_FILE).is_file():
        return config.out / "model"
    torch.manual_seed(config.training.seed)
    model = VideoDiT(model_config)
    if model_config.normalize_latents:
        model.latent_mean.copy_(torch.from_numpy(dataset.index.statistics.mean))
        model.latent_std.copy_(torch.from_numpy(dataset.index.statistics.std))
    model.to(config.device)
    train(DiffusionTask(model, dataset, chunk, config), config.training, config.out)
    model.save_pretrained(config.out / "model")
    about = {
        "schedule": schedule.settings(),
        "tokenizer": dataset.index.tokenizer["fingerprint"],
        "shift": config.shift,
        "examples": config.training.steps * config.training.batch_size,
    }
    write_json(config.out / "model" / VIDEO_MODEL_FILE, about)
    return config.out / "model"


def _long_enough(dataset: LatentDataset, chunk: Chunk) -> list[str]:
    return [id for id in dataset.index.splits.get("train", ()) if dataset.num_frames(id) >= chunk.num_frames]


def main(overrides: Sequence[str]) -> Path:
    """Train from `key=value` words."""
    return train_diffusion(load_config(TrainDiffusionConfig, overrides, CONF))


if __name__ == "__main__":
    main(sys.argv[1:])
