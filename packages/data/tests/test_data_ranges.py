"""Every range and shape that a docstring of the package documents is checked where arrays and settings enter."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millivid.data import Clip, ClipDataset, ClipWriter, LatentDataset, LatentWriter, write_video
from millivid.data.video import read_video

FRAMES = np.zeros((4, 16, 16, 3), np.uint8)
ACTIONS, POSES = np.zeros(4, np.int64), np.zeros((4, 5), np.float32)
LEVELS = [np.zeros((4, 2, 2, 3), np.float32), np.zeros((4, 1, 1, 3), np.float32)]
CLIPS: dict[str, Any] = {"fps": 10, "size": (16, 16), "action_names": ("forward", "left"), "source": {}}
LATENTS: dict[str, Any] = {
    "fps": 10, "action_names": ("forward", "left"), "grids": ((2, 2), (1, 1)), "channels": 3, "tokenizer": {"fingerprint": "0"}
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fps": math.nan}, "fps is nan; expected float >= 0.01"),
        ({"fps": True}, "fps is True; expected float, got bool"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": 1e9}, "fps is 1000000000.0; expected float <= 1000"),
        ({"action_names": "forward"}, "action_names is 'forward'; expected array, got str|are not all different"),
        ({"action_names": ("a", 1)}, "actions: 1 is no name"),
        ({"action_names": ("a", "a")}, "not all different"),
        ({"action_type": "vector"}, "action_type is 'vector'; use categorical or continuous"),
        ({"pose_names": "xyz"}, "pose_names is 'xyz'"),
    ],
)
def test_settings_of_writers(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    for writer, settings in ((ClipWriter, CLIPS), (LatentWriter, LATENTS)):
        with pytest.raises(ValueError, match=message):
            writer(tmp_path / "new", **{**settings, **changed})  # type: ignore[operator]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("writer", "settings", "message"),
    [
        (ClipWriter, {**CLIPS, "size": (16.5, 16)}, r"size is \(16.5, 16\); expected int"),
        (ClipWriter, {**CLIPS, "size": (0, 16)}, "expected int >= 1"),
        (ClipWriter, {**CLIPS, "size": (16, 16, 3)}, "size is"),
        (ClipWriter, {**CLIPS, "lossless": "yes"}, "lossless is 'yes'"),
        (ClipWriter, {**CLIPS, "source": {"seed": math.nan}}, "source is .*finite"),
        (LatentWriter, {**LATENTS, "grids": ((2, 2), (1.5, 1))}, "grids is"),
        (LatentWriter, {**LATENTS, "channels": 3.5}, "channels is 3.5"),
        (LatentWriter, {**LATENTS, "channels": 0}, "channels is 0; expected int >= 1"),
    ],
)
def test_sizes_of_writers(tmp_path: Path, writer: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        writer(tmp_path / "new", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (ACTIONS + 7, r"actions must lie in 0..1 \(forward, left\); got 7..7"),
        (ACTIONS - 1, "got -1..-1"),
        (ACTIONS + 0.5, r"categorical actions are int64 \[4\]; got float64"),
        (ACTIONS == 0, "got bool"),
        (ACTIONS[:, None], r"got int64 \[4, 1\]"),
        (ACTIONS[:3], r"\[4\] is expected; got \[3\]|int64"),
    ],
)
def test_actions_of_latents(tmp_path: Path, actions: Any, message: str) -> None:
    writer = LatentWriter(tmp_path / "latents", **LATENTS)
    with pytest.raises(ValueError, match=message):
        writer.write("v", LEVELS, actions, POSES)
    assert not writer.done("v")


def test_arguments_of_datasets(tmp_path: Path) -> None:
    clips, latents = ClipWriter(tmp_path / "clips", **CLIPS), LatentWriter(tmp_path / "latents", **LATENTS)
    clips.write("v", Clip(frames=FRAMES, actions=ACTIONS, poses=POSES))
    latents.write("v", LEVELS, ACTIONS.astype(np.int8), POSES)
    for writer in (clips, latents):
        writer.finish({"train": ["v"]})
    dataset, encoded = ClipDataset(tmp_path / "clips"), LatentDataset(tmp_path / "latents")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: dataset.read("v", -1), "frames -1 to 4 are not all in it"),
        (lambda: dataset.read("v", 0, 5), "frames 0 to 5"),
        (lambda: dataset.read("v", 0.5, 2), "frames 0.5 to 2"),  # type: ignore[arg-type]
        (lambda: dataset.actions("v", True), "frames True to 4"),
        (lambda: dataset.frames("v", [0, 1.5]), "frames 1.5 to"),  # type: ignore[list-item]
        (lambda: dataset.frames("v", ["0"]), "frames 0 to"),  # type: ignore[list-item]
        (lambda: dataset.read("w"), "no video 'w'"),
        (lambda: encoded.read("v", 2), "has levels 0 to 1; got level 2"),
        (lambda: encoded.read("v", True), "got level True"),
        (lambda: encoded.read("v", 0.0), "got level 0.0"),  # type: ignore[arg-type]
        (lambda: encoded.read("v", 0, 1, math.nan), "frames 1 to nan"),  # type: ignore[arg-type]
    ]
    for call, message in wrong:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf, 1e300, True, "10"])
def test_frames_per_second(tmp_path: Path, fps: Any) -> None:
    with pytest.raises(ValueError, match="fps is .*; it must be a finite number from 0.01 to 1,000"):
        write_video(tmp_path / "v.mp4", FRAMES, fps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("span", [(-1, 2), (3, 2), (0.5, 2), (True, 2), (0, "2"), (0, math.nan)])
def test_spans_of_a_video(tmp_path: Path, span: tuple[Any, Any]) -> None:
    write_video(tmp_path / "v.mp4", FRAMES, 10)
    with pytest.raises(ValueError, match="0 <= start <= stop"):
        read_video(tmp_path / "v.mp4", *span)
