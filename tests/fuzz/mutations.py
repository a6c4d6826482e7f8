"""Ways to spoil a file: bytes of any file, values of JSON, cells of a table, words of a command."""

import json
import random
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

ODD_NUMBERS = [-1, 0, 1, 0.5, 3.0, -0.0, 1e30, 1e308, 2**31, 2**63, 10**11, 10**40]
ODD_TEXTS = [
    "",
    " ",
    "x",
    "../x",
    "/etc/passwd",
    "a/b",
    ".",
    "..",
    "\x00",
    "\n",
    "é",
    "é",
    "видео",
    "nan",
    "1e5",
    "1_0",
    "x" * 5000,
]
ODD_VALUES: list[Any] = [None, True, False, [], {}, [1], ["x"], {"a": 1}, [[]], *ODD_NUMBERS, *ODD_TEXTS]
RAW = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"a": 1, "a": 2}',
    "\ufeff1",
    "01",
    "'x'",
]
"""JSON texts of what JSON is not, or not sensibly."""
CELLS = [
    "",
    "nan",
    "inf",
    "-1",
    "1e400",
    "1,5",
    "1_000",
    "0x10",
    "true",
    "x",
    "\x00",
    '"',
    "é",
    "10000000000",
    "4512345.01",
    " 1 ",
]
WORDS = [
    "null",
    "[]",
    "{}",
    "",
    "-1",
    "0",
    "nan",
    "inf",
    "1e300",
    "99999999999",
    "1" + "0" * 40,
    "true",
    "[1,2",
    "x y",
    "a=b",
    "é",
    "${x}",
    "1,2",
]


def flip_bit(content: bytes, draw: random.Random) -> bytes:
    """One bit is another."""
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def spoil_header(content: bytes, draw: random.Random) -> bytes:
    """A few of the first bytes are others."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        changed[draw.randrange(min(64, len(changed)))] = draw.randrange(256)
    return bytes(changed)


def cut_off(content: bytes, draw: random.Random) -> bytes:
    """The end is missing."""
    return content[: draw.randrange(len(content))]


def append(content: bytes, draw: random.Random) -> bytes:
    """There is more behind the end."""
    return content + draw.choice([b"\0", content[:100], draw.randbytes(1000)])


def take_out(content: bytes, draw: random.Random) -> bytes:
    """Some bytes in the middle are missing."""
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.randint(1, 200) :]


def put_in(content: bytes, draw: random.Random) -> bytes:
    """Some bytes in the middle are there twice."""
    start = draw.randrange(len(content))
    return content[: start + draw.randint(1, 50)] + content[start:]


def zero(content: bytes, draw: random.Random) -> bytes:
    """A stretch is zeros, as after a power cut."""
    start, length = draw.randrange(len(content)), draw.choice([1, 16, 512, 4096])
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def something_else(content: bytes, draw: random.Random) -> bytes:
    """It is another file."""
    return draw.choice(
        [b"", b"\0" * 1000, b"hello\n", b"PK\3\4" + content, b"\x93NUMPY\1\0v\0{}", b"[" * 100_000, draw.randbytes(300)]
    )


BYTES: list[Mutation] = [
    flip_bit,
    flip_bit,
    flip_bit,
    spoil_header,
    cut_off,
    append,
    take_out,
    put_in,
    zero,
    something_else,
]


def spoil_json(content: bytes, draw: random.Random) -> bytes:
    """A value or a key somewhere in it is another, or missing, or twice."""
    value = json.loads(content)
    places = list(_places(value))
    parent, key = draw.choice(places) if places else (None, None)
    if parent is None or draw.random() < 0.05:
        return json.dumps(draw.choice(ODD_VALUES)).encode()
    kind = draw.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1:
        parent[key] = "RAW"
        return json.dumps(value).replace('"RAW"', draw.choice(RAW), 1).encode()
    elif kind == 2 and isinstance(parent, dict):
        parent[draw.choice(ODD_TEXTS)] = parent.pop(key)
    elif kind == 3 and isinstance(parent, dict):
        text = json.dumps(value)
        return text.replace(f'"{key}":', f'"{key}": 1, "{key}":', 1).encode()
    else:
        parent[key] = draw.choice(ODD_VALUES)
    return json.dumps(value).encode()


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def spoil_table(content: bytes, draw: random.Random) -> bytes:
    """A cell, a name, a row or the form of a CSV table is another."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    row = draw.randrange(len(rows)) if draw.random() < 0.8 else 0
    column = draw.randrange(len(rows[row]))
    kind = draw.randrange(8)
    if kind == 0:
        del rows[row]
    elif kind == 1:
        rows.insert(row, rows[row])
    elif kind == 2:
        rows[row].append("1")
    elif kind == 3:
        rows = [[cell for i, cell in enumerate(line) if i != column] for line in rows]
    elif kind == 4:
        rows = [rows[0]] + [
            [draw.choice(CELLS) if i == column else cell for i, cell in enumerate(line)] for line in rows[1:]
        ]
    else:
        rows[row][column] = draw.choice(CELLS)
    text = "\n".join(draw.choice([",", ",", ",", ",", ";"]).join(line) for line in rows) + "\n"
    return text.encode(draw.choice(["utf-8"] * 9 + ["utf-16"]))


JSON: list[Mutation] = [spoil_json] * 6 + [cut_off, flip_bit, something_else]
TABLE: list[Mutation] = [spoil_table] * 6 + [cut_off, take_out, something_else]


def spoil_words(words: list[str], draw: random.Random) -> list[str]:
    """A word of a command has another value or form, is missing, or is twice."""
    words = list(words)
    settings = [i for i, word in enumerate(words) if "=" in word]
    at = draw.choice(settings)
    key, _, value = words[at].partition("=")
    kind = draw.randrange(8)
    if kind == 0:
        del words[at]
    elif kind == 1:
        words[at] = draw.choice(["~", "+", "++", "-"]) + key + draw.choice(["", f"={value}"])
    elif kind == 2:
        words[at] = f"{key[:-1]}={value}"
    elif kind == 3:
        words.append(draw.choice(["--multirun", "-m", "--helpp", "out", "=", "x=1", f"{key}.x=1", f"{key}.x.y=1"]))
    else:
        words[at] = f"{key}={draw.choice(WORDS)}"
    return words
