"""The log of a run: a progress bar, TensorBoard, and Weights & Biases where it is asked for."""

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
    """Gathers every process's losses and shows them in the first one, every `config.log_every` steps.

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
        self.out, self.steps, self.unread, self.named = out, step, unread, set[str]()
        self.begun, self.since = time.monotonic(), step
        self.losses: list[Tensor] = []
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

    def pass_over(self, errors: Sequence[str]) -> None:
        """Count examples that could not be read, and name each once."""
        self.unread += len(errors)
        for error in errors:
            if error not in self.named:
                self.named.add(error)
                self.print(f"passed over: {error}")

    def print(self, sentence: str) -> None:
        """Print beside the progress bar."""
        tqdm.write(sentence, file=sys.stderr)

    def step(self, loss: Tensor, parts: Sequence[Parts], norm: float, rate: float, skipped: int) -> None:
        """One step's loss and its parts in this process; after every `log_every`-th, show the means."""
        self.steps += 1
        self.bar.update()
        if math.isfinite(norm):
            self.losses.append(loss)
            for name, value in (item for named in parts for item in named.items()):
                self.parts.setdefault(name, []).append(value.detach())
        if self.steps % self.config.log_every and self.steps != self.config.steps:
            return
        last = {"gradient_norm": norm, "learning_rate": rate}
        scalars = self._means() | last | self._rates() | {"skipped_steps": skipped}
        scalars["unreadable_examples"] = int(self.processes.sum(self.unread)[0])
        self.begun, self.since, self.losses, self.parts = time.monotonic(), self.steps, [], {}
        self._write(scalars)
        loss_text = f"loss {scalars['loss']:.4f}, " if "loss" in scalars else ""
        rates = f"{scalars['samples_per_second']:.3g} samples/s, {scalars['tokens_per_second']:.3g} tokens/s"
        self.bar.set_postfix_str(f"{loss_text}{rates}, MFU {scalars['model_flops_utilization']:.0%}")

    def _means(self) -> dict[str, float]:
        """Over all processes: the mean loss of the steps since the last time, and of each of its parts."""
        sums = {name: (float(torch.stack(values).float().sum()), len(values)) for name, values in self.parts.items()}
        gathered = self.processes.gather((float(sum(self.losses)), sums))
        means = {"loss": sum(total for total, _ in gathered) / len(self.losses)} if self.losses else {}
        for name in sorted({name for _, sums in gathered for name in sums}):
            found = [sums[name] for _, sums in gathered if name in sums]
            means[name] = sum(total for total, _ in found) / sum(count for _, count in found)
        return means

    def _rates(self) -> dict[str, float]:
        samples = (self.steps - self.since) * self.config.batch_size / (time.monotonic() - self.begun)
        return {
            "samples_per_second": samples,
            "tokens_per_second": samples * self.throughput.tokens,
            "model_flops_utilization": self.throughput.utilization(samples / self.processes.count),
        }

    def _write(self, scalars: Mapping[str, float]) -> None:
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
            f"training.wandb needs the wandb package ({error}); pip install wandb, or set training.wandb=null"
        ) from error
    identity = f"{random_bits('wandb', str(out.resolve())):016x}"  # the same for every launch of a run
    return wandb.init(project=config.wandb, name=out.name, dir=str(out), id=identity, resume="allow")
