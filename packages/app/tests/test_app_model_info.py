"""What belongs to a model is stored with it, and commands take it from there."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from millivid.app import VideoPipeline
from millivid.app.cli import main
from millivid.app.generate_data import CONF, DataGenerateConfig, recording
from millivid.app.pipeline_folder import RUNS, WEIGHTS
from millivid.command import load_experiment
from millivid.data import ClipDataset
from millivid.diffusion import VideoModelInfo


def test_a_trained_model_knows_how_it_is_used(walk: Path, tmp_path: Path) -> None:
    info = VideoModelInfo.read(walk / "video" / "model")
    clips = ClipDataset(walk / "clips")
    assert (info.sampling_steps, info.solver, info.last_time) == (3, "unipc", 0.2)
    assert (info.context, info.horizons) == (84, (16, 64, 256))
    assert info.action_names == clips.index.action_names
    assert dict(info.trained_on) == dict(clips.index.source)
    words = f"data={walk}/clips model={walk}/video/model tokenizer={walk}/tokenizer/model out={tmp_path}/made"
    assert main(["generate", *words.split(), "count=1", "frames=20"]) == 0
    made = ClipDataset(tmp_path / "made").index.source
    assert (made["steps"], made["solver"], made["last_time"]) == (3, "unipc", 0.2)
    assert (made["context"], made["horizons"]) == (84, [16, 20])
    pipeline = VideoPipeline.from_pretrained(walk / "video" / "model", walk / "tokenizer" / "model")
    with pytest.raises(ValueError, match="sampling steps is 0"):  # given, so not taken from the model
        pipeline.generate(torch.zeros(1, 84, 3, 64, 64), torch.zeros(1, 88, dtype=torch.long), steps=0)


def test_a_models_world_is_recorded_again(tmp_path: Path) -> None:
    model = WEIGHTS / RUNS[0]
    words = f"data generate model={model} out={tmp_path}/clips test_videos=1 test_candidates=1 frames=90 processes=1"
    assert main(words.split()) == 0
    source = ClipDataset(tmp_path / "clips").index.source
    known = VideoModelInfo.read(model).trained_on
    assert (source["world"], source["world_settings"]) == (known["world"], known["world_settings"])
    assert source["context"] == 84


def test_the_shipped_models_know_the_world_of_the_preset() -> None:
    tiny = recording(load_experiment(DataGenerateConfig, CONF, "tiny", out="clips"))
    for run in RUNS:
        again = recording(DataGenerateConfig(model=WEIGHTS / run, test_videos=1, out=Path("clips")))
        assert again.world == tiny.world
        assert (again.context, again.frames) == (84, 84 + 256)


def test_a_model_of_an_earlier_version_is_read_and_asked_for_what_it_does_not_say(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(walk / "video" / "model", tmp_path / "model")
    file = model / "video_model.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({key: said[key] for key in ("schedule", "tokenizer", "shift", "examples")}))
    words = f"data={walk}/clips model={model} tokenizer={walk}/tokenizer/model out={tmp_path}/made count=1 frames=4"
    assert main(["generate", *words.split()]) == 2
    assert "does not say how many sampling steps" in capsys.readouterr().err
    assert main(["generate", *words.split(), "steps=2"]) == 0
    made = ClipDataset(tmp_path / "made").index.source
    assert made["context"] == VideoPipeline.from_pretrained(model, walk / "tokenizer" / "model").num_context_frames
    assert "horizons" not in made
    assert main(f"data generate model={model} out={tmp_path}/x test_videos=1 frames=90".split()) == 2
    assert "does not say which world it knows" in capsys.readouterr().err


def test_other_actions_are_refused_by_name(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = shutil.copytree(walk / "clips", tmp_path / "clips")
    index = json.loads((clips / "dataset.json").read_text())
    (clips / "dataset.json").write_text(json.dumps({**index, "action_names": ["forward", "right", "left"]}))
    words = f"data={clips} model={walk}/video/model tokenizer={walk}/tokenizer/model out={tmp_path}/made"
    assert main(["generate", *words.split()]) == 2
    assert "has the actions forward, right, left, but" in capsys.readouterr().err
