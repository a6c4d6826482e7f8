"""Saved maps: one per seed, generated once by the game and kept, because only a saved map is the same every time."""

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .config import MinetestConfig
from .programs import Program

LOW, HIGH = -32, 127
"""The blocks' lowest and highest y in a map: two of the game's chunks (80 blocks), which start at -32."""

GENERATE_SECONDS = 600.0
MOD = Path(__file__).parent / "mod"


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedMap:
    """A generated map.

    folder: where it lies: the game's own files, and what `maps` adds. middle: the game's x and z of the middle of the area
    that the agent walks in. solids: uint8 [z, y, x], what stands there, in the direction of our axes; see `walker.Ground`.
    """

    folder: Path
    middle: tuple[int, int]
    solids: NDArray[np.uint8]


def saved_map(config: MinetestConfig, seed: int) -> SavedMap:
    """The map of a seed, from the folder ``config.maps``; it is generated if it is not there.

    Raises ImportError where minetest is not installed; ChildProcessError, with the end of its log, where the game failed.
    """
    half, reach = config.world_size // 2, _reach(config)
    folder = Path(config.maps) / f"{config.mapgen}-v{config.version}-{half}-{reach}" / str(seed)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as new:
            _generate(config, seed, Path(new))
            try:
                os.rename(Path(new) / "world", folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
    try:
        x, z = (int(word) for word in (folder / "middle").read_text().split())
        with np.load(folder / "solids.npz", allow_pickle=False) as arrays:
            return SavedMap(folder=folder, middle=(x, z), solids=arrays["solids"])
    except Exception as error:  # as many kinds as zip and numpy know
        raise ValueError(f"the map in {folder} is damaged ({error}); delete it, and it is made again") from error


def _reach(config: MinetestConfig) -> int:
    """Blocks from the middle that can be seen, and some more: whole map blocks of 16 are sent to the client."""
    return config.world_size // 2 + (config.view_range // 16 + 2) * 16


def _generate(config: MinetestConfig, seed: int, folder: Path) -> None:
    world, half = folder / "world", config.world_size // 2
    settings = {
        "fixed_map_seed": seed,
        "mg_name": config.mapgen,
        "millivid_area": half,
        "millivid_reach": _reach(config),
        "millivid_low": LOW,
        "millivid_high": HIGH,
    }
    game = start_game("generate", ["--server"], settings, folder)
    try:
        game.wait_until(lambda: not game.running, GENERATE_SECONDS)
    finally:
        game.close()
    if not (world / "middle").is_file():
        raise ChildProcessError(f"Minetest did not generate map {seed}; its log ends with: {game.log_tail()}")
    raw = np.fromfile(world / "solids", np.uint8).reshape(2 * half + 1, HIGH - LOW + 1, 2 * half + 1)
    np.savez_compressed(world / "solids.npz", solids=raw[:, :, ::-1])  # the game's x grows to the other side
    (world / "solids").unlink()
    shutil.rmtree(world / "worldmods")


def start_game(
    mode: str,
    arguments: Sequence[str],
    settings: Mapping[str, object],
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> Program:
    """Start the game with our mod in the world ``folder``/world. It reads and writes nothing of the user's.

    mode: which of the mod's files it runs, with the settings of the same name: "generate" or "play". arguments: of its
    command line, besides those that it always gets. settings: besides those of the mode. folder: where all its files lie.
    env: of its environment. Raises ImportError where minetest is not installed.
    """
    world, conf = folder / "world", folder / "game.conf"
    shutil.copytree(MOD / "millivid", world / "worldmods" / "millivid")
    added = "".join(f"{name} = {value}\n" for name, value in settings.items())
    conf.write_text(f"{(MOD / mode).with_suffix('.conf').read_text()}millivid_mode = {mode}\n{added}")
    # A port, because a game without draws its own from the time: two could not start at once.
    arguments = [*arguments, "--world", str(world), "--gameid", "minetest_game", "--port", str(_free_port())]
    private = {
        "HOME": str(folder),
        "MINETEST_USER_PATH": str(folder / ".minetest"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "LC_ALL": "C",
    }
    return Program("minetest", [*arguments, "--config", str(conf)], folder, {**private, **(env or {})})


def _free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
