"""`--help`: every setting of a command, its default, and what the config's docstring says of it."""

import dataclasses
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from millivid.command.settings import REQUIRED, experiments_in, field_default

WIDTH = 100


def describe_settings(config_class: type, conf: Path | None = None) -> str:
    """The settings of a config class, for people to read.

    config_class: its docstring explains its settings as `name, other name: text.` after a summary. Where it has a static
    method `more_help`, which returns lines, they follow.
    """
    lines = [textwrap.fill(_summary(config_class), WIDTH)]
    if experiments := experiments_in(conf):
        lines += ["", f"experiment={'|'.join(experiments)}", "    settings by name; what is given besides comes on top"]
    defaults = {field.name: field_default(config_class, field) for field in dataclasses.fields(config_class)}
    defaults = dict(sorted(defaults.items(), key=lambda item: item[1] is not REQUIRED))
    lines += _settings(config_class, "", defaults)
    lines += getattr(config_class, "more_help", list)()
    return "\n".join(lines)


def explanations(config_class: type) -> dict[str, str]:
    """What a config's docstring, or else that of a config it extends, says of each setting, by its name."""
    found: dict[str, str] = {}
    for described in filter(dataclasses.is_dataclass, reversed(config_class.__mro__)):
        text = " ".join((described.__doc__ or "").split()).partition(" Raises")[0]
        marks = list(_marks(config_class, text))
        ends = [*(mark.start() for mark in marks), len(text)][1:]
        for mark, end in zip(marks, ends, strict=True):
            found.update(dict.fromkeys(mark[1].split(", "), text[mark.end() : end].strip(" .;")))
    return found


def _marks(config_class: type, text: str) -> Iterator[re.Match[str]]:
    names = {field.name for field in dataclasses.fields(config_class)}
    for mark in re.finditer(r"(?:^|(?<=[.;] ))(\w+(?:, \w+)*): ", text):
        if set(mark[1].split(", ")) <= names:
            yield mark


def _summary(config_class: type) -> str:
    text = " ".join((config_class.__doc__ or "").split())
    first = next(_marks(config_class, text), None)
    return text[: first.start()].strip() if first else text


def _settings(config_class: type, prefix: str, defaults: Mapping[str, Any]) -> Iterator[str]:
    hints, texts = typing.get_type_hints(config_class), explanations(config_class)
    groups = [name for name in defaults if dataclasses.is_dataclass(hints[name])]
    single = [name for name in defaults if name not in groups]
    for text, names in itertools.groupby(single, lambda name: texts.get(name, "")):
        yield ""
        for name in names:
            yield from _lines(prefix + name, defaults[name])
        if text:
            yield textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    ")
    for name in groups:
        kind, default = typing.cast(type, hints[name]), defaults[name]
        yield from ("", textwrap.fill(f"{prefix}{name}: {texts.get(name) or _summary(kind)}", WIDTH))
        inner = {field.name: getattr(default, field.name) for field in dataclasses.fields(kind)}
        yield from _settings(kind, f"{prefix}{name}.", inner)


def _lines(name: str, default: Any) -> list[str]:
    """A setting and its default; of what is chosen by name, a line for each setting of the default choice."""
    if not isinstance(default, Mapping):
        return [f"{name}={_word(default)}"]
    settings = {name if key == "name" else f"{name}.{key}": value for key, value in default.items()}
    return [f"{setting}={_word(value)}" for setting, value in settings.items()] or [f"{name}.NAME=..."]


def _word(value: Any) -> str:
    if value is REQUIRED:
        return "(required)"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_word, value))}]"
    return str(value)
