"""Train a video model on a latent dataset: `python -m millivid.diffusion.train experiment=... data=... out=...`."""

import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from millivid.command import REQUIRED, ConfigError, alone_in_out, class_named, run_command, to_plain
from millivid.data import LatentDataset
from millivid.diffusion import model_info
from millivid.diffusion.actions import VectorEmbedding
from millivid.diffusion.config import VideoDiTConfig
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.model_info import VideoModelInfo
from millivid.diffusion.model_settings import ModelSettings
from millivid.diffusion.objective import Draws, diffusion_loss
from millivid.diffusion.preview import draw_rollout
from millivid.diffusion.solvers import make_solver
from millivid.diffusion.windows import WindowBatch, WindowExamples, long_enough, step_probabilities
from millivid.files.pretrained import PretrainedModel, take_weights
from millivid.files.values import check_number
from millivid.rollout import Chunk, make_schedule
from millivid.training import Processes, TrainingConfig, describe_run, join_processes, open_run, train

CONF = Path(__file__).parent / "conf"
FREE_TO_CHANGE = {
    "tokenizer", "decoder", "sampling_steps", "solver", "last_time", "horizons",
    # These follow from the data. Earlier versions recorded the paper's values, whatever the data had.
    "model.grids", "model.latent_channels", "model.num_actions", "model.action_type",
}  # fmt: skip
"""Settings that another start of the same run may change, beside those of `open_run`."""

ADDED = {
    "targets_per_context": 1, "model.frozen_context": False, "model.prediction": "velocity", "snr_gamma": None,
    "context_noise": 0.0,
    "model.coarser_input": False,
    "group_shares": None,
    "init": None,
}  # fmt: skip
"""Settings that earlier versions did not have, as they were."""

CONTEXT_TIMES = 8
"""How many times context may have: few, for cells that share theirs share their conditions."""


@dataclass(frozen=True, kw_only=True)
class TrainDiffusionConfig:
    """A video model's training run.

    data: a latent dataset; out: the run's folder, where `model/` ends up. init: a saved model whose weights it starts from
    where names and shapes are the same; what is new or left out is printed. schedule: the rollout schedule to train for, by
    name and settings. context_dropout: the share of examples whose context is dropped, which is what guidance needs.
    drop_actions: whether those lose their actions too. shift: of the noise schedule. snr_gamma: the signal-to-noise ratio
    above which a time weighs less, null for none (min-SNR; 5 is usual). group_shares: how often the steps of each
    sampling group are shown (of MilliVid's schedule of each level, finest first), null for equally often.

    targets_per_context: noisy copies of the targets that an example shows to its context, which is frozen then. context_noise:
    up to which time each cell of a frozen context is made noisy, and told so.

    sampling_steps, solver, last_time, horizons: stored with the model: how it is to be sampled, and the last generated frames
    that it is measured at. tokenizer: a saved one, to show rollouts as pictures (training.pictures_every); decoder: the
    "module:Class" that reads it. device: cpu, cuda or cuda:N. dry_run: only print what the run would be.
    """

    data: Path = REQUIRED
    out: Path = REQUIRED
    init: Path | None = None
    schedule: dict[str, object] = field(
        default_factory=lambda: {"name": "millivid", "windows": [3, 12, 48, 192], "history": 768}
    )
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(steps=192_000, batch_size=384))
    context_dropout: float = 0.1
    drop_actions: bool = True
    targets_per_context: int = 1
    context_noise: float = 0.0
    shift: float = 1.0
    snr_gamma: float | None = None
    group_shares: tuple[float, ...] | None = None
    sampling_steps: int = 50
    solver: str = "ddim"
    last_time: float = 0.0
    horizons: tuple[int, ...] = (64, 256, 768)
    tokenizer: Path | None = None
    decoder: str = "millivid.tokenizer:HierarchicalTokenizer"
    device: str = "cpu"
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.context_dropout <= 1:
            raise ValueError(f"context_dropout is {self.context_dropout}; it must lie between 0 and 1")
        check_number(self.targets_per_context, "targets_per_context", 1, 1024, whole=True)
        if self.targets_per_context > 1 and not self.model.frozen_context:
            raise ValueError(
                f"targets_per_context is {self.targets_per_context}; several copies of the targets need a context that does "
                "not look at them: set model.frozen_context=true, or targets_per_context=1"
            )
        if self.snr_gamma is not None:
            check_number(self.snr_gamma, "snr_gamma", 0.01, 1e6, hint=", null for none")
        elif self.model.prediction == "data":
            raise ValueError("model.prediction is data, whose error at small times outweighs all; give snr_gamma=5")
        check_number(self.context_noise, "context_noise", 0, 0.999)
        if self.group_shares is not None and not all(0 < share < math.inf for share in self.group_shares):
            raise ValueError(f"group_shares is {list(self.group_shares)}; shares are numbers above 0")
        if self.context_noise and not self.model.frozen_context:
            raise ValueError(f"context_noise is {self.context_noise}; it needs model.frozen_context=true")
        if not 0 < self.shift < math.inf:
            raise ValueError(f"shift is {self.shift}; it must be positive and finite")
        make_solver(self.solver, self.sampling_steps, self.last_time)
        if not self.horizons or self.horizons[0] < 1 or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(
                f"horizons is {list(self.horizons)}; they must be frames above 0, each after the one before"
            )


