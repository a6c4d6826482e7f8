"""The running game: it is told a pose, and shows that it has drawn it."""

import contextlib
import math
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..games import average_boxes
from .config import MinetestConfig
from .maps import HIGH, LOW, MOD, SavedMap, start_game
from .programs import Display

STRIP = 8
"""Height in pixels of the two coloured strips above and below the picture."""

LOOK_UP = -1.5
"""Pitch in radians."""

ANSWER_SECONDS = 60.0
FIRST_FRAMES, LATER_FRAMES = 20, 5
"""Frames that are drawn in four directions of a new place: the first ones may differ by a pixel at an edge."""

QUIET_SECONDS = 0.1
"""The thread that builds meshes has nothing left to do once it was idle for so long."""


class Game:
    """One game in one saved map, on a display of its own, driven in lock-step by commands (see mod/millivid/play.lua).

    saved: the map; the game gets a copy. Raises ImportError where minetest or Xvfb is not installed, and ChildProcessError,
    with the end of a log, where they do not start.
    """

    def __init__(self, config: MinetestConfig, saved: SavedMap) -> None:
        self._config = config
        self._number = 0  # of the last command
        self._loaded: set[tuple[int, ...]] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="millivid-minetest-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        height, width = (side * config.supersampling for side in config.size)
        height += 2 * STRIP
        self._display = Display(width, height, folder)
        world, client_mods = folder / "world", folder / ".minetest" / "clientmods"
        shutil.copytree(saved.folder, world, ignore=shutil.ignore_patterns("solids.npz"))
        shutil.copytree(MOD / "millivid_view", client_mods / "millivid_view")
        (client_mods / "mods.conf").write_text("load_mod_millivid_view = true\n")
        os.mkfifo(world / "commands")
        # Open for reading as well, so that opening does not wait for the game; it reads an end once we are gone.
        self._commands = os.open(world / "commands", os.O_RDWR)
        env = {"DISPLAY": self._display.number, "LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "1"}
        self._program = start_game(
            "play", ["--go", "--name", "agent"], play_settings(config, width, height), folder, env
        )

    def show(self, position: tuple[float, float, float], yaw: float) -> NDArray[np.uint8]:
        """The picture from a place, uint8 RGB [height, width, 3].

        position: of the eye, in the game's own coordinates. yaw: as the game counts it: radians, growing to the left.
        Raises ChildProcessError, with the end of the game's log, where it ended or does not answer.
        """
        self._load(position)
        self._answer()
        self._command("pose", *position, yaw, 0.0, 0)
        picture = average_boxes(self._display.pixels[STRIP:-STRIP, :, 2::-1], self._config.supersampling)
        # Then look at the sky for a frame. What the game draws, and in which order, is decided five times a second or
        # when the view has turned by more than 11 degrees: like this it is decided anew for every picture, and does
        # not depend on the time. We do not wait: the sky is drawn while we are busy with the picture.
        self._send("pose", *position, yaw, LOOK_UP, 0)
        return picture

    def close(self) -> None:
        """End the game and its display."""
        os.close(self._commands)  # at which the game ends by itself
        self._program.close()
        self._display.close()
        self._folder.cleanup()

    def _load(self, position: tuple[float, float, float]) -> None:
        """Have the game build everything that can be seen from the map block (16 x 16 x 16) of a position."""
        block = tuple(math.floor(round(value) / 16) for value in position)
        if block in self._loaded:
            return
        if self._loaded:
            self._answer()
        self._command("load", *block, self._config.view_range // 16 + 1, LOW // 16, HIGH // 16)
        self._wait_for_meshes()
        frames = LATER_FRAMES if self._loaded else FIRST_FRAMES
        for quarter in range(4):
            self._command("pose", *position, quarter * math.pi / 2, 0.0, frames)
        self._send("pose", *position, 0.0, LOOK_UP, 0)
        self._loaded.add(block)

    def _command(self, kind: str, *values: float) -> None:
        self._send(kind, *values)
        self._answer()

    def _send(self, kind: str, *values: float) -> None:
        self._number += 1
        line = " ".join([kind, str(self._number), *(repr(value) for value in values)])
        os.write(self._commands, f"{line}\n".encode())

    def _answer(self) -> None:
        """Wait until the screen shows the number of the last command, in colours above and below the picture."""
        code = self._number % 511 + 1
        color = np.array([code % 8, code // 8 % 8, code // 64], np.uint8) * 36  # blue, green, red
        pixels = self._display.pixels
        self._program.wait_until(lambda: bool((pixels[[2, -3], 2, :3] == color).all()), ANSWER_SECONDS, pause=0.0005)

    def _wait_for_meshes(self) -> None:
        """Wait until the game's mesh thread has worked off what it was sent: the kernel counts its running time."""
        used, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal used, since
            now = used
            with contextlib.suppress(FileNotFoundError):  # a thread may end meanwhile
                now = sum(
                    int((task / "schedstat").read_text().split()[0])
                    for task in Path(f"/proc/{self._program.pid}/task").iterdir()
                    if "esh" in (task / "comm").read_text()
                )
            if now != used:
                used, since = now, time.monotonic()
            return time.monotonic() - since > QUIET_SECONDS

        self._program.wait_until(quiet, ANSWER_SECONDS)


def play_settings(config: MinetestConfig, width: int, height: int) -> dict[str, object]:
    """The game's settings that depend on the world's and on the window; the others are in mod/play.conf."""
    aspect = width / height
    vertical = 2 * math.degrees(math.atan(math.tan(math.radians(config.field_of_view) / 2) / aspect))
    vertical /= min(max(math.sqrt(1.6 / aspect), 1.0), 1.4)  # the game widens narrow windows by this much
    return {
        "screen_w": width,
        "screen_h": height,
        "viewing_range": config.view_range,
        "millivid_fov": vertical,
        "millivid_time": config.time_of_day / 24,
        "millivid_strip": 100 * STRIP / height,
    }
