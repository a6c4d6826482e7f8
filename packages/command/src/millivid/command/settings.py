"""From `key=value` words to a typed, frozen config: Hydra composes, dataclasses check, and nothing is ignored."""

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
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
    overrides: words `key=value` in Hydra's grammar, `experiment=NAME` among them for a file `conf/experiment/NAME.yaml`.
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
    defaults = {field.name: field_default(cls, field) for field in dataclasses.fields(cls)}
    experiments = experiments_in(conf)
    words = list(_checked_words(overrides, cls, experiments))
    plain = to_plain(defaults)
    for word in words:
        if conf and word.startswith("experiment="):
            # What is chosen by name there replaces the default, settings and all.
            chosen = OmegaConf.load(conf / "experiment" / f"{word.split('=', 1)[1]}.yaml")
            plain.update({key: {} for key, is_open in _known_keys(cls) if is_open and key in chosen})
    node = {**plain, "defaults": ["_self_", {"optional experiment": None}]}
    ConfigStore.instance().store(name="millivid", node=node)
    try:
        with initialize_config_dir(str((conf or Path(__file__).parent).absolute()), version_base="1.3"):
            composed = OmegaConf.to_container(compose("millivid", overrides=words), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"the settings {' '.join(overrides)!r} do not compose: {first_line(error)}") from error
    return typing.cast(dict[str, Any], composed)


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
        named = prefix and str(error).startswith(prefix)
        raise ConfigError(str(error) if named or not prefix else f"{prefix.rstrip('.')}: {error}") from error


REQUIRED: Any = "???"
"""The default of a setting that has to be given (OmegaConf's mark for a missing value)."""


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


def _known_keys(cls: Any, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every dotted setting of a config class, and whether any name may follow it."""
    for name, hint in typing.get_type_hints(cls).items():
        is_open = hint is dict or typing.get_origin(hint) is dict
        yield prefix + name, is_open
        if dataclasses.is_dataclass(hint):
            yield from _known_keys(hint, f"{prefix}{name}.")


def _checked_words(overrides: Sequence[str], cls: Any, experiments: Sequence[str]) -> Iterator[str]:
    known = dict(_known_keys(cls))
    opened = [key for key, is_open in known.items() if is_open]
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        wrong = next((word for word in overrides if "=" not in word), None)
        hint = f"{wrong!r} is not of the form key=value" if wrong else first_line(error)
        raise ConfigError(f"the settings cannot be read: {hint}") from error
    for word, override in zip(overrides, parsed, strict=True):
        key = override.key_or_group
        if key == "experiment" and experiments:
            if override.value() not in experiments:
                raise ConfigError(_unknown(str(override.value()), experiments, "experiment"))
            yield word
        elif any(key.startswith(f"{name}.") for name in opened):
            yield "++" + word.lstrip("+")
        elif key in opened:
            yield from (f"~{key}", f"+{key}.name={word.split('=', 1)[1]}")
        elif key in known:
            yield word
        else:
            raise ConfigError(_unknown(key, [*known, *(["experiment"] if experiments else [])]))


def _unknown(name: str, known: Sequence[str], what: str = "setting") -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    last = {key.rsplit(".", 1)[-1]: key for key in known}
    close = close or [last[match] for match in difflib.get_close_matches(name.rsplit(".", 1)[-1], last, n=1)]
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"there is no {what} {name or repr(name)}; {hint}"


def _convert(value: Any, hint: Any, name: str) -> Any:
    """A plain value as the type that a config's field has; raises ConfigError when it is of another kind."""
    if value == REQUIRED:
        return REQUIRED
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        for choice in choices[:-1]:
            with contextlib.suppress(ConfigError):
                return _convert(value, choice, name)
        return _convert(value, choices[-1], name)
    if origin is typing.Literal:
        if value not in arguments:
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
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    plain = origin or hint
    fits = isinstance(value, plain) if isinstance(plain, type) else True
    if not fits or (plain in (int, float) and isinstance(value, bool)):
        raise ConfigError(
            f"{name} is {'null' if value is None else value!r}; it takes {_KINDS.get(plain, getattr(plain, '__name__', plain))}"
        )
    return value


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
