"""A run's folder: what was asked for, and checkpoints that are whole or not there."""

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from millivid.command.settings import first_line
from millivid.files.atomic import TEMPORARY_PREFIX, file_hash, json_text, names_in, remove_leftovers, replacing
from millivid.files.json_reader import read_json, typed
from millivid.training.provenance import describe_launch

RUN_FILE = "run.json"
_CHECKPOINT = re.compile(r"step_\d{8}\.pt")
FORMAT = "millivid-run"
VERSION = 1
FREE_TO_CHANGE = {
    "out", "device", "dry_run",
    "training.log_every", "training.pictures_every", "training.wandb",
    "training.checkpoint_every", "training.keep", "training.keep_every",
    "training.max_skipped", "training.unreadable",
    "training.threads", "training.workers", "training.zero", "training.micro_batch_size", "training.compile",
    "training.checkpoint_activations",
}  # fmt: skip
"""Settings that another start of the same run may change. They change rounding at most; `device` also the noise drawn on it."""


@dataclass(frozen=True)
class Manifest:
    """What stands beside a checkpoint."""

    step: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Run:
    """What `run.json` says."""

    format: str
    version: int
    kind: str
    settings: dict[str, Any]
    launches: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """What a checkpoint holds: where the run was, its weights by name, and the optimizer's tensors by kind and name."""

    step: int
    updates: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, dict[str, torch.Tensor]]
    skipped: int = 0
    unreadable: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if min(self.step, self.updates, self.skipped, self.unreadable) < 0 or not 0 <= self.seconds < math.inf:
            raise ValueError("steps, counts and seconds cannot be negative or without end")


class RunError(ValueError):
    """A run's folder that cannot be used; the message is one sentence for the user."""


def open_run(
    out: Path,
    kind: str,
    settings: Mapping[str, Any],
    free_to_change: Collection[str] = (),
    added: Mapping[str, Any] | None = None,
) -> None:
    """Make a run's folder, or accept one that holds the same run; `run.json` there lists its settings and every launch.

    free_to_change: settings, beside those of every training, that another start of the run may change. added: settings that
    earlier versions did not have, with the value that they stood for.
    Raises RunError when the folder holds something else or a run with other settings.
    """
    file = out / RUN_FILE
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose another out=")
    if not file.exists():
        if out.exists() and any(not found.name.startswith(TEMPORARY_PREFIX) for found in out.iterdir()):
            raise RunError(f"{out} is not empty and holds no run; choose another out= or delete it")
        out.mkdir(parents=True, exist_ok=True)
        header = {"format": FORMAT, "version": VERSION, "kind": kind, "settings": settings}
        write_json(file, {**header, "launches": [describe_launch()]})
        return
    then = f"delete {out} to start again, or choose another out="
    content = read_json(file, dict[str, Any], RunError, then)
    found = typed(content, Run, str(file), RunError, then)
    if (found.format, found.version, found.kind) != (FORMAT, VERSION, kind):
        raise RunError(f"{out} holds {found.kind[:40]}, not {kind}; choose another out= or delete it")
    old, new = {**(added or {}), **_flat(found.settings)}, _flat(json.loads(json.dumps(settings)))
    free = FREE_TO_CHANGE.union(free_to_change, {"training.steps"} if new.get("training.decay") == "constant" else ())
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key) and key not in free)
    if changed:
        listed = ", ".join(f"{key} was {old.get(key)} and is now {new.get(key)}" for key in changed[:3])
        raise RunError(f"{out} holds a run with other settings ({listed}); choose another out= or delete it")
    write_json(file, {**content, "settings": settings, "launches": [*found.launches, describe_launch()]})


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as `write_whole` does."""
    write_whole(file, lambda partial: partial.write_text(json_text(content), encoding="utf-8"))


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, force it to disk and rename it.

    Raises RunError where that fails, for example on a full disk; nothing half-written stays.
    """
    try:
        with replacing(file) as partial:
            write(partial)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        free = shutil.disk_usage(file.parent).free
        raise RunError(
            f"{file} could not be written ({first_line(error)}; {free / 2**20:,.0f} MiB are free); earlier checkpoints are "
            "untouched: make room and start again to go on from them"
        ) from error


