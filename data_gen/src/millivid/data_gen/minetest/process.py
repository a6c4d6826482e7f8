"""Programs that run beside us and never outlive us."""

import contextlib
import os
import shutil
import signal
import subprocess
import weakref
from pathlib import Path

INSTALL = "apt-get install minetest minetest-data xvfb libgl1-mesa-dri"

# The shell becomes the program (same process id); its child waits for a line on the pipe that we hold. When we end
# without writing one, however that happens, the child reads the end of the pipe instead, and cleans up after us.
GUARD = """
exec 3<&0
(read -r line <&3 || { kill -"$1" $$; sleep 1; kill -KILL $$; rm -rf "$2"; }) >/dev/null 2>&1 &
shift 2
exec "$@" </dev/null 3<&-
"""


def find_program(name: str) -> str:
    """The path of a program.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/games"))  # /usr/games: Debian's place for games
    found = shutil.which(name, path=search)
    if found is None:
        raise ImportError(f"the world minetest needs the program {name}: {INSTALL}")
    return found


class GuardedProcess:
    """A program that ends with us, whether we close it, exit or are killed.

    Args:
        command: the program and its arguments.
        log: the file that gets what it prints.
        folder: removed when we are killed, and only then.
        env: its environment.
        stop: the signal that ends it.
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        folder: Path,
        env: dict[str, str],
        stop: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.log = log
        with open(log, "ab") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", stop.name.removeprefix("SIG"), str(folder), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=env,
                start_new_session=True,  # Ctrl-C is for us alone
            )
        self.pid = process.pid
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process, stop)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait until it ends by itself, but no longer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that it printed, in one line."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:]) or "(empty)"

    def close(self) -> None:
        """End it."""
        self._finalizer()


def _end(process: "subprocess.Popen[bytes]", stop: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"\n")  # the guard's work is done
        process.stdin.close()
