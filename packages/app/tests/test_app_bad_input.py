"""What goes wrong with real files gets one sentence and exit code 2, and leaves nothing that blocks the right command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from millivid.app.cli import main
from millivid.files.pretrained import save_weights

TRAIN_TOKENIZER = "train tokenizer experiment=tiny data={walk}/clips out={tmp}/x training.steps=2 training.batch_size=4"
TRAIN_DIFFUSION = "train diffusion experiment=tiny_millivid data={walk}/latents out={tmp}/x training.steps=2"
GENERATE = "generate data={walk}/clips tokenizer={walk}/tokenizer/model model={walk}/video/model out={tmp}/x steps=2"
EVALUATE = "evaluate runs.ours={walk}/generated reference={walk}/clips out={tmp}/x"


def refused(command: str, capsys: pytest.CaptureFixture[str], **places: Path) -> str:
    """Run a command that must be refused; returns what it said."""
    capsys.readouterr()
    assert main(command.format(**places).split()) == 2
    told = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("millivid: ")]
    assert len(told) == 1
    return told[0]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (f"{TRAIN_TOKENIZER} model.image_size=[60,60]", "60"),
        (f"{TRAIN_TOKENIZER} model.image_size=[128,128]", "has frames of (64, 64), but model.image_size is (128, 128)"),
        (f"{TRAIN_TOKENIZER} model.num_levels=4", "use at most 3 levels"),
        (f"{TRAIN_TOKENIZER} model.decoder_depth=0", "depth 0"),
        (f"{TRAIN_TOKENIZER} device=gpu", "device=gpu cannot be used; this machine has cpu"),
        (f"{TRAIN_TOKENIZER} frames_in_memory=-1", "frames_in_memory is -1"),
        (f"{TRAIN_TOKENIZER} perceptual=foo:bar", "perceptual=foo:bar cannot be made"),
        (f"{TRAIN_TOKENIZER} perceptual=builtins:exit", "perceptual=builtins:exit is no Module"),
        (f"{TRAIN_TOKENIZER} perceptual=builtins:dict", "perceptual=builtins:dict is no Module"),
        (f"{TRAIN_TOKENIZER} perceptual=torch.nn:ReLU", "perceptual=torch.nn:ReLU cannot be made and asked"),
        (f"{TRAIN_DIFFUSION} tokenizer=x decoder=builtins:dict", "decoder=builtins:dict is no PretrainedModel"),
        (f"{TRAIN_TOKENIZER} training.lr=nan", "training.lr is nan"),
        (f"{TRAIN_TOKENIZER} training.seed=-1", "training.seed is -1"),
        (f"{TRAIN_TOKENIZER} training.steps=abc", "training.steps is 'abc'; it takes a whole number"),
        (f"{TRAIN_DIFFUSION} shift=0", "shift is 0.0"),
        (f"{TRAIN_DIFFUSION} schedule.windows=[4,16,640]", "has the 724 frames"),
        (f"{TRAIN_DIFFUSION} model.latent_channels=3", "model.latent_channels is 3"),
        (f"{TRAIN_DIFFUSION} model.num_actions=5 model.odometry=null", "model.num_actions is 5"),
        (f"{TRAIN_DIFFUSION} model.width=100", "model.width 100"),
        (f"{TRAIN_DIFFUSION} model.num_actions=0", "model.odometry has 3 entries for 0 actions"),
        (f"{TRAIN_DIFFUSION} model.num_actions=0", "or set model.odometry=null"),
        (f"{TRAIN_DIFFUSION} init=no/where", "no/where has no video_model.json"),
        (f"{TRAIN_DIFFUSION} init={{walk}}/tokenizer/model", "has no video_model.json"),
        (f"{TRAIN_TOKENIZER} init={{walk}}/video/model", "holds a 'VideoDiT', not a HierarchicalTokenizer"),
        (f"{GENERATE} context=10", "context=10 is shorter than the 84 frames"),
        (f"{GENERATE} frames=500", "lower frames= or context="),
        (f"{GENERATE} seed=99999999999999999999", "seed is 99999999999999999999"),
        (f"{GENERATE} steps=1", "it must be a whole number from 2"),
        (f"{GENERATE} guidance=nan", "guidance is nan"),
        (GENERATE.replace("{walk}/video/model", "{walk}/tokenizer/model"), "not a VideoDiT"),
        (GENERATE.replace("{walk}/video/model", "no/where"), "no model at no/where"),
        (f"{EVALUATE} context=300", "leaves nothing to score"),
        (EVALUATE.replace("{tmp}/x", "{walk}/clips/dataset.json/y"), "cannot be made"),
    ],
)
def test_a_setting_that_cannot_work_leaves_nothing(
    command: str, sentence: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(command, capsys, walk=walk, tmp=tmp_path)
    assert not list(tmp_path.iterdir())


LARGE = (
    "train tokenizer data={walk}/clips out={tmp}/x model.latent_channels=99999999999",
    "train tokenizer data={walk}/clips out={tmp}/x model.num_levels=99999999999999999999",
    "train tokenizer data={walk}/clips out={tmp}/x model.num_levels=99999999999",
    "train tokenizer data={walk}/clips out={tmp}/x model.image_size=[1048576,1048576]",
    "train tokenizer data={walk}/clips out={tmp}/x model.width=99999999996",
    "train tokenizer data={walk}/clips out={tmp}/x model.depth=99999999999",
    "train tokenizer data={walk}/clips out={tmp}/x training.batch_size=99999999999",
    "train tokenizer data={walk}/clips out={tmp}/x training.workers=99999999999",
    "train diffusion data={walk}/latents out={tmp}/x model.width=99999999996",
    "train diffusion data={walk}/latents out={tmp}/x schedule.history=99999999999",
    "train diffusion data={walk}/latents out={tmp}/x schedule.windows=[1,99999999999]",
    "plan schedule=framepack schedule.num_targets=1 schedule.context=[99999999999]",
    "plan schedule=full_resolution schedule.num_frames=99999999999",
    "plan schedule=upscale schedule.base=99999999999 schedule.num_levels=2",
    "plan schedule=upscale schedule.base=2 schedule.num_levels=99999999999",
    "encode data={walk}/clips tokenizer={walk}/tokenizer/model out={tmp}/x processes=99999999999",
    "evaluate generated={walk}/clips reference={walk}/clips out={tmp}/x processes=99999999999",
    "data generate out={tmp}/x world=voxel train_videos=1 frames=99999999999",
    "data generate out={tmp}/x world=voxel train_videos=99999999999 frames=9",
    "data generate out={tmp}/x world=voxel train_videos=1 frames=9 processes=99999999999",
    "demo out={tmp}/x frames=99999999999",
    "demo out={tmp}/x sampling_steps=99999999999",
    "reproduce out={tmp}/x budget=99999999999",
)


@pytest.mark.parametrize("command", LARGE)
def test_what_is_too_large_is_refused_before_the_work(
    command: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(command, capsys, walk=walk, tmp=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [TRAIN_TOKENIZER, "encode data={walk}/clips tokenizer={walk}/tokenizer/model out={tmp}/x"]
)
def test_a_truncated_video_is_named(
    command: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(walk / "clips", tmp_path / "clips")
    video = tmp_path / "clips" / "videos" / "train_00001.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    command = command.replace("{walk}/clips", "{tmp}/clips")
    assert str(video) in refused(command, capsys, walk=walk, tmp=tmp_path)
    video.write_bytes(whole)
    assert main(command.format(walk=walk, tmp=tmp_path).split()) == 0


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("config.json", {"width": "abc"}, "config.json: width: expected int, got str"),
        ("config.json", {"heads": 3}, "settings that this version does not know: heads"),
        ("video_model.json", {"schedule": None}, "video_model.json: schedule: expected object, got null"),
        ("video_model.json", {"tokenizer": "0" * 16}, "was trained on latents of tokenizer 0000000000000000"),
        ("model.safetensors", None, "is damaged"),
    ],
)
def test_a_damaged_model_is_named(
    file: str, change: dict[str, object] | None, sentence: str, walk: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(walk / "video" / "model", tmp_path / "model")
    path = tmp_path / "model" / file
    if change is None:
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    command = GENERATE.replace("{walk}/video/model", "{tmp}/model")
    assert sentence in refused(command, capsys, walk=walk, tmp=tmp_path)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("encode data={walk}/clips tokenizer={walk}/tokenizer/model out={tmp}/x", "videos"),
        (GENERATE, "videos"),
        (GENERATE, "tables"),
        (EVALUATE, "videos"),
        ("data export data={walk}/clips out={tmp}/x", "tables"),
    ],
)
def test_a_flipped_bit_in_a_clip_is_named(
    command: str, kind: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(walk / "clips", tmp_path / "clips")
    for path in (tmp_path / "clips" / kind).iterdir():
        content = bytearray(path.read_bytes())
        content[-60] ^= 1
        path.write_bytes(content)
    told = refused(command.replace("{walk}/clips", "{tmp}/clips"), capsys, walk=walk, tmp=tmp_path)
    assert f"{tmp_path}/clips/{kind}/" in told and "its content has changed since it was written" in told


@pytest.mark.parametrize(
    ("name", "value", "settings", "sentence"),
    [
        ("head.linear.weight", 3e38, "", "the model gives no finite numbers with guidance=1"),
        ("head.linear.weight", 1.0, " guidance=1e6", "guidance is 1000000.0"),
        ("head.linear.weight", 1.0, " guidance=-1", "guidance is -1.0"),
    ],
)
def test_numbers_without_end_are_no_black_video(
    name: str,
    value: float,
    settings: str,
    sentence: str,
    walk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(walk / "video" / "model", tmp_path / "model")
    state = load_file(tmp_path / "model" / "model.safetensors")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    save_weights(tmp_path / "model", config, {**state, name: torch.full_like(state[name], value)})
    command = GENERATE.replace("{walk}/video/model", "{tmp}/model") + settings
    assert sentence in refused(command, capsys, walk=walk, tmp=tmp_path)
    assert not list((tmp_path / "x").glob("videos/*"))


def test_a_run_goes_on_only_with_its_own_settings(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(TRAIN_DIFFUSION.format(walk=walk, tmp=tmp_path).split()) == 0
    told = refused(f"{TRAIN_DIFFUSION} model.depth=5", capsys, walk=walk, tmp=tmp_path)
    assert "holds a run with other settings (model.depth was 4 and is now 5)" in told
    (checkpoint,) = (tmp_path / "x" / "checkpoints").glob("*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    shutil.rmtree(tmp_path / "x" / "model")
    assert str(checkpoint) in refused(TRAIN_DIFFUSION, capsys, walk=walk, tmp=tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "demo out={tmp}/x",
        "data generate experiment=tiny out={tmp}/x train_videos=1 test_videos=1",
        TRAIN_TOKENIZER,
        "encode data={walk}/clips tokenizer={walk}/tokenizer/model out={tmp}/x",
        TRAIN_DIFFUSION,
        GENERATE,
        f"{EVALUATE} context=84",
    ],
)
def test_a_folder_with_something_else_is_not_touched(
    command: str, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("mine")
    told = refused(command, capsys, walk=walk, tmp=tmp_path)
    assert str(tmp_path / "x") in told
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["thesis.txt"]


INTERRUPTED = {  # command: what is there shortly before the end of its work
    "data generate experiment=tiny out={tmp}/x train_videos=30 test_videos=2 processes=2": "x/videos/*.mp4",
    TRAIN_TOKENIZER.replace("training.steps=2", "training.steps=40")
    + " training.checkpoint_every=3": "x/checkpoints/*.pt",
    "encode data={walk}/clips tokenizer={walk}/tokenizer/model out={tmp}/x batch=1": "x/latents/*.safetensors",
    TRAIN_DIFFUSION.replace("training.steps=2", "training.steps=20")
    + " training.checkpoint_every=1": "x/checkpoints/*.pt",
    GENERATE + " batch=1": "x/videos/*.mp4",
}


@pytest.mark.parametrize("command", INTERRUPTED)
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(command: str, walk: Path, tmp_path: Path) -> None:
    words = command.format(walk=walk, tmp=tmp_path).split()
    running = subprocess.Popen(
        [sys.executable, "-m", "millivid.app.cli", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # which a job in the background is born without
    )
    while not list(tmp_path.glob(INTERRUPTED[command])) and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    told = running.communicate()[1]
    assert running.returncode == 130, told
    assert "Traceback" not in told
    assert f"run millivid {' '.join(words)} again to go on" in told
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("x/*/*.mp4")}
    assert main(words) == 0
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
