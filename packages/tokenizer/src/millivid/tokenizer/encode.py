"""Encode a clip dataset into a latent dataset, video by video; a stopped run goes on where it was."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from millivid.data import ClipDataset, LatentWriter
from millivid.tokenizer.model import HierarchicalTokenizer
from millivid.tokenizer.pretrained import fingerprint
from millivid.training import REQUIRED, ConfigError, check_device


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """data: a clip dataset; tokenizer: a saved tokenizer; out: the latent dataset's folder; batch: frames at once."""

    data: Path = REQUIRED
    tokenizer: Path = REQUIRED
    out: Path = REQUIRED
    batch: int = 128
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}; it must be at least 1")


@torch.no_grad()
def encode_dataset(config: EncodeConfig) -> Path:
    """Write the latents of every video; returns the folder. Raises ValueError for data of another size."""
    check_device(config.device)
    dataset = ClipDataset(config.data)
    tokenizer = HierarchicalTokenizer.from_pretrained(config.tokenizer).to(config.device)
    if tuple(dataset.index.size) != tokenizer.config.image_size:
        raise ConfigError(
            f"{config.data} has frames of {tuple(dataset.index.size)}, but the tokenizer takes "
            f"{tokenizer.config.image_size}; record clips of that size"
        )
    writer = LatentWriter(
        config.out,
        fps=dataset.index.fps,
        action_names=dataset.index.action_names,
        grids=tokenizer.config.grids,
        channels=tokenizer.config.latent_channels,
        tokenizer={"fingerprint": fingerprint(tokenizer)},
        source=dataset.index.source,
        pose_names=dataset.index.pose_names,
    )
    with tqdm(dataset.ids(), desc="encode", unit="video") as bar:
        for id in bar:
            if writer.done(id):
                continue
            clip = dataset.read(id)
            frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
            parts = [tokenizer.encode(part.to(config.device).float() / 255) for part in frames.split(config.batch)]
            levels = [torch.cat(level).cpu().numpy().astype(np.float16) for level in zip(*parts, strict=True)]
            writer.write(id, levels, clip.actions, clip.poses)
    writer.finish(dataset.index.splits)
    return config.out
