"""JSON from anyone: read strictly, against a type, with one sentence for whatever is wrong."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never, TypeVar

import msgspec

from millivid.files.atomic import open_file

T = TypeVar("T")

MOST_BYTES = 1 << 28
"""Of a JSON file; an index of a million videos has 200 MB."""
MOST_LEVELS, LONGEST_REASON = 100, 300
"""Objects and arrays within each other; characters."""


def read_json(
    path: Path,
    schema: type[T],
    error: type[ValueError] = ValueError,
    then: str = "restore it, or make it again",
) -> T:
    """The content of a JSON file as a value of `schema`: a dataclass, `dict[str, Any]`, or another type that msgspec knows.

    error: what is raised, with one sentence that names the file and the place in it and ends with `then`, for a file that
    cannot be read, is larger than 256 MB, or is no JSON of that type. No key may be twice in an object, and no number NaN,
    infinite or, if whole, longer than 64 bits.
    """
    try:
        with open_file(path) as file:
            if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
                raise OSError(f"it has {size:,} bytes, and {MOST_BYTES:,} are the most")
            read = file.read()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or problem}); {then}") from problem
    try:
        text = read.decode("utf-8")
        content = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_float, parse_int=_int
        )
        if _levels(content) > MOST_LEVELS:
            raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep")
        if "\\ud" in text.lower():  # may be half a character, which no text can be made of
            json.dumps(content, ensure_ascii=False).encode()
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
    # Tensors, of a checkpoint, end in the last two.
    except (msgspec.ValidationError, RecursionError, AttributeError, TypeError) as problem:
        what, _, place = str(problem).replace("`", "").partition(" - at $")
        what = (what[:1].lower() + what[1:]).replace("object missing required field", "lacks the entry")
        where = f"{place.removeprefix('.')}: " if place else ""
        raise error(f"{name}: {where}{what[:LONGEST_REASON]}; {then}") from problem


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object has the key {twice[:100]!r} twice")
    return found


def _no_number(word: str) -> Never:
    raise ValueError(f"{word} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is larger than a number can be")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"{text[:40]} has more digits than a whole number of 64 bits can")
    return int(text)


def _levels(content: Any) -> int:
    """How many objects and arrays lie within each other."""
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else None
    return 0 if inside is None else 1 + max(map(_levels, inside), default=0)
