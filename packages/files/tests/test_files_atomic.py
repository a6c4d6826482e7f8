"""Files and folders appear whole or not at all, whatever ends the writing."""

import contextlib
from pathlib import Path

import pytest

from millivid.files import names_in, replacing, replacing_folder, write_json


def test_a_file_stays_as_it_was_until_its_new_content_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    write_json(path, {"é": [1, 2.5, None]})
    assert path.read_bytes() == '{\n "é": [\n  1,\n  2.5,\n  null\n ]\n}\n'.encode()
    before = path.read_bytes()
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".json" and path.read_bytes() == before
        raise KeyboardInterrupt
    assert path.read_bytes() == before and [found.name for found in path.parent.iterdir()] == ["x.json"]


def test_a_folder_that_is_not_there_is_empty_but_not_one_that_cannot_be_looked_at(tmp_path: Path) -> None:
    assert names_in(tmp_path / "none") == []
    for name in ("b", "a", ".writing-c"):
        (tmp_path / name).touch()
    assert names_in(tmp_path) == ["a", "b"]
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("link", "a"):
        with pytest.raises(OSError, match=name):
            names_in(tmp_path / name)


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "new" / "model"
    with contextlib.suppress(KeyboardInterrupt), replacing_folder(out) as folder:
        (folder / "weights").write_text("half")
        raise KeyboardInterrupt
    assert list(out.parent.iterdir()) == []
    killed = out.with_name(".writing-model")  # what a kill leaves behind
    killed.mkdir()
    (killed / "old").write_text("half")
    with replacing_folder(out) as folder:
        (folder / "weights").write_text("whole")
        assert not out.exists()
    assert [found.name for found in out.parent.iterdir()] == ["model"]
    assert [(found.name, found.read_text()) for found in out.iterdir()] == [("weights", "whole")]
    with pytest.raises(OSError, match="not empty"), replacing_folder(out) as folder:
        (folder / "weights").write_text("another")
    assert [(found.name, found.read_text()) for found in out.iterdir()] == [("weights", "whole")]
