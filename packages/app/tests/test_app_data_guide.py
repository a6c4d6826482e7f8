"""The commands of docs/data.md run as they stand, on fewer videos; the job's settings exist."""

import re
from pathlib import Path

import numpy as np
import pytest

from millivid.app.cli import find_command, main
from millivid.command import config_class_of, load_config
from millivid.command.multirun import expand
from millivid.data import ClipDataset, encode_image, write_video

GUIDE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
FEWER = [
    "train_videos=2",
    "test_videos=1",
    "test_candidates=2",
    "frames=20",
    "context=8",
    "world.size=[64,64]",
    "processes=1",
]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        write_video(tmp_path / "videos" / f"{name}.mp4", np.full((9, 90, 160, 3), len(name) * 40, np.uint8), fps=30)
    (tmp_path / "images").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / "images" / f"{name}.png").write_bytes(
            encode_image(np.full((90, 160, 3), len(name) * 40, np.uint8), "png")
        )
    for command in COMMANDS:
        program, *words = command.split()
        assert program == "millivid"
        if "--multirun" in words:
            jobs = expand([word for word in words if not word.startswith(("--", "hydra"))])
            assert [job[-1] for job in jobs] == ["share=0/4", "share=1/4", "share=2/4", "share=3/4"]
            for job in jobs:
                _, function, settings, conf = find_command(job)
                assert load_config(config_class_of(function), settings, conf).out == Path("clips")
            continue
        if words[:2] == ["data", "generate"]:
            words = [word for word in words if word.split("=")[0] not in {few.split("=")[0] for few in FEWER}] + FEWER
        if words[0] == "train":
            words += ["training.steps=1", "training.batch_size=2"]
        assert main(words) == 0, command
    assert ClipDataset(tmp_path / "mine").index.size == (64, 64)
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "tokenizer" / "model" / "config.json").is_file()
