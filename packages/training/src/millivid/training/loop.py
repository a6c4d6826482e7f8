"""The training loop: batches by step number, so that a run resumes exactly where it was."""

import math
import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from millivid.training.checkpoint import RunError, load_newest_checkpoint, save_checkpoint
from millivid.training.config import TrainingConfig
from millivid.training.muon import bf16_is_fast
from millivid.training.optimizer import Optimizer, learning_rate_factor


class Task(Protocol):
    """What is trained: a model, its examples and its loss. Every random number comes from the generators given."""

    @property
    def model(self) -> nn.Module:
        """The model."""

    def batch(self, step: int, generator: torch.Generator) -> Any:
        """The examples of one step (from 0), on the CPU."""

    def loss(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise, and named parts of it for the log."""


def step_generator(seed: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The random numbers of one step: a function of seed and step alone, so that there is no state to save."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) % 2**63)


def train(task: Task, config: TrainingConfig, out: Path, progress: bool = True) -> nn.Module:
    """Train, logging and checkpointing under `out`, from the newest checkpoint there; returns the trained model.

    Ctrl-C and SIGTERM save a checkpoint before they go on their way, as KeyboardInterrupt. A step whose gradient is not
    finite changes nothing and is counted. Raises RunError when the checkpoint does not fit the model, or when more than
    `max_skipped` steps were passed over; the last one's batch is then in `skipped_batch.pt`.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    model = task.model.train()
    device = next(model.parameters()).device
    optimizer = Optimizer(model, config)
    average = {name: p.detach().clone() for name, p in model.named_parameters()} if config.ema else None
    step, skipped = _resume(model, optimizer, average, out)
    autocast = torch.autocast(device.type, torch.bfloat16) if _use_bf16(config, device) else nullcontext()
    bar = tqdm(
        total=config.steps, initial=step, unit="step", desc=f"train {out.name}", disable=not progress, smoothing=0.05
    )

    def save() -> None:
        state = {
            "step": step,
            "skipped": skipped,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average,
        }
        save_checkpoint(out, step, state, config.keep, config.keep_every)

    started, counted = time.monotonic(), 0
    interrupted = _Interrupts()
    with SummaryWriter(str(out / "logs"), purge_step=step) as writer, bar:
        try:
            while step < config.steps:
                if interrupted:
                    raise KeyboardInterrupt
                generator = step_generator(config.seed, step)
                batch = task.batch(step, generator)
                with autocast:
                    loss, parts = task.loss(batch, generator)
                loss.backward()
                norm = optimizer.update(step)
                if not math.isfinite(norm):
                    skipped += 1
                    if skipped > config.max_skipped:
                        torch.save(batch, out / "skipped_batch.pt")
                        raise RunError(
                            f"the gradient was not finite in {skipped} steps, the last of them step {step + 1}, whose batch is "
                            f"in {out / 'skipped_batch.pt'}; lower training.lr and start again"
                        )
                elif average is not None:
                    _update_average(average, model, min(config.ema, (step + 1) / (step + 10)))
                step, counted = step + 1, counted + config.batch_size
                bar.update()
                to_log = step % config.log_every == 0 or step == config.steps
                to_save = step % config.checkpoint_every == 0 or step == config.steps
                if to_log:
                    value = float(loss.detach())
                    rate = counted / (time.monotonic() - started)
                    bar.set_postfix_str(f"loss {value:.4f}, {rate:.0f} samples/s")
                    scalars = {"loss": loss.detach(), "gradient_norm": norm, **parts}
                    scalars["learning_rate"] = torch.tensor(config.lr * learning_rate_factor(step - 1, config))
                    scalars["samples_per_second"] = torch.tensor(rate)
                    scalars["skipped_steps"] = torch.tensor(skipped)
                    for name, scalar in scalars.items():
                        writer.add_scalar(name, float(scalar), step)
                if to_save:
                    save()
        except KeyboardInterrupt:
            save()
            raise
        finally:
            interrupted.restore()
    if average is not None:
        model.load_state_dict(average, strict=False)
    return model.eval()


class _Interrupts:
    """True once Ctrl-C or SIGTERM came; until `restore`, the first only sets this, so that a step is never torn."""

    def __init__(self) -> None:
        self.came = False
        self.previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._come) for number in (signal.SIGINT, signal.SIGTERM)}

    def _come(self, *_: object) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def __bool__(self) -> bool:
        return self.came

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def _use_bf16(config: TrainingConfig, device: torch.device) -> bool:
    return config.precision == "bf16" or (config.precision == "auto" and bf16_is_fast(device))


@torch.no_grad()
def _update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for name, parameter in model.named_parameters():
        average[name].lerp_(parameter.detach(), 1 - decay)


def _resume(model: nn.Module, optimizer: Optimizer, average: dict[str, Tensor] | None, out: Path) -> tuple[int, int]:
    """Take over the newest checkpoint; returns its step, and how many were passed over before it."""
    state = load_newest_checkpoint(out)
    if state is None:
        return 0, 0
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            for name, value in average.items():
                value.copy_(state["average"][name])
        return int(state["step"]), int(state.get("skipped", 0))
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise RunError(f"the checkpoint in {out} is of another config; choose another out= or delete it") from error
