"""Tables beside videos are read whatever they are; what is wrong is named by file, row and column."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from millivid.data import DatasetError, ImportSettings
from millivid.data.importing.side_tables import read_table
from millivid.data.importing.side_tracks import agree, read_side_data


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
        ("x,y\n1,2\n".encode("utf-16-le"), "zero bytes"),
        ("x,y\n1,0\n1_000,0\n", "column 'x' holds '1_000', which is no number.*line 3"),
        ("x;y\n1,5;0\n", "column 'x' holds '1,5', which is no number.*line 2"),
        ("x,y\n0x10,0\n", "column 'x' holds '0x10', which is no number.*line 2"),
        ("x,y\n٣,0\n", "column 'x' holds '٣', which is no number.*line 2"),
        ("x,y\n1,2,3\n", "line 2 has 3 values, but there are 2 columns"),
        ('x,y\n1,"2\n3,4\n', "no valid CSV"),
        (",".join(f"c{i}" for i in range(50_000)), "50,000 columns"),
        (",".join(f"column{i}" for i in range(200_000)), "line 1 has 1,048,576 characters or more"),
        ("x\n" + "1" * 200_000, "no valid CSV .field larger"),
        ("x\n" + "a" * 1000, "column 'x' holds texts of up to 1,000 characters"),
        ("x,a\u0301,á\n1,2,3\n", "two columns named 'á'"),
        ("x," + "y" * 300 + "\n1,2\n", "column named 'yyy.*200 characters"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(DatasetError, match=what) as error:
        read_table(csv(tmp_path, text)).numbers("x")
    assert "clip.csv" in str(error.value)


def test_a_number_is_a_number_and_a_word_stays_a_word(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,b,c,d,e\n+1,1e3,1_0,nan,1\n-02,.5,2_0,jump,nan\n 3 ,1.,0x1,inf,2\n")
    table = read_table(path)
    assert [table.columns[name].dtype.kind for name in "abcde"] == ["i", "f", "U", "U", "f"]
    assert table.columns["a"].tolist() == [1, -2, 3] and table.numbers("b").tolist() == [1000, 0.5, 1]
    assert table.columns["c"].tolist() == ["1_0", "2_0", "0x1"] and table.columns["d"].tolist() == [
        "nan",
        "jump",
        "inf",
    ]
    with pytest.raises(DatasetError, match="column 'e' holds nan.*line 3"):
        table.numbers("e")


def test_many_words_and_columns_take_no_time(tmp_path: Path) -> None:
    names = [f"action_{index}" for index in range(5000)]
    path = csv(tmp_path, f"{','.join(names)}\n" + f"{','.join(['0.5'] * 5000)}\n" * 2)
    (columns, _, _) = agree({"a": read_side_data("clip.mp4", {"clip.csv": path}, ImportSettings())})
    assert len(columns["action_names"]) == 5000
    csv(tmp_path, "action\n" + "".join(f"w{index}\n" for index in range(50_000)))
    side = read_side_data("clip.mp4", {"clip.csv": path}, ImportSettings())
    with pytest.raises(DatasetError, match="the actions are 50,000 different words; 4,096 are the most"):
        agree({"a": side})


def test_whatever_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("zero.csv", "pipe.npy"):
        with pytest.raises(DatasetError, match=f"{name}: is no file"):
            read_table(tmp_path / name)


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


def test_lists_become_vectors_and_other_objects_are_refused_if_they_are_used(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow, an extra")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "clip.parquet"
    columns = {
        "action": [[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "fixed": pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.int8(), 2)),
        "large": pyarrow.array([2**63, 1], pyarrow.uint64()),
        "price": pyarrow.array(["1.50", "2.25"]).cast(pyarrow.decimal128(5, 2)),
        "yes": [True, None],
        "ragged": [[1.0, 2.0], [3.0]],
        "holes": [[1.0, 2.0], [None, 3.0]],
        "none": [[1.0], None],
        "bytes": [b"jump", b"left"],
        "struct": [{"a": 1}, {"a": 2}],
        "when": pyarrow.array([1, 2], pyarrow.timestamp("ms")),
        "words": [["a"], ["b"]],
    }
    parquet.write_table(pyarrow.table(columns), path)
    table = read_table(path)
    assert table.vectors == {"action": ("action.0", "action.1", "action.2"), "fixed": ("fixed.0", "fixed.1")}
    assert [table.numbers(f"action.{index}").tolist() for index in range(3)] == [[0.5, 3], [1, 4], [2, 5]]
    assert table.numbers("fixed.1").tolist() == [2, 4]
    assert table.numbers("large").tolist() == [2.0**63, 1] and table.numbers("price").tolist() == [1.5, 2.25]
    for name, what in {
        "yes": "nan.*row 1",
        "ragged": "lists of 2 numbers, but 1 numbers in row 1",
        "holes": "lists of 2 numbers, but a number that is missing in row 1",
        "none": "lists of 1 numbers, but nothing in row 1",
        "bytes": "binary",
        "struct": "struct",
        "when": "timestamp",
        "words": "list<",
    }.items():
        with pytest.raises(DatasetError, match=f"clip.parquet: column '{name}' holds {what}"):
            table.numbers(name)
    npy = tmp_path / "clip.npy"
    np.save(
        npy, np.array([((1, 2), 1j, b"up", b"\xff")], dtype=[("v", "f4", (2,)), ("c", "c8"), ("b", "S2"), ("x", "S2")])
    )
    table = read_table(npy)
    assert table.vectors == {"v": ("v.0", "v.1")} and table.columns["b"].tolist() == ["up"]
    for name, what in (("c", "complex numbers"), ("x", "text that is not UTF-8")):
        with pytest.raises(DatasetError, match=f"column '{name}' holds {what}"):
            table.numbers(name)


def test_a_parquet_file_that_unfolds_beyond_the_memory_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow, an extra")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "clip.parquet"
    parquet.write_table(pyarrow.table({"action": pyarrow.array(["a" * 100_000] * 500).dictionary_encode()}), path)
    assert path.stat().st_size < 200_000
    with pytest.raises(DatasetError, match=r"clip\.parquet: column 'action' holds texts of up to 100,000 characters"):
        read_table(path).numbers("action")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "clip.parquet").touch()
    with pytest.raises(DatasetError, match="pip install pyarrow"):
        read_table(tmp_path / "clip.parquet")
