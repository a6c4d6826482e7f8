"""Every range that a docstring of the package documents is checked, in one sentence."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millivid.data_gen import (
    RecordConfig,
    VoxelConfig,
    VoxelWorld,
    chamfer_distance,
    draw_actions,
    draw_test_actions,
    flat_path,
)
from millivid.data_gen.minetest import MinetestWorld
from millivid.data_gen.recorder import record

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("action", [3, -1, True, 1.0, "left", None, math.nan, [1], np.array([1, 2])])
def test_actions_that_no_world_knows(action: Any) -> None:
    world = VoxelWorld(VoxelConfig(size=(16, 16)))
    world.reset(0)
    with pytest.raises(ValueError, match="action is .*from 0 to 2: 0 forward, 1 left, 2 right"):
        world.step(action)
    world.step(np.int64(2))


@pytest.mark.parametrize("seed", [-1, True, 1.0, "1", None, math.nan])
def test_seeds_that_cannot_be(seed: Any) -> None:
    for world in (VoxelWorld(), MinetestWorld()):
        with pytest.raises(ValueError, match="seed is .*; it must be a whole number"):
            world.reset(seed)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: VoxelConfig(frames_per_action=True),
            "frames_per_action is True; it must be a whole number from 1 to 90",
        ),
        (lambda: VoxelConfig(frames_per_action=3.5), "frames_per_action is 3.5"),  # type: ignore[arg-type]
        (lambda: VoxelConfig(frames_per_action="3"), "frames_per_action is '3'"),  # type: ignore[arg-type]
        (lambda: VoxelConfig(size=(64.5, 64)), "size must be"),  # type: ignore[arg-type]
        (lambda: VoxelConfig(size="64"), "size must be"),  # type: ignore[arg-type]
        (lambda: VoxelConfig(jump="no"), "jump is 'no'; expected bool"),  # type: ignore[arg-type]
        (lambda: RecordConfig(world=VoxelConfig(), train_videos=1.5), "train_videos is 1.5"),  # type: ignore[arg-type]
        (lambda: draw_actions(RNG, 4.0, 3), "num_frames is 4.0; it must be a whole number of at least 1"),  # type: ignore[arg-type]
        (lambda: draw_actions(RNG, 4, True), "frames_per_action is True; it must be a whole number of at least 1"),
        (lambda: flat_path(np.zeros(3, np.int64), 0), "frames_per_action is 0"),
        (lambda: chamfer_distance(np.zeros((0, 2)), np.zeros((3, 2))), "at least one point each"),
        (lambda: chamfer_distance(np.zeros((3, 3)), np.zeros((3, 2))), r"\(3, 3\) and \(3, 2\)"),
        (lambda: draw_test_actions(RNG, 10, 3, 1.5), "context is 1.5; it must be a whole number from 1 to 9"),  # type: ignore[arg-type]
        (lambda: draw_test_actions(RNG, 10, 3, True), "context is True; it must be a whole number from 1 to 9"),
    ],
)
def test_arguments_that_cannot_be(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("processes", [0, -1, 1.5, True])
def test_processes_that_cannot_be(tmp_path: Path, processes: Any) -> None:
    with pytest.raises(ValueError, match="processes is .*; it must be a whole number of at least 1"):
        record(RecordConfig(world=VoxelConfig(size=(16, 16)), train_videos=1), tmp_path / "new", processes)
    assert not list(tmp_path.iterdir())
