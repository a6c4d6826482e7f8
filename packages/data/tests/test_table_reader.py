"""Spans read from files: what was asked for and no more, whatever happens to the file."""

import copy
import gc
import json
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from millivid.data import DatasetError, LatentDataset, LatentWriter, table_reader
from millivid.data.table_reader import TableReader

GRIDS = ((4, 4), (2, 2), (1, 1))
FRAMES = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    writer = LatentWriter(
        tmp_path, fps=20, action_names=["a", "b"], grids=GRIDS, channels=6, tokenizer={"fingerprint": "x"}
    )
    for seed, video in enumerate("abcdefgh"):
        write(writer, video, seed)
    writer.finish({"train": list("abcdefgh")})
    return tmp_path


def write(writer: LatentWriter, video: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = [rng.normal(size=(FRAMES, *grid, 6)) for grid in GRIDS]
    writer.write(video, levels, rng.integers(0, 2, FRAMES), np.zeros((FRAMES, 5), np.float32))


def every_span_equals_a_slice(data: LatentDataset, video: str) -> None:
    """For random spans of all levels."""
    whole, rng = [data.read(video, level) for level in range(3)], np.random.default_rng(0)
    for _ in range(20):
        spans = {}
        for level in rng.permutation(3)[: rng.integers(1, 4)].tolist():
            edges = np.sort(rng.integers(0, FRAMES + 1, 2 * rng.integers(1, 4))).tolist()
            spans[level] = list(zip(edges[::2], edges[1::2], strict=True))
        found = data.read_spans(video, spans)
        assert list(found) == list(spans)
        for level, parts in spans.items():
            assert found[level].dtype == np.float16
            np.testing.assert_array_equal(
                found[level], np.concatenate([whole[level][start:stop] for start, stop in parts])
            )


def test_spans_equal_slices(folder: Path) -> None:
    data = LatentDataset(folder)
    every_span_equals_a_slice(data, "a")
    assert data.read_spans("a", {}) == {}
    with pytest.raises(DatasetError, match="has 40 frames; frames 39 to 41"):
        data.read_spans("a", {0: [(0, 2)], 1: [(0, 1), (39, 41)]})
    with pytest.raises(DatasetError, match="levels 0 to 2; got level 3"):
        data.read_spans("a", {3: [(0, 1)]})


def test_only_the_bytes_asked_for_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, counts, preadv = LatentDataset(folder), [], os.preadv
    data.actions("a")

    def counted(descriptor: int, buffers: list[Any], offset: int) -> int:
        counts.append(preadv(descriptor, buffers, offset))
        return counts[-1]

    monkeypatch.setattr(os, "preadv", counted)
    data.read_spans("a", {0: [(3, 5), (10, 11)], 2: [(0, 40)]})
    assert counts == [2 * 16 * 6 * 2, 1 * 16 * 6 * 2, 40 * 1 * 6 * 2]


def test_a_read_that_stops_early_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, preadv = LatentDataset(folder), os.preadv
    whole = data.read("a", 0)
    monkeypatch.setattr(os, "preadv", lambda descriptor, buffers, offset: preadv(descriptor, [buffers[0][:7]], offset))
    np.testing.assert_array_equal(data.read("a", 0), whole)


def test_few_files_stay_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files cannot be counted here")
    monkeypatch.setattr(table_reader, "KEEP", 3)
    reader = TableReader()
    gc.collect()  # what other tests left
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for video in "abcdefgh":
            reader.open(f"{folder}/latents/{video}.safetensors")
    assert len(os.listdir("/proc/self/fd")) == before + 3
    del reader
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def check_in_another_process(data: LatentDataset, video: str) -> None:
    every_span_equals_a_slice(data, video)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_for_themselves(folder: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    data = LatentDataset(folder)
    data.read("a", 0)  # so that a file is open
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=check_in_another_process, args=(data, "a")) for _ in range(2)]
    for worker in workers:
        worker.start()
    every_span_equals_a_slice(data, "a")
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        every_span_equals_a_slice(other, "b")


