"""ViZDoom's engine as a camera: it loads a map and shows what is seen from a place."""

import contextlib
import os
import shlex
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..games import guarded_script
from .config import VizdoomConfig, choose_screen, cut_frame
from .wad import CAMERA_SCRIPT, UNITS, UNITS_UP, engine_wad

LAUNCHER = """#!/bin/sh
cd {folder} || exit 1
trap '' INT
exec >/dev/null 2>&1
id= last=
for argument; do
    [ "$last" = +viz_instance_id ] && id=$argument
    last=$argument
done
set -- {engine} "$@"
"""
"""Has the engine run where it can write its folder _vizdoom without harm, deaf to Ctrl-C, which is the parent's to handle."""

FREE_MEMORY = '[ "$id" ] && rm -f /dev/shm/ViZDoom*"$id"'
"""An engine that is killed leaves its shared memory behind."""


def import_vizdoom() -> Any:
    """The package vizdoom; raises ImportError where it is not installed."""
    try:
        import vizdoom
    except ImportError as error:
        raise ImportError("the world vizdoom needs ViZDoom: pip install vizdoom") from error
    return vizdoom


class Engine:
    """A running engine; it ends with `close`, with this object, with the interpreter, or when that is killed."""

    def __init__(self, config: VizdoomConfig) -> None:
        self._config = config
        self._height: int | None = None  # of the camera in the engine's last tic
        self._game = _start(config)
        self._end = weakref.finalize(self, self._game.close)

    def load(self, wad: bytes) -> None:
        """Go into the map of a WAD file; raises ChildProcessError where the engine failed."""
        with _engine_errors(), tempfile.TemporaryDirectory(prefix="millivid_vizdoom_") as folder:
            path = Path(folder, "maze.wad")
            path.write_bytes(wad)
            self._game.set_doom_map(f"file:{path}")
            self._game.new_episode()
        self._height = None

    def look(self, x: float, y: float, z: float, yaw: float) -> NDArray[np.uint8]:
        """The frame, uint8 [height, width, 3], seen from (x, y, z), in blocks, in direction ``yaw``, in degrees.

        Raises ChildProcessError where the engine failed.
        """
        height = round(y * UNITS_UP * 65536)
        angle = round((270.0 - yaw) / 360.0 * 65536) % 65536  # the engine's angle 0 is +x, 90 is -z
        place = f"{round(x * UNITS * 65536)} {round(-z * UNITS * 65536)} {height} {angle}"
        with _engine_errors():
            self._game.send_game_command(f"puke {CAMERA_SCRIPT} {place}")
            # The engine takes the camera's height at the beginning of a tic, before the script, all else at its end.
            self._game.advance_action(1 if height == self._height else 2)
            self._height = height
            return cut_frame(self._game.get_state().screen_buffer, self._config.size, self._config.samples)

    def close(self) -> None:
        """End the engine's process; it may be called twice."""
        self._end()


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """The library's own errors are bare exceptions."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("vizdoom"):
            raise ChildProcessError(f"the Doom engine failed ({error}); close the world and reset it") from error
        raise


def _start(config: VizdoomConfig) -> Any:
    vizdoom = import_vizdoom()
    width, height, field_of_view = choose_screen(config.size, config.samples, config.field_of_view)
    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(Path(vizdoom.__file__).with_name("freedoom2.wad")))
    game.set_doom_map("MAP01")
    game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{width}X{height}"))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    for what in ("hud", "crosshair", "weapon", "decals", "particles", "effects_sprites", "messages", "screen_flashes"):
        getattr(game, f"set_render_{what}")(False)
    game.set_available_buttons([])
    game.set_available_game_variables([])
    game.set_episode_timeout(0)
    game.set_seed(1)
    # On Windows, where open files cannot be deleted, the folder stays as long as the engine does.
    with tempfile.TemporaryDirectory(prefix="millivid_vizdoom_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "engine.wad").write_bytes(engine_wad(field_of_view))
        game.set_doom_scenario_path(str(folder / "engine.wad"))
        game.set_doom_config_path(str(folder / "engine.ini"))
        if os.name == "posix":
            launcher = folder / "launch"
            engine = Path(vizdoom.__file__).with_name("vizdoom")
            start = LAUNCHER.format(folder=shlex.quote(name), engine=shlex.quote(str(engine)))
            launcher.write_text(start + guarded_script(FREE_MEMORY))
            launcher.chmod(0o700)
            game.set_vizdoom_path(str(launcher))
        with _engine_errors():
            game.init()
    return game
