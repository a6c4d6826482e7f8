"""What holds for every command: printing never ends it, and an error that nobody foresaw is told in one sentence."""

import contextlib
import io
import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO, cast

from millivid.command.settings import first_line

DONE, MISTAKE, FAULT, STOPPED, PIPE_CLOSED = 0, 2, 70, 130, 141


def guarded(run: Callable[[], int], name: str, words: Sequence[str]) -> int:
    """The exit code of `run`; 141 where nobody reads its output any more, 70 for an error of ours, of which a file is kept.

    name, words: of the command, for that file.
    """
    open_streams()
    try:
        os.getcwd()
    except FileNotFoundError:  # of which some libraries end the process
        print("millivid: the folder that this was started in is gone; go to another one", file=sys.stderr)
        return MISTAKE
    try:
        code = run()
        sys.stdout.flush()  # not when Python ends, which would show a traceback
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        code = STOPPED
    except BrokenPipeError:
        code = PIPE_CLOSED
    except OSError as error:
        print(f"millivid: the output cannot be written ({error.strerror or error})", file=sys.stderr)
        code = MISTAKE
    except Exception as error:
        kept = _keep(f"{version()}\nPython {platform.python_version()}\n{name} {shlex.join(words)}\n\n", error)
        print(
            f"millivid: this is a fault in MilliVid itself, not in what was asked for ({type(error).__name__}: "
            f"{first_line(error)}); please report it, with {kept}",
            file=sys.stderr,
        )
        code = FAULT
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


class LossyStream:
    """A stream on which what cannot be written is lost: its disk may be full, or nobody read it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def open_streams() -> None:
    """Make printing safe: what an encoding lacks becomes "?"; what goes to a closed stream or a full stderr is lost."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not isinstance(sys.stderr, LossyStream):
        sys.stderr = cast(TextIO, LossyStream(sys.stderr))


def _keep(text: str, error: BaseException) -> str:
    """Write a report on an error, here or where temporary files go; returns how to call it."""
    for folder in (os.curdir, os.environ.get("TMPDIR", "/tmp")):
        file = Path(folder, f"millivid-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt")
        with contextlib.suppress(OSError), file.open("x", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(text + "".join(traceback.format_exception(error)))
            return str(file)
    return "the command that you gave"


def version() -> str:
    """The installed distributions of MilliVid and their versions, a line each; the umbrella alone where it is there."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    ours = {name: found[name] for name in sorted(found) if name == "millivid" or name.startswith("millivid-")}
    if "millivid" in ours:
        return f"millivid {ours['millivid']}"
    return "\n".join(f"{name} {number}" for name, number in ours.items())
