"""A run's folder: what was asked for, and checkpoints that are whole or not there."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

RUN_FILE = "run.json"
FORMAT = "millivid-run"
VERSION = 1
FREE_TO_CHANGE = {
    "out",
    *(f"training.{name}" for name in ("log_every", "checkpoint_every", "keep", "keep_every", "max_skipped", "threads")),
}


class RunError(ValueError):
    """A run's folder that cannot be used; the message is one sentence for the user."""


def open_run(out: Path, kind: str, settings: Mapping[str, Any]) -> None:
    """Make a run's folder, or accept one that holds the same run.

    Raises RunError when the folder holds something else or a run with other settings.
    """
    file = out / RUN_FILE
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose another out=")
    if not file.exists():
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty and holds no run; choose another out= or delete it")
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, {"format": FORMAT, "version": VERSION, "kind": kind, "settings": settings})
        return
    try:
        found = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read ({error}); delete {out} to start again") from error
    if found.get("format") != FORMAT or found.get("version") != VERSION or found.get("kind") != kind:
        raise RunError(f"{out} holds {found.get('kind', 'something')}, not {kind}; choose another out= or delete it")
    old, new = _flat(found["settings"]), _flat(json.loads(json.dumps(settings)))
    free = FREE_TO_CHANGE | ({"training.steps"} if new.get("training.decay") == "constant" else set())
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key) and key not in free)
    if changed:
        listed = ", ".join(f"{key} was {old.get(key)} and is now {new.get(key)}" for key in changed[:3])
        raise RunError(f"{out} holds a run with other settings ({listed}); choose another out= or delete it")


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write JSON under a temporary name and rename it."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(file)


def save_checkpoint(out: Path, step: int, state: Mapping[str, Any], keep: int, keep_every: int = 0) -> Path:
    """Write `checkpoints/step_N.pt` whole or not at all, its SHA-256 in `step_N.sha256`, and delete older ones.

    The newest `keep` stay, and those whose step is a multiple of `keep_every` (0: none).
    """
    folder = out / "checkpoints"
    folder.mkdir(exist_ok=True)
    file = folder / f"step_{step:08d}.pt"
    if file.exists():  # a step's state is the same whenever it is saved
        return file
    partial = file.with_suffix(".partial")
    torch.save(dict(state), partial)
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    file.with_suffix(".sha256").write_text(_hash(partial) + "\n")
    partial.replace(file)
    for old in checkpoints(out)[:-keep]:
        if not keep_every or int(old.stem.removeprefix("step_")) % keep_every:
            old.unlink()
            old.with_suffix(".sha256").unlink(missing_ok=True)
    return file


def checkpoints(out: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    files = (out / "checkpoints").glob("step_*.pt")
    return sorted(file for file in files if re.fullmatch(r"step_\d{8}\.pt", file.name))


def load_newest_checkpoint(out: Path) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole, or None when there is none at all.

    A damaged one is named on stderr, renamed to `step_N.damaged`, and the one before is taken; where none is left,
    RunError names it. Nothing in a file is executed.
    """
    files = checkpoints(out)
    while files:
        file = files.pop()
        earlier = files[-1] if files else None
        try:
            return _read(file)
        except Exception as error:
            damage = f"checkpoint {file} is damaged ({error if isinstance(error, RunError) else type(error).__name__})"
            if earlier is None:
                raise RunError(f"{damage}, and there is none before it; delete it to start the run again") from error
            print(f"{damage}; going on from {earlier.name}", file=sys.stderr)
            file.replace(file.with_suffix(".damaged"))
    return None


def _read(file: Path) -> dict[str, Any]:
    expected = file.with_suffix(".sha256")
    if expected.is_file() and expected.read_text().strip() != _hash(file):
        raise RunError("its hash is another")
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
