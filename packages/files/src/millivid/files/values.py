"""Values from Python, checked as those from files are: of the right type and within their range, or one sentence."""

import math
import operator
import typing
from dataclasses import is_dataclass
from typing import Any

import msgspec


def check_number(
    value: Any,
    name: str,
    least: float,
    most: float = math.inf,
    *,
    whole: bool = False,
    hint: str = "",
    error: type[ValueError] = ValueError,
) -> None:
    """Raise `error` unless `value` is a finite number from `least` to `most`, and a whole one if `whole`.

    Numbers of numpy are taken; bools and text are none. name: what the value is called; hint: what the sentence ends with.
    """
    try:
        if isinstance(value, (bool, str, bytes)) or type(value).__name__ == "bool":  # numpy has a bool of its own
            raise TypeError
        number = operator.index(value) if whole else float(value)
        fits = math.isfinite(number) and least <= number <= most
    except (TypeError, ValueError, OverflowError, RuntimeError):
        fits = False
    if not fits:
        kind = "whole number" if whole else "finite number"
        bounds = f"from {least:,} to {most:,}" if math.isfinite(most) else f"of at least {least:,}"
        raise error(f"{name} is {_shown(value)}; it must be a {kind} {bounds}{hint}")


def check_fields(config: Any, error: type[ValueError] = ValueError) -> None:
    """Raise `error` unless every field of a dataclass is what its annotation says, and no number in it NaN or infinite."""
    for name, kind in typing.get_type_hints(type(config), include_extras=True).items():
        value = getattr(config, name)
        if typing.get_origin(kind) is not typing.ClassVar and not (is_dataclass(kind) and type(value) is kind):
            try:
                found = msgspec.convert(value, kind)
            except msgspec.ValidationError as problem:
                what = str(problem).replace("`", "").replace(" - at $", " at ").replace(" - at key in $", "")
                if typing.get_origin(kind) is typing.Literal:
                    what = f"use {' or '.join(map(str, typing.get_args(kind)))}"
                raise error(f"{name} is {_shown(value)}; {what[:1].lower() + what[1:]}") from problem
            if not _finite(found):
                raise error(f"{name} is {_shown(value)}; numbers must be finite")


def _finite(value: Any) -> bool:
    if isinstance(value, (list, tuple, dict)):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
