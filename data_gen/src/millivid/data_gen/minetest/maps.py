"""Saved maps: one per seed, generated once by the game and kept, because only a saved map is the same every time."""

import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .config import MinetestConfig
from .process import GuardedProcess, find_program

LOW, HIGH = -32, 127
"""The blocks' lowest and highest y in a map: two of the game's chunks (80 blocks), which start at -32."""

GENERATE_SECONDS = 600.0
MOD = Path(__file__).parent / "mod"
GAME = "minetest_game"


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedMap:
    """A generated map.

    Attributes:
        folder: where it lies: the game's own files, and what `maps` adds.
        middle: the game's x and z of the middle of the area that the agent walks in.
        solids: uint8 [z, y, x], what stands there, in the direction of our axes; see `walker.Ground`.
    """

    folder: Path
    middle: tuple[int, int]
    solids: NDArray[np.uint8]


def saved_map(config: MinetestConfig, seed: int) -> SavedMap:
    """The map of a seed, from the folder ``config.maps``; it is generated if it is not there.

    Raises:
        ImportError: minetest is not installed.
        ChildProcessError: the game failed; the message has the end of its log.
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
    x, z = (int(word) for word in (folder / "middle").read_text().split())
    with np.load(folder / "solids.npz") as file:
        return SavedMap(folder=folder, middle=(x, z), solids=file["solids"])


def _reach(config: MinetestConfig) -> int:
    """Blocks from the middle that can be seen, and some more: whole map blocks of 16 are sent to the client."""
    return config.world_size // 2 + (config.view_range // 16 + 2) * 16


def _generate(config: MinetestConfig, seed: int, folder: Path) -> None:
    program = find_program("minetest")
    world, half = folder / "world", config.world_size // 2
    install_mod(world, "millivid")
    settings = {
        "fixed_map_seed": seed,
        "mg_name": config.mapgen,
        "mg_flags": "caves,nodungeons,light,decorations,biomes",
        "num_emerge_threads": 1,  # what lies across two chunks depends on their order
        "emergequeue_limit_total": 100000,
        "emergequeue_limit_diskonly": 100000,
        "emergequeue_limit_generate": 100000,
        "liquid_update": 1e6,
        "bind_address": "127.0.0.1",
        "active_block_range": 0,
        "millivid_mode": "generate",
        "millivid_area": half,
        "millivid_reach": _reach(config),
        "millivid_low": LOW,
        "millivid_high": HIGH,
    }
    write_settings(folder / "generate.conf", settings)
    command = [program, "--server", "--world", str(world), "--gameid", GAME, "--config", str(folder / "generate.conf")]
    command += ["--port", str(free_port())]
    process = GuardedProcess(command, folder / "log", folder, game_environment(folder))
    try:
        process.wait(GENERATE_SECONDS)
    finally:
        process.close()
    if not (world / "middle").is_file():
        raise ChildProcessError(f"Minetest did not generate map {seed}; its log ends with: {process.log_tail()}")
    raw = np.fromfile(world / "solids", np.uint8).reshape(2 * half + 1, HIGH - LOW + 1, 2 * half + 1)
    np.savez_compressed(world / "solids.npz", solids=raw[:, :, ::-1])  # the game's x grows to the other side
    (world / "solids").unlink()
    shutil.rmtree(world / "worldmods")


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def install_mod(world: Path, name: str) -> None:
    """Make the folder of a world, with our mod in it."""
    shutil.copytree(MOD / name, world / "worldmods" / name)


def write_settings(path: Path, settings: dict[str, object]) -> None:
    """Write a settings file of the game."""
    words = {True: "true", False: "false"}
    lines = [f"{name} = {words[value] if isinstance(value, bool) else value}\n" for name, value in settings.items()]
    path.write_text("".join(lines))


def game_environment(folder: Path) -> dict[str, str]:
    """The environment that the game runs in: it reads and writes nothing of the user's."""
    private = {
        "HOME": str(folder),
        "MINETEST_USER_PATH": str(folder / ".minetest"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    return {**os.environ, **private, "LC_ALL": "C"}
