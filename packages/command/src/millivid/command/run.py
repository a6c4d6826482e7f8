"""Run a command: words in, an exit code out, and one sentence for every mistake."""

import re
import shlex
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from millivid.command.guard import DONE, MISTAKE, STOPPED, guarded, version
from millivid.command.help import describe_settings
from millivid.command.launchers import adopt_slurm, is_first, leave_processes
from millivid.command.settings import load_config


def run_command(
    function: Callable[[Any], object], words: Sequence[str], conf: Path | None = None, name: str | None = None
) -> int:
    """Run a function of one config on the settings that the words give.

    function: its first parameter is annotated with the config class; what it returns is printed, unless it is None.
    words: key=value settings, or `--help`, or `--version`. conf: a folder of experiments (see `load_config`). name: what
    the command is called, by default `python -m` and the function's module.
    Returns the exit code: 0, 2 for a mistake in what was asked for, 130 when stopped by Ctrl-C or SIGTERM, 70 and 141 as
    `guarded` says.
    """
    called = name or _name_of(function)
    return guarded(lambda: _run(function, words, conf, called), called, words)


def _run(function: Callable[[Any], object], words: Sequence[str], conf: Path | None, name: str) -> int:
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
    except Exception as error:
        if isinstance(error, BrokenPipeError) or not is_mistake(error):
            raise
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


_NO_MEMORY = re.compile(r"(?:out of|allocate) memory|Storage size calculation overflowed", re.IGNORECASE)
_NO_SPACE = "No space left on device"


def is_mistake(error: BaseException) -> bool:
    """Whether an error is one that a user can cause."""
    if isinstance(error, ValueError | OSError | ImportError | MemoryError):
        return True
    text = str(error)  # torch and safetensors have errors of their own
    return bool(_NO_MEMORY.search(text)) or _NO_SPACE in text


def explain(error: BaseException) -> str:
    """An error that a user can cause, in one sentence."""
    text = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename} cannot be used ({error.strerror.lower()}); choose another path or free this one"
    elif _NO_SPACE in text:
        text = "no space is left on a disk that is written to; free some, and run the same command again"
    elif isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        asked = re.search(r"tried to allocate ([\d.]+ ?\w+)", text, re.IGNORECASE)
        why = f"{asked[1]} more were asked for" if asked else text or "no more could be had"
        text = f"the memory does not suffice ({why}); take smaller frames, batches or pieces"
    return " ".join(text.split())
