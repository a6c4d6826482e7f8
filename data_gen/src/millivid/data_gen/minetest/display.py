"""A screen that exists in memory alone: the X server Xvfb, whose picture is a file that we map."""

import os
import re
import signal
import struct
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .process import GuardedProcess, find_program

START_SECONDS = 20.0


class Display:
    """An X server of its own, on a free display number.

    Attributes:
        name: what programs find it by, ":7" for example.
        pixels: uint8 [height, width, 4], blue, green, red and an unused byte: what is on the screen now.

    Args:
        width: in pixels.
        height: in pixels.
        folder: where its files go.

    Raises:
        ImportError: Xvfb is not installed.
        ChildProcessError: it does not start; the message has the end of its log.
    """

    def __init__(self, width: int, height: int, folder: Path) -> None:
        # -displayfd 1: the number goes to the log. SIGTERM, because it removes its lock files then.
        command = [find_program("Xvfb"), "-displayfd", "1", "-screen", "0", f"{width}x{height}x24"]
        command += ["-fbdir", str(folder), "-nolisten", "tcp", "-noreset"]
        self.process = GuardedProcess(command, folder / "xvfb.log", folder, dict(os.environ), signal.SIGTERM)
        end = time.monotonic() + START_SECONDS
        while not (number := re.search(r"^(\d+)\n", self.process.log.read_text(errors="replace"), re.MULTILINE)):
            if not self.process.running or time.monotonic() > end:
                tail = self.process.log_tail()
                self.process.close()
                raise ChildProcessError(f"Xvfb did not start; its log ends with: {tail}")
            time.sleep(0.01)
        self.name = f":{number[1]}"
        self.pixels = map_screen(folder / "Xvfb_screen0")

    def close(self) -> None:
        """End the X server."""
        self.process.close()


def map_screen(path: Path) -> NDArray[np.uint8]:
    """Map a screen's file in XWD format (X11/XWDFile.h) as uint8 [height, width, 4].

    Raises:
        ValueError: the screen does not have 32 bits per pixel.
    """
    with open(path, "rb") as file:
        header = struct.unpack(">25I", file.read(100))
    size, width, height, bits, stride, colors = (header[index] for index in (0, 4, 5, 11, 12, 19))
    if bits != 32:
        raise ValueError(f"the screen must have 32 bits per pixel; it has {bits}")
    offset = size + 12 * colors
    raw = np.memmap(path, np.uint8, "r", offset, (height, stride))
    return raw[:, : 4 * width].reshape(height, width, 4)
