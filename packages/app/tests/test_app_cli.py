"""The command, from data to report at the smallest size, and what it says to mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from millivid.app.cli import main

ROOT = Path(__file__).parents[3]
EXTRAS = re.findall(r'^    "(\w+)": \["millivid-', (ROOT / "setup.py").read_text(), re.MULTILINE)


def test_another_tokenizers_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from millivid.diffusion import VideoDiT, VideoDiTConfig
    from millivid.tokenizer import HierarchicalTokenizer, TokenizerConfig

    size = {"width": 24, "depth": 1, "num_heads": 2}
    HierarchicalTokenizer(TokenizerConfig(image_size=(64, 64), num_levels=3, **size)).save_pretrained(tmp_path / "tok")
    VideoDiT(VideoDiTConfig(grids=((4, 4), (2, 2), (1, 1)), **size)).save_pretrained(tmp_path / "model")
    about = {"schedule": {"name": "full_resolution"}, "tokenizer": "0" * 16, "shift": 1.0, "examples": 0}
    (tmp_path / "model" / "video_model.json").write_text(json.dumps(about))
    from millivid.app import VideoPipeline

    with pytest.raises(ValueError, match=r"was trained on latents of tokenizer 0{16}"):
        VideoPipeline.from_pretrained(tmp_path / "model", tmp_path / "tok")


def test_what_is_missing_is_said_with_what_it_would_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from millivid.app import env

    assert {name for _, name in env.OPTIONAL.values()} <= {f"'.[{extra}]'" for extra in EXTRAS}
    monkeypatch.setitem(env.OPTIONAL, "no_such_module", ("frames twice as large", "'.[twice]'"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MILLIVID_WEIGHTS", raising=False)
    assert main(["env"]) == 0
    told = capsys.readouterr().out
    assert "no_such_module is not installed; it would give frames twice as large: pip install '.[twice]'" in told
    assert "cpu: " in told and "torch 2." in told and "FID: Inception v3" in told and "is not there" in told
    assert main(["env", "device=cpu"]) == 2
    assert capsys.readouterr().err.strip() == "millivid: there is no setting device; there are none"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["demmo"], "there is no command 'demmo'; did you mean demo?"),
        (["data", "insepct", "x"], "did you mean data inspect?"),
        (
            ["train", "training.steps=3"],
            "there is no command 'train'; did you mean train tokenizer or train diffusion?",
        ),
        (["data", "generate", "out={tmp}/x", "frames=9"], "add world=NAME out of"),
        (["data", "generate", "out={tmp}/x", "world=voxel"], "frames is not set"),
        (["data", "generate", "out={tmp}/x", "world.step=1", "frames=9"], "add world=NAME"),
        (["plan", "schedul=framepack"], "did you mean schedule?"),
        (["plan", "schedule.windows=[2,5,8]"], "5"),
        (["data", "generate", "out={tmp}/x", "world=voxel", "frames=9", "world.stepp=1"], "did you mean world.step?"),
        (["train", "tokenizer", "data={tmp}/none", "out={tmp}/x"], "none"),
        (["train", "tokenizer", "experiment=tinny", "data=a", "out=b"], "did you mean tiny?"),
        (["train", "diffusion", "training.lrr=1"], "did you mean training.lr?"),
        (["encode", "data={tmp}", "tokenizer={tmp}", "out={tmp}/x"], "dataset.json"),
        (["evaluate", "reference={tmp}", "out={tmp}/x"], "nothing to evaluate"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(tmp=tmp_path) for word in words]) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_help_lists_commands_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    commands = re.findall(
        r"^  (\w+(?: (?:generate|tokenizer|diffusion|released|import|verify|inspect|export|onnx|web))?) ",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    assert len(commands) == 18
    for command in commands:
        assert main([*command.split(), "--help"]) == 0


def test_plan_draws_text_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "plan",
        "schedule=millivid",
        "schedule.windows=[1,4]",
        "tokens_per_level=[4,1]",
        f"out={tmp_path / 'plan.png'}",
    ]
    assert main(words) == 0
    assert "T" in capsys.readouterr().out
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "changes",
    [
        {"HOME": None}, {"LANG": None, "LC_ALL": None}, {"LC_ALL": "xx_YY.nonsense"}, {"TMPDIR": "/proc", "LC_ALL": "C"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    ],
)  # fmt: skip
def test_an_odd_environment_changes_nothing(changes: dict[str, str | None], tmp_path: Path) -> None:
    here = tmp_path / "видео"
    here.mkdir()
    environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
    words = [sys.executable, "-m", "millivid.app.cli", "plan", "steps=1"]
    done = subprocess.run(words, cwd=here, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"step 0 of 21")


def test_a_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(["plan"]) == 2
    assert capsys.readouterr().err == "millivid: the folder that this was started in is gone; go to another one\n"
