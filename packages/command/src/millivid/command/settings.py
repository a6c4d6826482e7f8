"""From `key=value` words to a typed, frozen config: Hydra composes, dataclasses check, and nothing is ignored."""

import contextlib
import dataclasses
import difflib
import importlib
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

Config = TypeVar("Config")


class ConfigError(ValueError):
    """A setting that does not exist, or a value that it cannot take; the message is one sentence for the user."""


def load_config(cls: type[Config], overrides: Sequence[str], conf: Path | None = None) -> Config:
    """A config dataclass from its defaults, an experiment file and overrides, in this order.

    cls: a dataclass whose fields are numbers, strings, paths, tuples, other such dataclasses, or a dict. A dict field
    holds the settings of something that is chosen by name: `schedule=framepack schedule.targets=3`.
    overrides: words `key=value`, `experiment=NAME` among them for a file `conf/experiment/NAME.yaml`. A path or a string is
    what is typed after the `=`, or between quotes there; other values are read by Hydra's grammar.
    Raises ConfigError naming the closest setting when one is unknown.
    """
    return build(cls, _compose(cls, overrides, conf))


def load_experiment(cls: type[Config], conf: Path, name: str, **values: Any) -> Config:
    """The config of an experiment file `conf/experiment/NAME.yaml`, with values instead of its own.

    values: by setting, nested where the config is: ``out=folder, training={"steps": 3}``.
    Raises ConfigError as `load_config` does.
    """
    composed = _compose(cls, [f"experiment={name}"], conf)
    for key, value in values.items():
        composed[key] = {**composed[key], **value} if isinstance(value, Mapping) else value
    return build(cls, composed)


def _compose(cls: Any, overrides: Sequence[str], conf: Path | None) -> dict[str, Any]:
    """Defaults, experiment and overrides as one nested dict of plain values."""
    values: dict[str, Any] = to_plain({field.name: field_default(cls, field) for field in dataclasses.fields(cls)})
    known, experiments = dict(_known_settings(cls)), experiments_in(conf)
    chosen = [name for name, hint in known.items() if typing.get_origin(hint) is dict]
    words = [_key_and_text(word) for word in overrides]
    for key, text in words:
        if key == "experiment" and conf and experiments:
            if text not in experiments:
                raise ConfigError(_unknown(text, experiments, "experiment"))
            file = OmegaConf.load(conf / "experiment" / f"{text}.yaml")
            values |= {name: {} for name in chosen if name in file}  # its choice comes without the default's settings
            values = _experiment(conf, text, values)
    for key, text in words:
        group = next((name for name in chosen if key.startswith(f"{name}.")), None)
        if key in chosen:
            choice = _choice(key, text, known[key])
            if "name" in choice:
                _merge(values, _nested(key, None))  # without the settings of another
            _merge(values, _nested(key, choice))
        elif key in known:
            _merge(values, _nested(key, _value(key, text, known[key])))
        elif group is not None and all(key.split(".")):
            _merge(values, _nested(key, _value(key, text, typing.get_args(known[group])[1])))
        elif key != "experiment" or not experiments:
            raise ConfigError(_unknown(key, [*known, *(["experiment"] if experiments else [])]))
    return values


