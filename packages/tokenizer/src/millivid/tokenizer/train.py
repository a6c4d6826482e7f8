"""Train a tokenizer on a clip dataset: `python -m millivid.tokenizer.train experiment=tiny data=... out=...`."""

import importlib
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from millivid.data import ClipDataset
from millivid.tokenizer.config import TokenizerConfig
from millivid.tokenizer.model import HierarchicalTokenizer
from millivid.tokenizer.objective import Perceptual, level_psnr, tokenizer_loss
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
TEST_FRAMES = 2_000


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """A tokenizer's training run.

    data: a clip dataset; out: the run's folder, where `model/` ends up. frames_in_memory: how many training frames,
    evenly spread over the videos, are held and drawn from. perceptual: a "module:Class" whose object maps two image
    batches in [0, 1] to a distance per image, for example millivid.eval:LPIPS, made with perceptual_settings; null
    for none.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    model: TokenizerConfig = field(default_factory=TokenizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    frames_in_memory: int = 40_000
    perceptual: str | None = None
    perceptual_settings: dict[str, object] = field(default_factory=dict)
    perceptual_weight: float = 0.05
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.frames_in_memory < 1:
            raise ValueError(f"frames_in_memory is {self.frames_in_memory}; it must be at least 1")
        if not 0 <= self.perceptual_weight < math.inf:
            raise ValueError(f"perceptual_weight is {self.perceptual_weight}; it must be a number of at least 0")


class TokenizerTask:
    """Reconstruct frames drawn from a pool, each from one level drawn for it."""

    def __init__(
        self, model: HierarchicalTokenizer, pool: Tensor, config: TrainTokenizerConfig, perceptual: Perceptual | None
    ) -> None:
        self.model, self.pool, self.config, self.perceptual = model, pool, config, perceptual

    def batch(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames in [0, 1] and the level that each is decoded from."""
        size = (self.config.training.batch_size,)
        frames = self.pool[torch.randint(len(self.pool), size, generator=generator)]
        level = torch.randint(self.model.config.num_levels, size, generator=generator)
        return frames.permute(0, 3, 1, 2).float() / 255, level

    def loss(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The tokenizer's objective."""
        frames, level = (part.to(self.config.device) for part in batch)
        return tokenizer_loss(self.model, frames, level, self.perceptual, self.config.perceptual_weight)


def train_tokenizer(config: TrainTokenizerConfig) -> Path:
    """Train, or go on training, and save the model; returns its folder.

    Raises ValueError with one sentence for data of another size, an unusable folder or a checkpoint that does not fit.
    """
    check_device(config.device)
    perceptual = _load_perceptual(config)
    dataset = ClipDataset(config.data)
    if tuple(dataset.index.size) != config.model.image_size:
        raise ConfigError(
            f"{config.data} has frames of {tuple(dataset.index.size)}, but model.image_size is "
            f"{config.model.image_size}; set model.image_size={list(dataset.index.size)} or record other clips"
        )
    open_run(config.out, "a tokenizer's training", to_plain(config))
    if (config.out / "model" / "config.json").is_file():
        return config.out / "model"
    torch.manual_seed(config.training.seed)
    model = HierarchicalTokenizer(config.model).to(config.device)
    task = TokenizerTask(model, load_pool(dataset, config.frames_in_memory), config, perceptual)
    train(task, config.training, config.out)
    if dataset.index.splits.get("test"):
        frames = load_pool(dataset, TEST_FRAMES, "test").permute(0, 3, 1, 2).to(config.device).float() / 255
        psnr = level_psnr(model, frames)
        write_json(config.out / "metrics.json", {"test_frames": len(frames), "psnr_per_level": psnr})
        print("PSNR of test frames decoded from levels 0, 1, ...: " + ", ".join(f"{value:.2f} dB" for value in psnr))
    model.save_pretrained(config.out / "model")
    return config.out / "model"


def load_pool(dataset: ClipDataset, count: int, split: str = "train") -> Tensor:
    """About `count` frames of a split as uint8 (frame, height, width, 3), evenly spread over the videos."""
    ids = dataset.ids(split)
    if not ids:
        raise ConfigError(f"the dataset has no {split} videos; record some with {split}_videos=...")
    stride = max(1, -(-sum(dataset.num_frames(id) for id in ids) // count))
    with tqdm(ids, desc=f"read {split} frames", unit="video") as bar:
        return torch.from_numpy(np.concatenate([dataset.read(id).frames[::stride] for id in bar]))


def _load_perceptual(config: TrainTokenizerConfig) -> Perceptual | None:
    if config.perceptual is None:
        return None
    module, _, name = config.perceptual.partition(":")
    try:
        made: torch.nn.Module = getattr(importlib.import_module(module), name)(**config.perceptual_settings)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"perceptual={config.perceptual} cannot be made ({error}); give module:Class and its settings, or null"
        ) from error
    return made.to(config.device)


def main(overrides: Sequence[str]) -> Path:
    """Train from `key=value` words."""
    return train_tokenizer(load_config(TrainTokenizerConfig, overrides, CONF))


if __name__ == "__main__":
    main(sys.argv[1:])
