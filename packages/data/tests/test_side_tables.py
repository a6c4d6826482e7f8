"""Tables beside videos are read whatever they are; what is wrong is named by file, row and column."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from millivid.data import DatasetError
from millivid.data.importing.side_tables import read_table


def csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "clip.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_of_all_kinds(tmp_path: Path, separator: str, mark: bytes, newline: str) -> None:
    lines = ["action,x,note", "jump,0,", 'left,1.5,"a, b; c"', "", "jump,-2e1,"]
    if separator != ",":
        lines = [line.replace("a, b", "a  b").replace(",", separator) for line in lines]
    table = read_table(csv(tmp_path, mark + newline.join(lines).encode()))
    assert list(table.columns) == ["action", "x", "note"]
    assert table.columns["action"].tolist() == ["jump", "left", "jump"]
    assert table.numbers("x").tolist() == [0, 1.5, -20]
    assert [column.dtype.kind for column in table.columns.values()] == ["U", "f", "U"]


def test_columns_have_the_type_that_all_their_values_have(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path, "a,b,c,d\n1,1,1,TRUE\n-2,2.0,x,false\n"))
    assert [table.columns[name].dtype.kind for name in "abcd"] == ["i", "f", "U", "U"]
    assert table.numbers("d").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("x,y\n", "holds no rows"),
        ("x,y\n1,2\n\n3\n", "line 4 has 1 values, but there are 2 columns"),
        ("x,x\n1,2\n", "two columns named 'x'"),
        ("x\n1\nnan\n", "column 'x' holds nan.*line 3"),
        ("x\n1\n1e300\n", "column 'x' holds 1e.300.*line 3"),
        ("x\n1\n\n3,5\n", "line 4 has 2 values"),
        ("x,y\n1,0\nten,0\n", "column 'x' holds 'ten', which is no number.*line 3"),
        ("x,y\n1,0\n,0\n", "column 'x' is empty.*line 3"),
        ("1,2\n3,4\n", "first line is numbers"),
        ("x,y\n1,2\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(DatasetError, match=what) as error:
        read_table(csv(tmp_path, text)).numbers("x")
    assert "clip.csv" in str(error.value)


def test_plain_tables_get_their_names_from_outside(tmp_path: Path) -> None:
    for path in (csv(tmp_path, "1,2\n3,4\n"), tmp_path / "clip.npy"):
        if path.suffix == ".npy":
            np.save(path, np.array([[1, 2], [3, 4]]))
        assert read_table(path, ["x", "y"]).numbers("y").tolist() == [2, 4]
        with pytest.raises(DatasetError, match=r"has 2 columns without names, but 3 names are given \(x, y, z\)"):
            read_table(path, ["x", "y", "z"])


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "clip.npy"
    np.save(path, np.array([(1, 2.5, "up"), (0, 3, "down")], dtype=[("a", "i1"), ("b", "f4"), ("c", "U4")]))
    table = read_table(path)
    assert [table.columns[name].dtype.kind for name in "abc"] == ["i", "f", "U"]
    assert table.named
    np.save(path, np.array([True, False]))
    table = read_table(path)
    assert not table.named and table.columns["0"].tolist() == [1, 0]
    np.save(path, np.array([[0.0, 1.0], [2.0, np.inf]]))
    with pytest.raises(DatasetError, match=r"column '1' holds inf.*row 1"):
        read_table(path).numbers("1")


def test_arrays_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "clip.npy"
    for content in (b"", b"not an array", pickle.dumps([1, 2])):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"clip\.npy: cannot be read as an array"):
            read_table(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot be read as an array"):
        read_table(path)
    np.save(path, np.zeros((100, 4)))
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(DatasetError, match="cannot be read as an array"):
        read_table(path)
    np.save(path, np.zeros(0))
    with pytest.raises(DatasetError, match="holds no rows; give one row per frame"):
        read_table(path)
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(DatasetError, match=r"has shape \[2, 2, 2\]"):
        read_table(path)
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros(2))
    with pytest.raises(DatasetError, match="archive of arrays"):
        read_table(path)


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow, an extra")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "clip.parquet"
    words = pyarrow.array(["up", "down", "up"]).dictionary_encode()
    columns = {"a": [1, 2, 3], "b": [0.5, None, 1.0], "c": words, "d": [True, False, True], "e": [[1], [2], [3]]}
    parquet.write_table(pyarrow.table(columns), path)
    table = read_table(path)
    assert [table.columns[name].dtype.kind for name in "abcd"] == ["i", "f", "U", "i"]
    assert table.columns["c"].tolist() == ["up", "down", "up"]
    with pytest.raises(DatasetError, match=r"column 'b' holds nan.*row 1"):
        table.numbers("b")
    with pytest.raises(DatasetError, match="column 'e'.*no number"):
        table.numbers("e")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"clip\.parquet: cannot be read as Parquet"):
        read_table(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "clip.parquet").touch()
    with pytest.raises(DatasetError, match="pip install pyarrow"):
        read_table(tmp_path / "clip.parquet")
