"""`--help` leaves no setting of any command unexplained."""

import dataclasses
import typing
from collections.abc import Iterator

import pytest

from millivid.app.cli import COMMANDS, find_command
from millivid.command.help import describe_settings, explanations
from millivid.command.run import config_class_of


def configs(config_class: type) -> Iterator[type]:
    """A config class and those of its settings that are configs too."""
    yield config_class
    for hint in typing.get_type_hints(config_class).values():
        if dataclasses.is_dataclass(hint):
            yield from configs(typing.cast(type, hint))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_explained(command: str) -> None:
    for config_class in configs(config_class_of(find_command(command.split())[1])):
        hints = typing.get_type_hints(config_class)
        single = {field.name for field in dataclasses.fields(config_class)} - {
            name for name, hint in hints.items() if dataclasses.is_dataclass(hint)
        }
        explained = {name for name, text in explanations(config_class).items() if text}
        assert single <= explained, f"{config_class.__name__} does not explain {sorted(single - explained)}"


@pytest.mark.parametrize("command", ["train tokenizer", "train diffusion"])
def test_help_shows_the_settings_of_training(command: str) -> None:
    shown = describe_settings(config_class_of(find_command(command.split())[1]))
    assert "training.lr=0.001" in shown
    assert "limit of the gradient norm" in shown
