"""Run a command: words in, an exit code out, and one sentence for every mistake."""

import errno
import shlex
import sys
import typing
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from millivid.command.help import describe_settings
from millivid.command.launchers import adopt_slurm, is_first, leave_processes
from millivid.command.settings import load_config

DONE, MISTAKE, STOPPED = 0, 2, 130


def run_command(
    function: Callable[[Any], object], words: Sequence[str], conf: Path | None = None, name: str | None = None
) -> int:
    """Run a function of one config on the settings that the words give.

    function: its first parameter is annotated with the config class; what it returns is printed, unless it is None.
    words: key=value settings, or `--help`, or `--version`. conf: a folder of experiments (see `load_config`). name: what
    the command is called, by default `python -m` and the function's module.
    Returns the exit code: 0, 2 for a mistake in what was asked for, 130 when stopped by Ctrl-C or SIGTERM.
    """
    name = name or _name_of(function)
    config_class = config_class_of(function)
    if {"-h", "--help"} & set(words):
        print(describe_settings(config_class, conf))
        return DONE
    if "--version" in words:
        print(version())
        return DONE
    try:
        adopt_slurm()
        result = function(load_config(config_class, words, conf))
        leave_processes()
    except KeyboardInterrupt as stopped:
        if is_first():
            kept = stopped.args[0] if stopped.args else "; finished work is kept"
            print(f"\nstopped{kept}: run {name} {shlex.join(words)} again to go on", file=sys.stderr)
        return STOPPED
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"{'millivid' if name.startswith('millivid ') else name}: {explain(error)}", file=sys.stderr)
        return MISTAKE
    if result is not None and is_first():
        print(f"done: {result}")
    return DONE


def _name_of(function: Callable[[Any], object]) -> str:
    """How a function's module is run: by its name, or as a script."""
    if function.__module__ != "__main__":
        return f"python -m {function.__module__}"
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name}" if spec else f"python {Path(sys.argv[0]).name}"


def config_class_of(function: Callable[[Any], object]) -> type:
    """The class of the config that a command's function takes, by the annotation of its first parameter."""
    found: type = next(iter(typing.get_type_hints(function).values()))
    return found


def version() -> str:
    """The installed distributions of MilliVid and their versions, a line each; the umbrella alone where it is there."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    ours = {name: found[name] for name in sorted(found) if name == "millivid" or name.startswith("millivid-")}
    if "millivid" in ours:
        return f"millivid {ours['millivid']}"
    return "\n".join(f"{name} {number}" for name, number in ours.items())


def explain(error: BaseException) -> str:
    """An error that a user can cause, in one sentence."""
    text = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename} cannot be used ({error.strerror.lower()}); choose another path or free this one"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = "no space is left on a disk that is written to; free some, and run the same command again"
    elif isinstance(error, MemoryError):
        text = f"the memory does not suffice ({text or 'no more could be had'}); take smaller frames, batches or pieces"
    return " ".join(text.split())