def _experiment(conf: Path, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and those of an experiment's file and of what it builds on instead."""
    node = {**values, "defaults": ["_self_", {"optional experiment": None}]}
    ConfigStore.instance().store(name="millivid", node=node)
    try:
        with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
            composed = compose("millivid", overrides=[f"experiment={name}"])
            return typing.cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{conf / 'experiment' / name}.yaml cannot be used: {first_line(error)}") from error


def _key_and_text(word: str) -> tuple[str, str]:
    key, equals, text = word.partition("=")
    if word in ("-m", "--multirun"):
        raise ConfigError(
            f"{word} makes jobs of a command of `millivid`, such as millivid encode ... {word}; leave it out"
        )
    if key.startswith("~"):
        raise ConfigError(f"{word}: a setting cannot be taken away; leave it out for its default, or give {key[1:]}=")
    if not equals:
        raise ConfigError(f"the settings cannot be read: {word!r} is not of the form key=value")
    return key.lstrip("+"), text


def _nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return typing.cast(dict[str, Any], value)


def _merge(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


def _choice(key: str, text: str, hint: Any) -> Any:
    """What `key=text` means for a setting that is chosen by name: the name, or all of it in braces."""
    if text.startswith("{"):
        return _value(key, text, Any)
    if typing.get_args(hint)[1:] == (str,):
        raise ConfigError(f"{key} is {text!r}; it takes {key}.NAME={text}")
    return {"name": unquoted(text)}


def _value(key: str, text: str, hint: Any) -> Any:
    """The plain value that a text means for a setting of that type."""
    kinds = set(typing.get_args(hint) if _is_union(hint) else (hint,))
    items = next((typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple), None)
    if text == "null" and types.NoneType in kinds:
        return None
    if kinds <= {str, Path, types.NoneType}:
        return unquoted(text)
    if items in (str, Path) and text[:1] + text[-1:] == "[]":
        found = re.findall(rf"(?:^|,)\s*({_QUOTED}|[^,]*?)\s*(?=,|$)", text[1:-1])
        return [unquoted(item) for item in found] if text[1:-1].strip() else []
    try:
        override = parse(text)
    except (ValueError, RecursionError) as error:
        kind = next(iter(kinds - {types.NoneType}))
        quoted = shlex.quote(f"{key}={QuotedString(text, Quote.single).with_quotes()}")
        fix = f"a word with such signs takes quotes: {quoted}" if hint in (Any, object) else f"it takes {_kind(kind)}"
        raise ConfigError(f"the setting {f'{key}={text}'!r} cannot be read; {fix}") from error
    if override.is_sweep_override():
        raise ConfigError(f"{key}={text} has several values; a list is [{text}], and --multirun makes a job for each")
    return override.value()


_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""


def unquoted(text: str) -> str:
    """A text as it is typed, or what is between its quotes where Hydra reads all of it as one quoted string."""
    if re.fullmatch(_QUOTED, text):
        with contextlib.suppress(ValueError):
            return str(parse(text).value())
    return text


def parse(text: str) -> Override:
    """What Hydra's grammar makes of a value; raises ValueError where it can make nothing of it."""
    try:
        return OverridesParser.create().parse_override(f"value={text}")
    except HydraException as error:
        raise ValueError(first_line(error)) from error


def experiments_in(conf: Path | None) -> list[str]:
    """Names of the files in a folder of experiments."""
    return sorted(path.stem for path in (conf / "experiment").glob("*.yaml")) if conf else []


def build(cls: type[Config], values: Mapping[str, Any], prefix: str = "") -> Config:
    """A config dataclass from plain nested values, checking every name and type."""
    hints, fields = typing.get_type_hints(cls), {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise ConfigError(_unknown(prefix + name, [prefix + field for field in sorted(fields)]))
    converted = {name: _convert(value, hints[name], prefix + name) for name, value in values.items()}
    missing = [
        prefix + field.name
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if converted.get(field.name, field_default(cls, field)) is REQUIRED
    ]
    if missing:
        raise ConfigError(f"{missing[0]} is not set; add {missing[0]}=...")
    try:
        return cls(**converted)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(named_in_full(str(error), cls, prefix)) from error


def named_in_full(text: str, cls: Any, prefix: str) -> str:
    """What a config class says of its settings, which have a prefix where a user gives them: `model.width 6 is odd`."""
    if not prefix or text.startswith(prefix):
        return text
    names = "|".join(field.name for field in dataclasses.fields(cls))
    text = re.sub(rf"(?<![\w.])({names})=", rf"{prefix}\1=", text)
    return f"{prefix}{text}" if re.match(rf"({names})\b", text) else f"{prefix.rstrip('.')}: {text}"


REQUIRED: Any = "???"
"""The default of a setting that has to be given (OmegaConf's mark for a missing value)."""


def class_named(text: str, base: type[Config], setting: str) -> type[Config]:
    """The class that a setting names as "module:Class"; nothing but a subclass of `base` is ever called.

    Raises ConfigError where there is none, or it is another thing.
    """
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"{setting}={text} cannot be made ({first_line(error)}); give module:Class") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{setting}={text} is no {base.__name__}; give module:Class of one")
    return found


def to_plain(value: Any) -> Any:
    """A config as JSON values, the inverse of `build`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def field_default(cls: Any, field: "dataclasses.Field[Any]") -> Any:
    """A setting's default, REQUIRED where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _known_settings(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted setting of a config class, and its type."""
    for name, hint in typing.get_type_hints(cls).items():
        yield prefix + name, hint
        if dataclasses.is_dataclass(hint):
            yield from _known_settings(hint, f"{prefix}{name}.")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _unknown(name: str, known: Sequence[str], what: str = "setting") -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    last = {key.rsplit(".", 1)[-1]: key for key in known}
    close = close or [last[match] for match in difflib.get_close_matches(name.rsplit(".", 1)[-1], last, n=1)]
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
    return f"there is no {what} {name or repr(name)}; {hint}"


def _convert(value: Any, hint: Any, name: str) -> Any:
    """A plain value as the type that a config's field has; raises ConfigError when it is of another kind."""
    if value == REQUIRED:
        return REQUIRED
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        for choice in choices[:-1]:
            with contextlib.suppress(ConfigError):
                return _convert(value, choice, name)
        return _convert(value, choices[-1], name)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}; use {_listed(arguments)}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise ConfigError(f"{name} has {len(value)} values, {list(value)}; it takes {len(kinds)}")
        return tuple(
            _convert(item, kind, f"{name}[{i}]") for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
        )
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(typing.cast(type[Any], hint), value, f"{name}.")
    if hint is Path and isinstance(value, str) and value:
        value = Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST:
        value = float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    plain = origin or hint
    fits = isinstance(value, plain) if isinstance(plain, type) else True
    if not fits or (plain in (int, float) and isinstance(value, bool)):
        raise ConfigError(f"{name} is {'null' if value is None else value!r}; it takes {_kind(hint)}")
    if origin is dict and not isinstance(value.get("name", ""), str):
        raise ConfigError(f"{name}.name is {value['name']!r}; it takes a word")
    _check_plain(value, name)
    return value


MOST = 2**53
"""Whole numbers below it are exact as floats too."""


def _check_plain(value: Any, name: str) -> None:
    """Raise ConfigError for numbers and texts that nothing can be made with, in whatever holds them."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{name}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_plain(item, f"{name}[{index}]")
    elif isinstance(value, int | float) and not abs(value) < MOST:  # nor NaN
        shown = f"{str(value)[:20]}..." if len(str(value)) > 20 else value
        raise ConfigError(f"{name} is {shown}; it takes a number between -2^53 and 2^53")
    elif isinstance(value, str | Path) and not str(value).isascii():
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{name} is {str(value)!r}, which is no text in this terminal's encoding; rename it"
            ) from error


def _kind(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return f"settings by name, such as {dataclasses.fields(hint)[0].name}"
    plain = typing.get_origin(hint) or hint
    return _KINDS.get(plain, getattr(plain, "__name__", str(plain)))


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    tuple: "a list such as [1,2]",
    dict: "settings by name",
    Path: "a path",
}


def _listed(choices: Sequence[Any]) -> str:
    return " or ".join([", ".join(map(str, choices[:-1])), str(choices[-1])] if len(choices) > 1 else [str(choices[0])])


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