def test_a_file_that_is_replaced_or_deleted_while_it_is_open(folder: Path) -> None:
    data, path = LatentDataset(folder), folder / "latents" / "a.safetensors"
    old = data.read("a", 1)
    path.with_suffix(".new").write_bytes((folder / "latents" / "b.safetensors").read_bytes())
    path.with_suffix(".new").replace(path)
    np.testing.assert_array_equal(data.read("a", 1), data.read("b", 1))
    assert not np.array_equal(old, data.read("b", 1))
    path.unlink()
    with pytest.raises(DatasetError, match=r"a\.safetensors: no such file"):
        data.read("a", 1)


def test_a_file_that_is_cut_off_while_it_is_open(folder: Path) -> None:
    data, path = LatentDataset(folder), folder / "latents" / "a.safetensors"
    file = TableReader().open(str(path))
    data.read("a", 0)
    os.truncate(path, path.stat().st_size - 9)
    with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read \(it has \d+ bytes"):
        data.actions("a")
    os.truncate(path, 2000)  # between the check and the read
    with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read \(it ends at byte 2000"):
        file.read(("level_0", (FRAMES, 4, 4, 6), np.float16, [(0, FRAMES)]))


def test_every_truncation_is_noticed(folder: Path) -> None:
    data, path = LatentDataset(folder), folder / "latents" / "a.safetensors"
    content = path.read_bytes()
    for size in [*range(0, 1200), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read"):
            data.read("a", 0)
    path.write_bytes(content + b"x")
    with pytest.raises(DatasetError, match=r"a\.safetensors: cannot be read"):
        data.read("a", 0)


def test_a_damaged_header_gives_an_error_or_the_right_shape(folder: Path) -> None:
    path = folder / "latents" / "a.safetensors"
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), list[str]()
    end = 8 + int.from_bytes(content[:8], "little")
    for at in range(end):
        changed = bytearray(content)
        changed[at] = int(rng.integers(256))
        path.write_bytes(changed)
        data = LatentDataset(folder)
        try:
            found = [data.read("a", level) for level in range(3)]
        except DatasetError as error:
            refused.append(str(error))
        else:
            assert [level.shape for level in found] == [(FRAMES, *grid, 6) for grid in GRIDS]
    assert len(refused) > end / 3 and all(str(path) in error for error in refused)


@pytest.mark.parametrize(
    "header",
    [
        b"[]", b"{}", b"null", b'{"level_0": 3}', b'{"level_0": {"dtype": "F16", "shape": [40], "data_offsets": [0]}}',
        b'{"level_0": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 0]}}',
        b'{"level_0": {"dtype": "F16", "shape": [40, 4, 4, 6], "data_offsets": [0, 4]}}....',
        b'{"level_0": {"dtype": "F16", "shape": [1.5], "data_offsets": [4, 2]}}', b"[" * 100_000,
    ],
    ids=range(9),
)  # fmt: skip
def test_a_header_of_another_kind(folder: Path, header: bytes) -> None:
    length = header.index(b"....") if b"...." in header else len(header)
    (folder / "latents" / "a.safetensors").write_bytes(length.to_bytes(8, "little") + header)
    with pytest.raises(DatasetError, match=r"a\.safetensors"):
        LatentDataset(folder).read("a", 0)


def test_arrays_that_overlap_and_files_that_are_none_are_refused(folder: Path) -> None:
    data = LatentDataset(folder)
    path = folder / "latents" / "a.safetensors"
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:size])
    header["poses"]["data_offsets"] = [0, FRAMES * 20]
    path.write_bytes(content[:8] + json.dumps(header).encode().ljust(size - 8) + content[size:])
    with pytest.raises(DatasetError, match="its arrays overlap, or leave bytes out"):
        data.read("a", 0)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="it is no file"):
        data.read("a", 0)


def test_what_the_safetensors_library_writes_is_read(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        f"{'long' * 50}_{i}": np.arange(i * 6, dtype=dtype).reshape(i, 2, 3)
        for i, dtype in enumerate((np.float16, np.float32, np.int64) * 10)
    }  # a header longer than what is read at first
    save_file(arrays, tmp_path / "x.safetensors", {"made": "elsewhere"})
    file = TableReader().open(str(tmp_path / "x.safetensors"))
    for name, array in arrays.items():
        assert file.rows(name) == len(array)
        (found,) = file.read((name, array.shape, array.dtype, [(0, len(array)), (0, 0)]))
        assert found.dtype == array.dtype and np.array_equal(found, array)
