"""Train a tokenizer on a clip dataset: `python -m millivid.tokenizer.train experiment=tiny data=... out=...`."""

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from millivid.command import REQUIRED, ConfigError, alone_in_out, class_named, run_command, to_plain
from millivid.data import ClipDataset
from millivid.files.pretrained import take_weights
from millivid.tokenizer.config import TokenizerConfig
from millivid.tokenizer.frames import FrameExamples, load_pool
from millivid.tokenizer.model import HierarchicalTokenizer
from millivid.tokenizer.objective import Perceptual, level_psnr, tokenizer_loss
from millivid.training import Processes, TrainingConfig, describe_run, join_processes, open_run, train, write_json

CONF = Path(__file__).parent / "conf"
TEST_FRAMES, SHOWN = 2_000, 6
ADDED = {"latent_noise": 0.0, "model.smoothing": 0, "init": None}
"""Settings that earlier versions did not have, as they were."""


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerConfig:
    """A tokenizer's training run.

    data: a clip dataset; out: the run's folder, where `model/` ends up. init: a saved model whose weights it starts from where
    names and shapes are the same; what is new or left out is printed. frames_in_memory: how many training frames, evenly
    spread over the videos, are held in memory and drawn from; 0 draws from all and decodes each from its video.
    perceptual: a "module:Class" whose object maps two image batches in [0, 1] to a distance per image, for example
    millivid.eval:LPIPS; null for none. perceptual_settings: what it is made with. perceptual_weight: of that distance in
    the loss. latent_noise: the most noise that an image's latents are decoded with, in standard deviations of those that a
    process decodes at once, so that several processes train otherwise than one; how much is drawn for each image. The
    decoder then forgives latents that a video model got nearly right. device: cpu, cuda or cuda:N.
    dry_run: only print what the run would be.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    init: Path | None = None
    model: TokenizerConfig = field(default_factory=TokenizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    frames_in_memory: int = 40_000
    perceptual: str | None = None
    perceptual_settings: dict[str, object] = field(default_factory=dict)
    perceptual_weight: float = 0.05
    latent_noise: float = 0.0
    device: str = "cpu"
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.frames_in_memory < 0:
            raise ValueError(f"frames_in_memory is {self.frames_in_memory}; it must be at least 0")
        for name in ("perceptual_weight", "latent_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a number of at least 0")


class TokenizerTask:
    """Reconstruct frames, each from one level drawn for it."""

    def __init__(
        self,
        model: HierarchicalTokenizer,
        examples: FrameExamples,
        config: TrainTokenizerConfig,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.model, self.examples, self.config, self.perceptual = model, examples, config, perceptual
        self.tokens = sum(model.config.tokens_per_level)

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The tokenizer's objective."""
        device = next(self.model.parameters()).device
        frames, level = (part.to(device, non_blocking=True) for part in batch[:2])
        noise = self._noise(batch[2]).to(device) if self.config.latent_noise else None
        return tokenizer_loss(
            self.model, frames.float() / 255, level, self.perceptual, self.config.perceptual_weight, noise
        )

    def _noise(self, seeds: Tensor) -> Tensor:
        """Normal noise of an amount of its own for each image, from its seed."""
        size, amounts = (self.tokens, self.model.config.latent_channels), []
        for seed in seeds.tolist():
            generator = torch.Generator().manual_seed(seed)
            amounts.append(torch.rand((), generator=generator) * torch.randn(size, generator=generator))
        return self.config.latent_noise * torch.stack(amounts)

    def weight(self, batch: tuple[Tensor, Tensor, Tensor]) -> float:
        """The number of frames."""
        return float(len(batch[0]))

    def pictures(self, model: nn.Module) -> dict[str, Tensor]:
        """Frames, and below them what each level, finest first, makes of them."""
        assert isinstance(model, HierarchicalTokenizer)
        dataset = self.examples.dataset
        ids = [*dataset.index.splits.get("test", ()), *self.examples.ids][:SHOWN]
        frames = torch.stack([torch.from_numpy(dataset.frames(id, [dataset.num_frames(id) // 2])[0]) for id in ids])
        frames = frames.to(next(model.parameters()).device).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            pyramid = model.encode(frames)
            rows = [frames, *(model.decode(pyramid, level) for level in range(model.config.num_levels))]
        return {"reconstructions": torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)}


@alone_in_out
def train_tokenizer(config: TrainTokenizerConfig) -> Path | None:
    """Train, or go on training, and save the model; returns its folder. With `dry_run`, only prints what that would be.

    Where a launcher started several processes, all of them call this. Raises ValueError for data of another size, an
    unusable folder or a checkpoint that does not fit.
    """
    processes = join_processes(config.device, group=config.training.zero is not None)
    config.training.micro_batches(processes.count)
    perceptual = _load_perceptual(config, processes.device)
    dataset = ClipDataset(config.data)
    if tuple(dataset.index.size) != config.model.image_size:
        raise ConfigError(
            f"{config.data} has frames of {tuple(dataset.index.size)}, but model.image_size is "
            f"{config.model.image_size}; set model.image_size={list(dataset.index.size)} or record other clips"
        )
    if not (ids := dataset.ids("train")):
        raise ConfigError(
            f"{config.data} has no train videos; record some with train_videos=..., or import with a lower test_fraction="
        )
    torch.manual_seed(config.training.seed)
    model = HierarchicalTokenizer(config.model)
    if config.init is not None:
        taken = take_weights(model, config.init)
        if processes.first:
            print(f"init={config.init}: {taken}")
    if not config.dry_run:
        processes.once(lambda: open_run(config.out, "a tokenizer's training", to_plain(config), added=ADDED))
        if (config.out / "model" / "config.json").is_file():
            return config.out / "model"
    pool = None
    if config.frames_in_memory and not config.dry_run:
        skip = config.training.unreadable == "skip"
        pool = load_pool(dataset, ids, config.frames_in_memory, skip, hidden=not processes.first)
    task = TokenizerTask(
        model.to(processes.device), FrameExamples(dataset, model.config.num_levels, pool), config, perceptual
    )
    if config.dry_run:
        description = describe_run(to_plain(config), task, config.training, processes)
        if processes.first:
            print(description)
        return None
    trained = train(task, config.training, config.out, processes=processes)
    assert isinstance(trained, HierarchicalTokenizer)
    processes.once(lambda: _finish(trained, dataset, config, processes))
    return config.out / "model"


def _finish(
    model: HierarchicalTokenizer, dataset: ClipDataset, config: TrainTokenizerConfig, processes: Processes
) -> None:
    if dataset.index.splits.get("test"):
        skip = config.training.unreadable == "skip"
        frames = load_pool(dataset, dataset.ids("test"), TEST_FRAMES, skip).permute(0, 3, 1, 2).float() / 255
        psnr = level_psnr(model.to(processes.device), frames.to(processes.device))
        write_json(config.out / "metrics.json", {"test_frames": len(frames), "psnr_per_level": psnr})
        print("PSNR of test frames decoded from levels 0, 1, ...: " + ", ".join(f"{value:.2f} dB" for value in psnr))
    model.save_pretrained(config.out / "model")


def _load_perceptual(config: TrainTokenizerConfig, device: torch.device) -> Perceptual | None:
    if config.perceptual is None:
        return None
    metric = class_named(config.perceptual, nn.Module, "perceptual")
    images = torch.zeros(2, 3, *config.model.image_size, device=device)
    try:
        made = metric(**config.perceptual_settings).to(device)
        with torch.no_grad():
            shape = tuple(made(images, images).shape)
    except Exception as error:  # of code that is not ours
        raise ConfigError(
            f"perceptual={config.perceptual} cannot be made and asked ({type(error).__name__}: {error}); give module:Class of "
            "a metric, and its perceptual_settings, or null"
        ) from error
    if shape != (2,):
        raise ConfigError(
            f"perceptual={config.perceptual} gives {shape} for 2 images; it takes a distance for each, (2,)"
        )
    return made


if __name__ == "__main__":
    sys.exit(run_command(train_tokenizer, sys.argv[1:], CONF))