def save_checkpoint(out: Path, step: int, state: Mapping[str, Any], keep: int, keep_every: int = 0) -> Path:
    """Write `checkpoints/step_N.pt` whole or not at all, its manifest in `step_N.json`, and delete older ones.

    The newest `keep` stay, and those whose step is a multiple of `keep_every` (0: none). Raises RunError where it cannot be
    written; the older ones are then still there.
    """
    folder = out / "checkpoints"
    folder.mkdir(exist_ok=True)
    file = folder / f"step_{step:08d}.pt"
    if file.exists() and file.with_suffix(".json").exists():  # a step's state is the same whenever it is saved
        return file
    file.unlink(missing_ok=True)
    write_whole(file, lambda partial: torch.save(dict(state), partial))
    write_json(file.with_suffix(".json"), asdict(Manifest(step, file.stat().st_size, file_hash(file))))
    remove_leftovers(folder)
    for old in checkpoints(out)[:-keep]:
        if not keep_every or int(old.stem.removeprefix("step_")) % keep_every:
            old.with_suffix(".json").unlink()
    names = names_in(folder)
    for left in filter(_CHECKPOINT.fullmatch, names):  # later ones may only lack a manifest that got lost
        if left < file.name and f"{Path(left).stem}.json" not in names:
            (folder / left).unlink()
    return file


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints, oldest first: those that have their manifest, which is written last."""
    names = names_in(out / "checkpoints")
    files = [out / "checkpoints" / name for name in filter(_CHECKPOINT.fullmatch, names)]
    return [file for file in files if file.with_suffix(".json").name in names]


def newest_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that is whole, or None when there is none at all.

    A damaged one is named on stderr, renamed to `step_N.damaged`, and the one before is taken; where none is left,
    RunError names it. One without its manifest, as a kill leaves it, is named too.
    """
    files = checkpoints(out)
    for name in filter(_CHECKPOINT.fullmatch, names_in(out / "checkpoints")):
        if out / "checkpoints" / name not in files:
            print(f"checkpoint {name} has no manifest {Path(name).stem}.json, so it is not used", file=sys.stderr)
    while files:
        file = files.pop()
        damage = _damage(file)
        if damage is None:
            return file
        damage = f"checkpoint {file} is damaged ({damage})"
        if not files:
            raise RunError(f"{damage}, and there is none before it; delete it to start the run again")
        print(f"{damage}; going on from {files[-1].name}", file=sys.stderr)
        file.replace(file.with_suffix(".damaged"))
        file.with_suffix(".json").unlink()
    return None


def read_state(file: Path) -> State:
    """A checkpoint's state, to go on from. Raises RunError as `read_checkpoint`, and where it is no run's of that step."""
    content, then = read_checkpoint(file), "it is of another version, or of no run: move it away"
    state = typed(content, State, f"checkpoint {file}", RunError, then)
    if file.name != f"step_{state.step:08d}.pt":
        raise RunError(f"checkpoint {file} is of step {state.step}; give it back its name, or move it away")
    return state


def read_checkpoint(file: Path) -> dict[str, Any]:
    """A checkpoint's state, on the CPU. Nothing in the file is executed. Raises RunError where it cannot be read."""
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(
            f"checkpoint {file} cannot be opened ({first_line(error)}); every process has to see it"
        ) from error
    except Exception as error:
        raise RunError(f"checkpoint {file} holds no run's state ({type(error).__name__}); move it away") from error
    if not isinstance(content, dict):
        raise RunError(f"checkpoint {file} holds no run's state (a {type(content).__name__}); move it away")
    return content


def _damage(file: Path) -> str | None:
    """What is wrong with a checkpoint, by its manifest; None where nothing is."""
    try:
        manifest = read_json(file.with_suffix(".json"), Manifest)
    except ValueError as error:
        if isinstance(error.__cause__, OSError):  # it cannot be looked at, which is no damage
            raise RunError(str(error)) from error
        return "its manifest cannot be read"
    if file.stat().st_size != manifest.bytes:
        return f"it has {file.stat().st_size} bytes, not {manifest.bytes}"
    return None if file_hash(file) == manifest.sha256 else "its hash is another"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
