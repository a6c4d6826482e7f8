"""What a run tells while it goes: a progress bar, TensorBoard, Weights & Biases where it is asked for."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from millivid.command.settings import first_line
from millivid.training.checkpoint import RunError
from millivid.training.config import TrainingConfig
from millivid.training.loader import random_bits
from millivid.training.processes import Processes
from millivid.training.task import Parts
from millivid.training.throughput import Throughput


class Log:
    """Gathers what steps tell in every process and shows it in the first one, every `config.log_every` steps.

    Losses and their parts are means over the steps since the last time, but for those that were passed over; gradient norm
    and learning rate are the last step's. Raises RunError where the log cannot be written.
    """

    def __init__(
        self,
        out: Path,
        config: TrainingConfig,
        processes: Processes,
        step: int,
        throughput: Throughput,
        progress: bool,
        unread: int = 0,
    ) -> None:
        self.config, self.processes, self.throughput = config, processes, throughput
        self.out, self.steps, self.told, self.unread = out, step, set[str](), unread
        self.begun, self.since = time.monotonic(), step
        self.loss: list[Tensor] = []
        self.parts: dict[str, list[Tensor]] = {}
        self.writer = SummaryWriter(str(out / "logs"), purge_step=step + 1) if processes.first else None
        self.wandb = _start_wandb(out, config) if config.wandb and processes.first else None
        hidden = not (progress and processes.first)
        self.bar = tqdm(
            total=config.steps, initial=step, unit="step", desc=f"train {out.name}", disable=hidden, smoothing=0.05
        )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.close()
        if self.writer is not None:
            with suppress(OSError) if kind else nullcontext():  # what went wrong first is what counts
                self.writer.close()
        if self.wandb is not None:
            self.wandb.finish()

    def passed_over(self, told: Sequence[str]) -> None:
        """Count examples that could not be read, and name each once."""
        self.unread += len(told)
        for sentence in told:
            if sentence not in self.told:
                self.told.add(sentence)
                self.tell(f"passed over: {sentence}")

    def tell(self, sentence: str) -> None:
        """Say something beside the progress bar."""
        tqdm.write(sentence, file=sys.stderr)

    def step(self, loss: Tensor, parts: Sequence[Parts], norm: float, rate: float, skipped: int) -> None:
        """One step's share of this process."""
        self.steps += 1
        self.bar.update()
        if math.isfinite(norm):
            self.loss.append(loss)
            for told in parts:
                for name, value in told.items():
                    self.parts.setdefault(name, []).append(value.detach())
        if self.steps % self.config.log_every and self.steps != self.config.steps:
            return
        seconds, steps = time.monotonic() - self.begun, self.steps - self.since
        mine = {name: (float(torch.stack(values).float().sum()), len(values)) for name, values in self.parts.items()}
        taken = len(self.loss)
        everyones = self.processes.gather((float(sum(self.loss)), mine, self.unread))
        scalars = {"loss": sum(total for total, _, _ in everyones) / taken} if taken else {}
        for name in sorted({name for _, parts, _ in everyones for name in parts}):
            sums = [parts[name] for _, parts, _ in everyones if name in parts]
            scalars[name] = sum(total for total, _ in sums) / sum(count for _, count in sums)
        samples = steps * self.config.batch_size / seconds
        scalars |= {
            "gradient_norm": norm,
            "learning_rate": rate,
            "samples_per_second": samples,
            "tokens_per_second": samples * self.throughput.tokens,
            "model_flops_utilization": self.throughput.utilization(samples / self.processes.count),
            "skipped_steps": skipped,
            "unreadable_examples": sum(unread for _, _, unread in everyones),
        }
        self.begun, self.since, self.loss, self.parts = time.monotonic(), self.steps, [], {}
        if self.writer is not None:
            try:
                for name, scalar in scalars.items():
                    self.writer.add_scalar(name, scalar, self.steps)
                self.writer.flush()
            except OSError as error:
                raise RunError(
                    f"the log in {self.out / 'logs'} could not be written ({first_line(error)}); make room and start again"
                ) from error
        if self.wandb is not None:
            self.wandb.log(scalars, step=self.steps)
        rates = f"{samples:.3g} samples/s, {samples * self.throughput.tokens:.3g} tokens/s"
        loss_told = f"loss {scalars['loss']:.4f}, " if "loss" in scalars else ""
        self.bar.set_postfix_str(f"{loss_told}{rates}, MFU {scalars['model_flops_utilization']:.0%}")

    def pictures(self, images: Mapping[str, Tensor]) -> None:
        """Show images (3, height, width) in [0, 1]."""
        for name, image in images.items():
            if self.writer is not None:
                self.writer.add_image(name, image.clamp(0, 1), self.steps)
            if self.wandb is not None:
                import wandb

                self.wandb.log({name: wandb.Image(image.clamp(0, 1))}, step=self.steps)
        if self.writer is not None:
            self.writer.flush()


def _start_wandb(out: Path, config: TrainingConfig) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise RunError(
            f"training.wandb needs the wandb package ({error}); install millivid-training[wandb] or set training.wandb=null"
        ) from error
    identity = f"{random_bits('wandb', str(out.resolve())):016x}"  # the same for every launch of a run
    return wandb.init(project=config.wandb, name=out.name, dir=str(out), id=identity, resume="allow")
