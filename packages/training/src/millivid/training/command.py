"""A training module as a command: `python -m`, torchrun or deepspeed, and one sentence for every mistake."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from millivid.training.processes import adopt_slurm, leave_processes
from millivid.training.settings import load_config

MISTAKE, STOPPED = 2, 130


def run_command(function: Callable[[Any], Any], cls: type, conf: Path | None, words: Sequence[str]) -> int:
    """Run a function on the settings that the words give; returns the exit code: 0, 2 for a mistake, 130 when stopped."""
    adopt_slurm()
    try:
        result = function(load_config(cls, words, conf))
        leave_processes()
    except KeyboardInterrupt as stopped:
        if is_first():
            saved = stopped.args[0] if stopped.args else ""
            print(f"stopped{saved}; start the same command again to go on", file=sys.stderr)
        return STOPPED
    except (ValueError, OSError, ImportError) as error:
        print(f"{Path(sys.argv[0]).parent.name}: {explain(error)}", file=sys.stderr)
        return MISTAKE
    if result is not None and is_first():
        print(f"done: {result}")
    return 0


def is_first() -> bool:
    """Whether this is the one of a launcher's processes that talks."""
    return os.environ.get("RANK", "0") == "0"


def explain(error: Exception) -> str:
    """An error that a user can cause, in one sentence."""
    told = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        told = f"{error.filename} cannot be used ({error.strerror.lower()}); choose another path or free this one"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        told = "no space is left on a disk that is written to; free some, and run the same command again"
    elif isinstance(error, MemoryError):
        told = f"the memory does not suffice ({told or 'no more could be had'}); take smaller frames, batches or pieces"
    return " ".join(told.split())
