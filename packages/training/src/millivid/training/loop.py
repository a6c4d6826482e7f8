"""The training loop: batches by step number, so that a run resumes exactly where it was."""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from millivid.command import to_plain
from millivid.training.checkpoint import (
    RunError,
    newest_checkpoint,
    read_state,
    save_checkpoint,
    write_json,
    write_whole,
)
from millivid.training.config import TrainingConfig
from millivid.training.engine import make_engine
from millivid.training.interrupts import Interrupts
from millivid.training.loader import load_shares
from millivid.training.log import Log
from millivid.training.optimizer import learning_rate_factor
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

    Ctrl-C and SIGTERM save a checkpoint after the current step, and raise KeyboardInterrupt; a second Ctrl-C raises
    it at once and saves nothing. A step whose loss or gradient is not finite changes nothing and is counted. Raises RunError
    when the checkpoint does not fit the model, an example cannot be read (the run is saved first), the log or a checkpoint
    cannot be written, or more than `max_skipped` steps were passed over; the last one's batch is then in `skipped_batch.pt`.
    """
    processes = processes or Processes(device=next(task.model.parameters()).device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    whole = copy.deepcopy(task.model).cpu()  # to look at weights while the model itself belongs to the engine
    newest = processes.once(lambda: newest_checkpoint(out))
    state = read_state(newest) if newest else None
    with _refuse_another_config(out):
        if state and bool(config.ema) != ("average" in state.optimizer):
            raise KeyError("average")
        _fill(task.model, state.model if state else {})
    task.model.train()
    throughput = Throughput.of(task, config, processes)
    engine = make_engine(task, config, processes)
    optimizer = engine.optimizer
    if state:
        with _refuse_another_config(out):
            optimizer.load_whole_state(state.optimizer, state.updates)
    step, skipped = (state.step, state.skipped) if state else (0, 0)
    begun, average = time.monotonic() - (state.seconds if state else 0), config.ema > 0
    unread = state.unreadable if state and processes.first else 0
    log = Log(out, config, processes, step, throughput, progress, unread)

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

    with processes.together(), log, Interrupts(processes) as interrupts:
        for share in load_shares(task.examples, config, processes, step):
            log.pass_over(share.passed_over)
            weights = [task.weight(batch) for batch in share.batches]
            total, stop, failed = processes.sum(sum(weights), interrupts.received, share.failure is not None)
            if failed:
                save()
                raise RunError(next(failure for failure in processes.gather(share.failure) if failure))
            if stop:
                save()
                interrupts.pass_on()
                raise KeyboardInterrupt(", and the run is saved")
            loss, parts = engine.run(share.batches, [weight / total for weight in weights])
            norm = engine.update(step)
            step += 1
            if not math.isfinite(norm):
                skipped += 1
                if skipped > config.max_skipped:
                    raise _too_many_skipped(skipped, step, share.batches, out, processes)
            log.step(loss, parts, norm, config.lr * learning_rate_factor(step - 1, config), skipped)
            if config.pictures_every and hasattr(task, "pictures") and step % config.pictures_every == 0:
                _fill(whole, optimizer.weights(average, keep=processes.first))
                if processes.first:
                    _draw(task, whole, log, processes)
            if step % config.checkpoint_every == 0 or step == config.steps:
                save()
    _fill(whole, optimizer.weights(average))
    examples = step * config.batch_size
    cost = {"steps": step, "examples": examples, "seconds": round(time.monotonic() - begun, 1)}
    processes.once(lambda: write_json(out / TRAINED_FILE, {**cost, "flop": examples * throughput.flops}))
    return whole.eval()


@contextmanager
def _refuse_another_config(out: Path) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint is loaded into one sentence."""
    try:
        yield
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise RunError(f"the checkpoint in {out} is of another config; choose another out= or delete it") from error


def _fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put all trained parameters, or none, into a model by name; frozen ones and buffers stay."""
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    if weights and weights.keys() != trained:
        raise KeyError(f"{sorted(weights.keys() ^ trained)}")
    model.load_state_dict(weights, strict=False)


def _draw(task: Any, model: nn.Module, log: Log, processes: Processes) -> None:
    """Log pictures of the weights as they are; where they cannot be drawn, the run goes on."""
    try:
        log.pictures(task.pictures(model.to(processes.device).eval()))
    except (ValueError, OSError) as error:
        log.print(f"no pictures: {error}")
    model.cpu()


def _too_many_skipped(skipped: int, step: int, batches: Sequence[Any], out: Path, processes: Processes) -> RunError:
    file = out / ("skipped_batch.pt" if processes.first else f"skipped_batch_{processes.rank}.pt")
    write_whole(file, lambda partial: torch.save(to_plain(batches), partial))
    return RunError(
        f"the loss or gradient was not finite in {skipped} steps, the last of them step {step}, whose batch is in {file}; "
        "look at it, or try a lower training.lr in another out="
    )