class DiffusionTask:
    """Denoise the targets of a schedule's steps, in windows of training videos."""

    def __init__(
        self, model: VideoDiT, dataset: LatentDataset, chunk: Chunk, config: TrainDiffusionConfig, tokenizer: Any = None
    ) -> None:
        self.model, self.dataset, self.chunk, self.config, self.tokenizer = model, dataset, chunk, config, tokenizer
        self.examples = WindowExamples(
            dataset,
            chunk,
            [model.tokens_of(step) for step in chunk.steps],
            config.context_dropout,
            model.config.odometry,
            config.targets_per_context,
            config.group_shares,
        )
        self.longest = max(len(step) for step in self.examples.tokens)
        self.most_cells = max(step.num_cells for step in self.examples.tokens)
        self.tokens = max(model.sequence_length(step) for step in chunk.steps)

    def loss(self, batch: WindowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The diffusion objective, and its mean per level written and per sampling group."""
        device = next(self.model.parameters()).device
        x = batch.x.to(device, torch.float32, non_blocking=True)
        noise = [torch.Generator(device).manual_seed(seed) for seed in batch.seeds]
        whole = (
            *batch.t.shape[1:],
            self.longest,
            x.shape[2],
        )  # the same noise whatever an example's neighbours pad it to
        drawn = torch.stack([torch.randn(whole, generator=generator, device=device) for generator in noise])
        draws = Draws(t=batch.t.to(device), dropped=batch.dropped.to(device), eps=drawn[..., : x.shape[1], :])
        # What is split into context and targets is split where its values are at hand.
        tokens = batch.tokens if self.model.config.frozen_context else batch.tokens.to(device)
        pose = None if batch.pose is None else batch.pose.to(device)
        x = self.model.normalize(x, batch.tokens.level.to(device))
        if self.config.context_noise:
            levels = [torch.randint(CONTEXT_TIMES, (self.most_cells,), generator=g, device=device) for g in noise]
            times = torch.stack(levels)[:, : batch.tokens.cell_level.shape[1]] / (CONTEXT_TIMES - 1)
            draws = replace(draws, context_t=self.config.context_noise * times)
        loss, per_example = diffusion_loss(
            self.model,
            x,
            tokens,
            batch.action.to(device),
            draws,
            pose,
            self.config.shift,
            self.config.drop_actions,
            self.config.snr_gamma,
        )
        cells = batch.tokens
        written = torch.where(cells.cell_is_target, cells.cell_level, self.chunk.num_levels).amin(dim=1)
        parts = {f"loss_level_{level}": per_example[written == level].mean() for level in written.unique().tolist()}
        groups = batch.group
        return loss, parts | {f"loss_group_{g}": per_example[groups == g].mean() for g in groups.unique().tolist()}

    def weight(self, batch: WindowBatch) -> float:
        """The number of target tokens, over which the loss is a mean."""
        return float(batch.tokens.is_target.sum())

    def pictures(self, model: nn.Module) -> dict[str, Tensor]:
        """The truth above a short rollout, frames from left to right; nothing without a tokenizer."""
        assert isinstance(model, VideoDiT)
        schedule = make_schedule(**self.config.schedule)  # type: ignore[arg-type]
        if self.tokenizer is None:
            return {}
        drawn = draw_rollout(
            model, self.dataset, schedule, self.tokenizer.to(model.head.linear.weight.device), self.config.shift
        )
        return {} if drawn is None else {"rollout": drawn}


@alone_in_out
def train_diffusion(config: TrainDiffusionConfig) -> Path | None:
    """Train, or go on training, and save the model with its schedule and its tokenizer's fingerprint; returns its folder.

    With `dry_run`, only prints what that would be. Where a launcher started several processes, all of them call this.
    Raises ValueError with one sentence for data or folders that do not fit.
    """
    processes = join_processes(config.device, group=config.training.zero is not None)
    config.training.micro_batches(processes.count)
    dataset = LatentDataset(config.data)
    model_config = config.model.resolve(dataset)
    settings = to_plain(config) | {"model": to_plain(model_config)}
    schedule = make_schedule(**config.schedule)  # type: ignore[arg-type]
    chunk = schedule.chunk(model_config.tokens_per_level)
    step_probabilities(chunk, config.group_shares)  # or their number is wrong, while no folder is made yet
    if not dataset.index.splits.get("train"):
        raise ConfigError(
            f"{config.data} has no train videos; record some with train_videos=..., or import with a lower test_fraction="
        )
    if not long_enough(dataset, chunk):
        raise ConfigError(
            f"no training video of {config.data} has the {chunk.num_frames} frames that schedule {schedule.name} needs; "
            "record longer videos or use smaller windows"
        )
    tokenizer = _load_tokenizer(config, dataset)
    torch.manual_seed(config.training.seed)
    model, before = _initial(config, model_config, dataset, processes)
    if not config.dry_run:
        processes.once(lambda: open_run(config.out, "a video model's training", settings, FREE_TO_CHANGE, ADDED))
        if (config.out / "model" / model_info.FILE).is_file():
            return config.out / "model"
    task = DiffusionTask(model.to(processes.device), dataset, chunk, config, tokenizer)
    if config.dry_run:
        description = describe_run(settings, task, config.training, processes)
        if processes.first:
            print(description)
        return None
    trained = train(task, config.training, config.out, processes=processes)
    info = VideoModelInfo(
        schedule=schedule.settings(),
        tokenizer=dataset.index.tokenizer["fingerprint"],
        shift=config.shift,
        examples=before + config.training.steps * config.training.batch_size,
        sampling_steps=config.sampling_steps,
        solver=config.solver,
        last_time=config.last_time,
        context=max(chunk.num_context_frames, dataset.index.source.get("context", 0)),
        horizons=config.horizons,
        action_names=dataset.index.action_names if model_config.num_actions else (),
        trained_on=dataset.index.source,
    )
    processes.once(lambda: _save(trained, info, config.out / "model"))
    return config.out / "model"


def _initial(
    config: TrainDiffusionConfig, model_config: VideoDiTConfig, dataset: LatentDataset, processes: Processes
) -> tuple[VideoDiT, int]:
    """The model before its training, and how many examples it has seen already, where it goes on from another."""
    model = VideoDiT(model_config)
    if model_config.normalize_latents:
        model.latent_mean.copy_(torch.from_numpy(dataset.index.statistics.mean))
        model.latent_std.copy_(torch.from_numpy(dataset.index.statistics.std))
    if isinstance(model.action_embedding, VectorEmbedding):
        of_training = [dataset.actions(id) for id in dataset.ids("train" if "train" in dataset.index.splits else None)]
        model.action_embedding.measure(torch.from_numpy(np.concatenate(of_training)))
    if config.init is None:
        return model, 0
    examples = VideoModelInfo.read(config.init).examples or 0
    taken = take_weights(model, config.init)
    if processes.first:
        print(f"init={config.init}: {taken}")
    return model, examples


def _save(model: nn.Module, info: VideoModelInfo, folder: Path) -> None:
    assert isinstance(model, VideoDiT)
    model.save_pretrained(folder)
    info.save(folder)  # last, for a folder that has it is a finished run's


def _load_tokenizer(config: TrainDiffusionConfig, dataset: LatentDataset) -> Any:
    if config.tokenizer is None:
        if config.training.pictures_every:
            raise ConfigError("training.pictures_every needs a tokenizer to show frames; add tokenizer=RUN/model")
        return None
    made: Any = class_named(config.decoder, PretrainedModel, "decoder").from_pretrained(config.tokenizer)
    if made.config.grids != dataset.index.grids or made.config.latent_channels != dataset.index.channels:
        raise ConfigError(
            f"tokenizer={config.tokenizer} has other latents than {config.data}; give the one that made them"
        )
    return made


if __name__ == "__main__":
    sys.exit(run_command(train_diffusion, sys.argv[1:], CONF))
