"""The programs that this world needs: they run beside us, write a log, and never outlive us."""

import os
import re
import shlex
import shutil
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..games import guarded_script

INSTALL = "apt-get install minetest minetest-data xvfb libgl1-mesa-dri"
START_SECONDS = 20.0


def find_program(name: str) -> str:
    """The path of a program; raises ImportError, which says how to install it, where it is missing."""
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/games"))  # /usr/games: Debian's place for games
    found = shutil.which(name, path=search)
    if found is None:
        raise ImportError(f"the world minetest needs the program {name}: {INSTALL}")
    return found


class Program:
    """A running program that ends with us, whether we close it, exit or are killed.

    name: the program. arguments: of its command line. folder: where its log goes; removed when we are killed, and only
    then. env: its environment, besides ours. Raises ImportError where it is not installed.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        script = guarded_script(f"kill -0 {os.getpid()} || rm -rf {shlex.quote(str(folder))}")
        command = ["/bin/sh", "-c", script, "guard", find_program(name), *arguments]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C is for us alone
            )
        self.pid = self._process.pid
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until(self, holds: Callable[[], bool], seconds: float, pause: float = 0.01) -> None:
        """Wait until something holds, asking every ``pause`` seconds.

        Raises ChildProcessError, with the end of the program's log, where it ended before; or where it takes longer, and is
        ended.
        """
        end = time.monotonic() + seconds
        while not holds():
            late = time.monotonic() > end
            if late or not self.running:
                self.close()
                what = f"did not answer in {seconds:.0f} s" if late else "ended"
                raise ChildProcessError(f"{self.name.capitalize()} {what}; its log ends with: {self.log_tail()}")
            time.sleep(pause)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that it printed, in one line."""
        text = self.log.read_text(errors="replace")
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:]) or "(empty)"

    def close(self) -> None:
        """End it."""
        self._end()


class Display(Program):
    """A screen that exists in memory alone: the X server Xvfb, on a free display number.

    width, height: in pixels. folder: where its files go. number: what programs find it by, ":7" for example. pixels: uint8
    [height, width, 4], blue, green, red and an unused byte: what is on the screen now. Raises ImportError where Xvfb is not
    installed, and ChildProcessError, with the end of its log, where it does not start.
    """

    def __init__(self, width: int, height: int, folder: Path) -> None:
        arguments = ["-displayfd", "1", "-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder)]
        super().__init__("Xvfb", [*arguments, "-nolisten", "tcp", "-noreset"], folder)
        self.wait_until(lambda: self._find_number() is not None, START_SECONDS)
        self.number = f":{self._find_number()}"
        path = folder / "Xvfb_screen0"  # in XWD format (X11/XWDFile.h): a header, 12 bytes for each colour, the pixels
        header = np.fromfile(path, ">u4", 25)
        self.pixels: NDArray[np.uint8] = np.memmap(
            path, np.uint8, "r", int(header[0] + 12 * header[19]), (height, width, 4)
        )

    def _find_number(self) -> str | None:
        """Its number, which it writes into the log (-displayfd 1) as soon as it can be used."""
        found = re.search(r"^(\d+)\n", self.log.read_text(errors="replace"), re.MULTILINE)
        return found and found[1]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()  # at which Xvfb removes its lock files
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
