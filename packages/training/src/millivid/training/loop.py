"""The training loop: batches by step number, so that a run resumes exactly where it was."""

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from millivid.training.checkpoint import (
    RunError,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
    write_json,
    write_whole,
)
from millivid.training.config import TrainingConfig
from millivid.training.engine import spare
from millivid.training.engines import make_engine
from millivid.training.loader import load_shares
from millivid.training.log import Log
from millivid.training.optimizer import MuonAdamW, learning_rate_factor
from millivid.training.processes import Processes
from millivid.training.task import Task
from millivid.training.throughput import Throughput

TRAINED_FILE = "trained.json"
"""What a finished run took: steps, examples, seconds in all its launches, arithmetic (flop); beside run.json."""


def train(
    task: Task,
    config: TrainingConfig,
    out: Path,
    progress: bool = True,
    processes: Processes | None = None,
) -> nn.Module:
    """Train, logging and checkpointing under `out`, from the newest checkpoint there.

    Returns the trained model, on the CPU and in evaluation mode, with the running average of the weights where there is
    one, and writes `trained.json`; the task's own model belongs to the engine from then on. Where several processes train
    (see `join_processes`), all of them call this, and all get the model.

    Ctrl-C and SIGTERM save a checkpoint after the step that is under way, and raise KeyboardInterrupt; a second Ctrl-C raises
    it at once and saves nothing. A step whose loss or gradient is not finite changes nothing and is counted. Raises RunError
    when the checkpoint does not fit the model, an example cannot be read (the run is saved first), the log or a checkpoint
    cannot be written, or more than `max_skipped` steps were passed over; the last one's batch is then in `skipped_batch.pt`.
    """
    processes = processes or Processes(device=next(task.model.parameters()).device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    whole = spare(task.model)
    state = _resume(task.model, config, out, processes)
    task.model.train()
    throughput = Throughput.of(task, config, processes)
    engine = make_engine(task, config, processes)
    optimizer = engine.optimizer
    if state is not None:
        _load(optimizer, state, out)
    step, skipped = (int(state["step"]), int(state["skipped"])) if state else (0, 0)
    average, begun = config.ema > 0, time.monotonic() - (float(state.get("seconds", 0.0)) if state else 0.0)

    log = Log(
        out, config, processes, step, throughput, progress, int(state["unreadable"]) if state and processes.first else 0
    )

    def save() -> None:
        (unreadable,) = processes.sum(log.unread)
        written = {
            "step": step,
            "skipped": skipped,
            "unreadable": int(unreadable),
            "updates": optimizer.updates,
            "seconds": time.monotonic() - begun,
            "model": optimizer.weights(average=False, keep=processes.first),
            "optimizer": optimizer.whole_state(keep=processes.first),
        }
        processes.once(lambda: save_checkpoint(out, step, written, config.keep, config.keep_every))

    with log, _Interrupts(processes) as interrupted:
        for share in load_shares(task.examples, config, processes, step):
            log.passed_over(share.passed_over)
            weights = [task.weight(batch) for batch in share.batches]
            total, stop, failed = processes.sum(sum(weights), interrupted.came, share.failure is not None)
            if failed:
                save()
                raise RunError(next(told for told in processes.gather(share.failure) if told))
            if stop:
                save()
                interrupted.pass_on()
                raise KeyboardInterrupt(", and the run is saved")
            loss, parts = engine.run(share.batches, [weight / total for weight in weights])
            norm = engine.update(step)
            step += 1
            if not math.isfinite(norm):
                skipped += 1
                if skipped > config.max_skipped:
                    raise _too_many(skipped, step, share.batches, out, processes)
            log.step(loss, parts, norm, config.lr * learning_rate_factor(step - 1, config), skipped)
            if config.pictures_every and hasattr(task, "pictures") and step % config.pictures_every == 0:
                _fill(whole, optimizer.weights(average, keep=processes.first))
                if processes.first:
                    _draw(task, whole, log, processes)
            if step % config.checkpoint_every == 0 or step == config.steps:
                save()
    _fill(whole, optimizer.weights(average))
    examples = step * config.batch_size
    took = {"steps": step, "examples": examples, "seconds": round(time.monotonic() - begun, 1)}
    processes.once(lambda: write_json(out / TRAINED_FILE, {**took, "flop": examples * throughput.flops}))
    return whole.eval()


def _draw(task: Any, whole: nn.Module, log: Log, processes: Processes) -> None:
    """Pictures of the weights as they are; a run does not end for want of them."""
    try:
        log.pictures(task.pictures(whole.to(processes.device).eval()))
    except (ValueError, OSError) as error:
        log.tell(f"no pictures: {error}")
    whole.cpu()


class _Interrupts:
    """`came` is 1 once Ctrl-C, SIGTERM or a signal that somebody else waits for did.

    Of a single process, a second Ctrl-C does not wait for the step's end.
    """

    def __init__(self, processes: Processes) -> None:
        self.came = 0
        self.processes = processes
        self.announced: int | None = None
        self.pressed = False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> "_Interrupts":
        if threading.current_thread() is threading.main_thread():
            awaited = [number for number in (signal.SIGUSR1, signal.SIGUSR2) if callable(signal.getsignal(number))]
            numbers = [signal.SIGINT, signal.SIGTERM, *awaited]
            self.previous = {number: signal.signal(number, self._come) for number in numbers}
        return self

    def _come(self, number: int, _: object) -> None:
        if number == signal.SIGINT and self.pressed and self.processes.count == 1:
            raise KeyboardInterrupt
        self.came, self.pressed = 1, self.pressed or number == signal.SIGINT
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            self.announced = number

    def pass_on(self) -> None:
        """Tell a cluster's own handler, which puts a job that runs out of time in the queue again.

        That is the first process's business, and ends it; the others must not end before.
        """
        if self.announced is not None:
            self.previous[self.announced](self.announced, None)
            with suppress(RuntimeError):  # the first process has left
                self.processes.sum(0)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


def _resume(model: nn.Module, config: TrainingConfig, out: Path, processes: Processes) -> Mapping[str, Any] | None:
    """The newest checkpoint that is whole, with its weights already in the model."""
    file = processes.once(lambda: newest_checkpoint(out))
    if file is None:
        return None
    state = read_checkpoint(file)
    try:
        if bool(config.ema) != ("average" in state["optimizer"]):
            raise KeyError("average")
        _fill(model, state["model"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise _of_another_config(out) from error
    return state


def _load(optimizer: MuonAdamW, state: Mapping[str, Any], out: Path) -> None:
    try:
        optimizer.load_whole_state(state["optimizer"], int(state["updates"]))
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise _of_another_config(out) from error


def _of_another_config(out: Path) -> RunError:
    return RunError(f"the checkpoint in {out} is of another config; choose another out= or delete it")


def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put trained parameters by name into a model; frozen ones and buffers stay."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if weights and weights.keys() != trained.keys():
        raise KeyError(f"{sorted(weights.keys() ^ trained.keys())}")
    with torch.no_grad():
        for name, value in weights.items():
            if trained[name].shape != value.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, not {tuple(trained[name].shape)}")
            trained[name].copy_(value)


def _too_many(skipped: int, step: int, batches: Sequence[Any], out: Path, processes: Processes) -> RunError:
    file = out / ("skipped_batch.pt" if processes.first else f"skipped_batch_{processes.rank}.pt")
    write_whole(file, lambda partial: torch.save([_plain(batch) for batch in batches], partial))
    return RunError(
        f"the loss or gradient was not finite in {skipped} steps, the last of them step {step}, whose batch is in {file}; "
        "look at it, or try a lower training.lr in another out="
    )


def _plain(value: Any) -> Any:
    """A batch as what torch.load reads without trusting anyone: tensors in dicts and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
