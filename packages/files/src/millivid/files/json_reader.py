"""JSON from anyone: read strictly, against a type, with one sentence for whatever is wrong."""

import dataclasses
import json
import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never, TypeVar

import msgspec

T = TypeVar("T")

MOST_BYTES = 1 << 28
"""Of a JSON file; an index of a million videos has 200 MB."""


def read_json(
    path: Path,
    schema: type[T],
    error: type[ValueError] = ValueError,
    then: str = "restore it, or make it again",
) -> T:
    """The content of a JSON file as a value of `schema`: a dataclass, `dict[str, Any]`, or another type that msgspec knows.

    error: what is raised, with one sentence that names the file and the place in it and ends with `then`, for a file that
    cannot be read, is larger than 256 MB, or is no JSON of that type. No key may be twice in an object, and no number NaN or
    infinite.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no file")
        if found.st_size > MOST_BYTES:
            raise OSError(f"it has {found.st_size:,} bytes, and {MOST_BYTES:,} are the most")
        text = path.read_bytes().decode("utf-8")
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or problem}); {then}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: is no valid JSON ({problem}); {then}") from problem
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_float)
    except (ValueError, RecursionError) as problem:
        raise error(f"{path}: is no valid JSON ({problem}); {then}") from problem
    return typed(content, schema, str(path), error, then)


def typed(
    content: Any,
    schema: type[T],
    name: str,
    error: type[ValueError] = ValueError,
    then: str = "restore it, or make it again",
    decode: Callable[[type, Any], Any] | None = None,
) -> T:
    """Parsed JSON as a value of `schema`; `error` as for `read_json`, beginning with `name`.

    decode: makes values of the types in it that JSON has not; raises ValueError. A key that a dataclass has no field for is
    passed over.
    """
    try:
        return msgspec.convert(content, schema, dec_hook=decode)
    except (msgspec.ValidationError, RecursionError) as problem:
        what, _, place = str(problem).replace("`", "").partition(" - at $")
        what = (what[:1].lower() + what[1:]).replace("object missing required field", "lacks the entry")
        where = f"{place.removeprefix('.')}: " if place else ""
        raise error(f"{name}: {where}{what}; {then}") from problem


def unknown_keys(content: dict[str, Any], schema: type) -> list[str]:
    """Keys that a dataclass has no field for."""
    return sorted(content.keys() - {field.name for field in dataclasses.fields(schema)})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"an object has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return found


def _no_number(word: str) -> Never:
    raise ValueError(f"{word} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is larger than a number can be")
    return value
