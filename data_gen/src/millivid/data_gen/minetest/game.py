"""The running game: it is told a pose, and shows that it has drawn it."""

import contextlib
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..boxes import average_boxes
from .config import MinetestConfig
from .display import Display
from .maps import GAME, HIGH, LOW, MOD, SavedMap, free_port, game_environment, install_mod, write_settings
from .process import GuardedProcess, find_program
from .sky import HORIZON, write_sky

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
    """One game in one saved map, on a display, driven in lock-step by commands (see mod/millivid/play.lua).

    Args:
        config: the world's settings.
        saved: the map; the game gets a copy.
        display: of `window_size`.
        folder: an empty folder of its own.

    Raises:
        ImportError: minetest is not installed.
    """

    def __init__(self, config: MinetestConfig, saved: SavedMap, display: Display, folder: Path) -> None:
        program = find_program("minetest")
        self._config, self._display, self._folder = config, display, folder
        # The screen may still show a number of the game before: begin far from it.
        shown = display.pixels[2, 2, :3].astype(int) // 36
        self._number = int(shown @ (1, 8, 64)) + 100
        self._loaded: set[tuple[int, ...]] = set()
        world = folder / "world"
        shutil.copytree(saved.folder, world, ignore=shutil.ignore_patterns("solids.npz"))
        install_mod(world, "millivid")
        write_sky(world / "worldmods" / "millivid" / "textures")
        client_mods = folder / ".minetest" / "clientmods"
        shutil.copytree(MOD / "millivid_view", client_mods / "millivid_view")
        (client_mods / "mods.conf").write_text("load_mod_millivid_view = true\n")
        write_settings(folder / "play.conf", play_settings(config))
        os.mkfifo(world / "commands")
        # Open for reading as well, so that opening does not wait for the game; it reads an end once we are gone.
        self._commands = os.open(world / "commands", os.O_RDWR)
        command = [program, "--go", "--world", str(world), "--gameid", GAME]
        # A name and a port, because a game without them draws its port from the time: two could not start at once.
        command += ["--name", "agent", "--port", str(free_port()), "--config", str(folder / "play.conf")]
        env = {**game_environment(folder), "DISPLAY": display.name, "LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "1"}
        self._process = GuardedProcess(command, folder / "game.log", folder, env)

    def show(self, position: tuple[float, float, float], yaw: float, pitch: float = 0.0) -> NDArray[np.uint8]:
        """The picture from a place, uint8 RGB [height, width, 3].

        Args:
            position: of the eye, in the game's own coordinates.
            yaw: as the game counts it: radians, growing to the left.
            pitch: radians, positive downward.

        Raises:
            ChildProcessError: the game ended or does not answer; the message has the end of its log.
        """
        self._load(position)
        self._answer()
        self._command("pose", *position, yaw, pitch, 0)
        picture = self._picture()
        # Then look at the sky for a frame. What the game draws, and in which order, is decided five times a second or
        # when the view has turned by more than 11 degrees: like this it is decided anew for every picture, and does
        # not depend on the time. We do not wait: the sky is drawn while we are busy with the picture.
        self._send("pose", *position, yaw, LOOK_UP, 0)
        return picture

    def close(self) -> None:
        """End the game."""
        self._process.close()
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1
        shutil.rmtree(self._folder, ignore_errors=True)

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
        pixels, end = self._display.pixels, time.monotonic() + ANSWER_SECONDS
        while not ((pixels[2, 2, :3] == color).all() and (pixels[-3, 2, :3] == color).all()):
            if not self._process.running:
                raise ChildProcessError(f"Minetest ended; its log ends with: {self._process.log_tail()}")
            if time.monotonic() > end:
                tail = self._process.log_tail()
                raise ChildProcessError(f"Minetest did not answer in {ANSWER_SECONDS:.0f} s; its log ends with: {tail}")
            time.sleep(0.0005)

    def _picture(self) -> NDArray[np.uint8]:
        return average_boxes(self._display.pixels[STRIP:-STRIP, :, 2::-1], self._config.supersampling)

    def _wait_for_meshes(self) -> None:
        """Wait until the game's mesh thread has worked off what it was sent: the kernel counts its running time."""
        used, since, end = -1, time.monotonic(), time.monotonic() + ANSWER_SECONDS
        while time.monotonic() - since < QUIET_SECONDS:
            if not self._process.running or time.monotonic() > end:
                raise ChildProcessError(f"Minetest failed; its log ends with: {self._process.log_tail()}")
            now = used
            with contextlib.suppress(FileNotFoundError):  # a thread may end meanwhile
                now = sum(
                    int((task / "schedstat").read_text().split()[0])
                    for task in Path(f"/proc/{self._process.pid}/task").iterdir()
                    if "esh" in (task / "comm").read_text()
                )
            if now != used:
                used, since = now, time.monotonic()
            time.sleep(0.01)


def window_size(config: MinetestConfig) -> tuple[int, int]:
    """Width and height in pixels of the game's window."""
    height, width = config.size
    return width * config.supersampling, height * config.supersampling + 2 * STRIP


def play_settings(config: MinetestConfig) -> dict[str, object]:
    """The game's settings while it is recorded: nothing moves, nothing is written on the screen."""
    width, height = window_size(config)
    aspect = width / height
    vertical = 2 * math.degrees(math.atan(math.tan(math.radians(config.field_of_view) / 2) / aspect))
    vertical /= min(max(math.sqrt(1.6 / aspect), 1.0), 1.4)  # the game widens narrow windows by this much
    return {
        "screen_w": width, "screen_h": height, "autosave_screensize": False, "vsync": False,
        "fps_max": 500, "fps_max_unfocused": 500, "pause_on_lost_focus": False, "enable_sound": False,
        "chat_log_level": "none", "node_highlighting": "none", "enable_shaders": True,
        "viewing_range": config.view_range, "enable_fog": True, "enable_clouds": False, "directional_colored_fog": False,
        "smooth_lighting": True, "mip_map": True, "trilinear_filter": True, "anisotropic_filter": False, "fsaa": 0,
        "leaves_style": "fancy", "opaque_water": True, "enable_particles": False, "tone_mapping": False,
        "enable_waving_water": False, "enable_waving_leaves": False, "enable_waving_plants": False,
        "enable_dynamic_shadows": False, "view_bobbing_amount": 0, "fall_bobbing_amount": 0,
        "camera_smoothing": 0, "cinematic": False, "arm_inertia": False, "enable_minimap": False, "free_move": True,
        "noclip": True, "show_debug": False, "enable_weather": False, "enable_damage": False, "creative_mode": True,
        "default_privs": "interact,fly,noclip", "bind_address": "127.0.0.1", "show_statusline_on_connect": False,
        "time_speed": 0, "enable_client_modding": True, "enable_mod_channels": True, "csm_restriction_flags": 0,
        "active_block_range": 0, "liquid_update": 1e6, "client_mapblock_limit": -1,
        "max_block_send_distance": 1, "max_block_generate_distance": 0, "server_side_occlusion_culling": False,
        "server_unload_unused_data_timeout": 1000000, "client_unload_unused_data_timeout": 1000000,
        "millivid_mode": "play", "millivid_fov": vertical, "millivid_time": config.time_of_day / 24,
        "millivid_horizon": "#{:02x}{:02x}{:02x}".format(*HORIZON), "millivid_strip": 100 * STRIP / height,
    }  # fmt: skip
