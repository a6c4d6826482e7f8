"""JSON from anyone is what its type says, or one sentence."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from millivid.files import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Clip:
    frames: Annotated[int, Meta(gt=0)]
    fps: float
    size: tuple[int, int]
    kind: Literal["train", "test"] = "train"
    source: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size[0] > 4096:
            raise ValueError("frames are at most 4096 pixels high")


def test_a_file_becomes_the_value_that_was_written(tmp_path: Path) -> None:
    write_json(
        tmp_path / "clip.json", {"frames": 3, "fps": 10, "size": [32, 48], "source": {"é": [1, {"a": None}]}, "new": 1}
    )
    read = read_json(tmp_path / "clip.json", Clip)
    assert read == Clip(frames=3, fps=10.0, size=(32, 48), source={"é": [1, {"a": None}]})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"is no valid JSON \(Expecting value"),
        ("[1, 2", "is no valid JSON"),
        ("[1]", "expected object, got array"),
        ('{"fps": 8, "size": [1, 2]}', "lacks the entry frames"),
        ('{"frames": "3", "fps": 8, "size": [1, 2]}', "frames: expected int, got str"),
        ('{"frames": true, "fps": 8, "size": [1, 2]}', "frames: expected int, got bool"),
        ('{"frames": 0, "fps": 8, "size": [1, 2]}', "frames: expected int >= 1"),
        ('{"frames": 3, "fps": "8", "size": [1, 2]}', "fps: expected float, got str"),
        ('{"frames": 3, "fps": 8, "size": [1, 2, 3]}', "size: expected array of length 2, got 3"),
        ('{"frames": 3, "fps": 8, "size": [1, null]}', r"size\[1\]|size\[\.\.\.\]: expected int, got null"),
        ('{"frames": 3, "fps": 8, "size": [1, 2], "kind": "val"}', "kind: invalid enum value 'val'"),
        ('{"frames": 3, "fps": 8, "size": [5000, 2]}', "frames are at most 4096 pixels high"),
        ('{"frames": 3, "frames": 4, "fps": 8, "size": [1, 2]}', "an object has the key 'frames' twice"),
        ('{"frames": 3, "fps": NaN, "size": [1, 2]}', "NaN is no number of JSON"),
        ('{"frames": 3, "fps": -Infinity, "size": [1, 2]}', "-Infinity is no number of JSON"),
        ('{"frames": 3, "fps": 1e999, "size": [1, 2]}', "1e999 is larger than a number can be"),
        ('{"frames": ' + "9" * 5000 + "}", "is no valid JSON .*digits"),
        ('{"frames": ' + "9" * 20 + "}", "more digits than a whole number of 64 bits"),
        ('{"source": ' + "[" * 200 + "]" * 200 + "}", "nested more than 100 levels deep"),
        ('{"source": {"name": "\\ud800"}}', "is no valid JSON .*surrogates not allowed"),
        ('{"frames": 3, "fps": 8, "size": [1, 2], "kind": "' + "x" * 10_000 + '"}', "kind|invalid enum value"),
        ("[" * 100_000, "is no valid JSON"),
        ('{"a":' * 100_000, "is no valid JSON"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_file_and_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "clip.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence) as caught:
        read_json(path, Clip, then="make it again")
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith("; make it again") and "\n" not in message
    assert len(message.removeprefix(str(path))) < 400


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name, sentence in {
        "none.json": "cannot be read .No such file",
        "pipe.json": "it is no file",
        ".": "it is no file",
        "binary.json": "is no valid JSON .*utf-8",
    }.items():
        with pytest.raises(KeyError if name == "none.json" else ValueError, match=sentence) as caught:
            read_json(tmp_path / name, Clip, error=_Missing if name == "none.json" else ValueError)
        assert isinstance(caught.value, ValueError)


class _Missing(ValueError, KeyError):
    """An error of the caller's."""


def test_what_is_no_json_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "figures.json", {"fps": float("nan")})
    assert list(tmp_path.iterdir()) == []
