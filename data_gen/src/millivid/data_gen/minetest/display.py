"""A screen that exists in memory alone: the X server Xvfb, whose picture is a file that we map."""

import os
import select
import signal
import struct
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
        program = find_program("Xvfb")
        read_end, write_end = os.pipe()
        try:
            command = [program, "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24"]
            command += ["-fbdir", str(folder), "-nolisten", "tcp", "-noreset"]
            # SIGTERM, because it removes its lock files then.
            self.process = GuardedProcess(
                command, folder / "xvfb.log", folder, dict(os.environ), signal.SIGTERM, (write_end,)
            )
            os.close(write_end)
            write_end = -1
            number = _read_line(read_end)
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)
        if not number:
            tail = self.process.log_tail()
            self.process.close()
            raise ChildProcessError(f"Xvfb did not start; its log ends with: {tail}")
        self.name = f":{number}"
        self.pixels = map_screen(folder / "Xvfb_screen0")

    def close(self) -> None:
        """End the X server."""
        self.process.close()


def _read_line(file: int) -> str:
    """What is written, up to the end of the line; empty if nothing comes in time."""
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([file], [], [], START_SECONDS)
        more = os.read(file, 16) if ready else b""
        if not more:
            return ""
        text += more
    return text.decode().strip()


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
