"""The commands of docs/training.md name settings that exist; test_app_launchers and test_app_multirun run such commands."""

import re
from pathlib import Path

import pytest

from millivid.app.cli import find_command
from millivid.command import config_class_of, load_config
from millivid.command.multirun import expand

GUIDE = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line and not line.startswith("#")]


def test_the_guide_has_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"millivid", "torchrun", "deepspeed"}


@pytest.mark.parametrize("command", COMMANDS)
def test_its_settings_exist(command: str) -> None:
    words = [word for word in command.split() if not word.startswith(("-", "hydra"))]
    if words[0] == "millivid":
        (words,) = expand(words[1:])
    else:
        model = words[1].removeprefix("millivid.").removesuffix(".train")
        words = ["train", model, *words[2:]]
    _, function, settings, conf = find_command(words)
    config = load_config(config_class_of(function), settings, conf)
    assert config.training.micro_batches(8)[1] == 1  # on eight GPUs nothing is accumulated
    assert config.training.micro_batches(1)[1] == 8


def test_its_settings_in_the_text_exist() -> None:
    from millivid.training import TrainingConfig

    for name in re.findall(r"`training\.(\w+)", GUIDE):
        assert name in TrainingConfig.__dataclass_fields__, name
