"""Somebody's own videos, with continuous actions and no poses, go all the way: import, encode, train, generate, evaluate."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from millivid.app.cli import main
from millivid.data import ClipDataset, LatentDataset, write_video

FRAMES = 172
"""Of the experiment's windows; the imported videos are twice as large as its frames, and wider."""


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of a moving pattern with the speed and the steering that moved it, in their own units."""
    folder, rng = tmp_path_factory.mktemp("drives"), np.random.default_rng(0)
    pattern = rng.integers(0, 256, (16, 400, 3), np.uint8).repeat(8, 0).repeat(4, 1)
    for name in ("monday", "tuesday", "wednesday"):
        speed, steering = rng.uniform(20, 90, FRAMES), rng.normal(0, 300, FRAMES)
        shift = np.cumsum(speed / 20).astype(int)
        frames = np.stack([np.roll(pattern, -offset, axis=1)[:, :192] for offset in shift])
        write_video(folder / f"{name}.mp4", frames, fps=25)
        rows = "\n".join(f"{index},{a:.3f},{b:.3f}" for index, (a, b) in enumerate(zip(speed, steering, strict=True)))
        (folder / f"{name}.csv").write_text(f"frame,action_speed,action_steering\n{rows}\n")
    return folder


def test_the_whole_way(drives: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, latents = tmp_path / "clips", tmp_path / "latents"
    assert main(f"data import source={drives} out={clips} size=[64,64] test_fraction=0.34".split()) == 0
    report = capsys.readouterr().out
    assert "3 of 3 files imported as 3 videos, 516 frames" in report and "not used: 'frame'" in report
    index = ClipDataset(clips).index
    assert (index.action_type, index.action_names, index.pose_names) == ("continuous", ("speed", "steering"), ())
    assert (index.fps, index.size, [len(ids) for ids in index.splits.values()]) == (25.0, (64, 64), [2, 1])

    assert main(f"encode data={clips} tokenizer={walk}/tokenizer/model out={latents}".split()) == 0
    train = f"train diffusion experiment=tiny_millivid data={latents} out={tmp_path}/run training.steps=2"
    assert main([*train.split(), "training.batch_size=2"]) == 2
    assert "set model.odometry=null" in capsys.readouterr().err
    assert main([*train.split(), "training.batch_size=2", "model.odometry=null"]) == 0
    model = tmp_path / "run" / "model"
    config = json.loads((model / "config.json").read_text())
    assert (config["num_actions"], config["action_type"]) == (2, "continuous")
    data = LatentDataset(latents)
    seen = np.concatenate([data.actions(video) for video in data.ids("train")])
    weights = load_file(model / "model.safetensors")
    np.testing.assert_allclose(weights["action_embedding.mean"], seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(weights["action_embedding.std"], seen.std(0), rtol=1e-5)

    generate = f"generate tokenizer={walk}/tokenizer/model model={model} steps=2 frames=4 out={tmp_path}/made"
    assert main([*generate.split(), f"data={clips}"]) == 0
    made = ClipDataset(tmp_path / "made")
    (video,) = made.ids()
    np.testing.assert_array_equal(made.actions(video), ClipDataset(clips).actions(video, 0, 88))
    assert main([*generate.split(), f"data={walk}/clips"]) == 2
    assert "3 categorical actions, but" in capsys.readouterr().err
    words = (
        f"evaluate generated={tmp_path}/made reference={clips} out={tmp_path}/report metrics=[psnr] context=84 frames=4"
    )
    assert main([*words.split(), "bounds=[]"]) == 0
    assert "says nothing of the camera's poses" in (tmp_path / "report" / "metrics.md").read_text()
