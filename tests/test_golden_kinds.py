"""Every fixture in tests/golden, or in $MILLIVID_GOLDEN, is of a kind that some package's tests look for."""

import json
import os
from pathlib import Path

import pytest
from safetensors import safe_open

GOLDEN = Path(os.environ.get("MILLIVID_GOLDEN", Path(__file__).parent / "golden"))
READ_BY = {
    "ModelAutoencoder": "tokenizer",
    "ModelVideoUniversal": "diffusion",
    "ModelVideoUniversal.dit (DiTWrapper)": "diffusion",
    "ModelVideoFramePack": "diffusion",
    "NoiseSchedule": "diffusion",
    "functions: posemb": "tokenizer and diffusion",
    "file: .pyramid": "data",
    "file: .frames": "data",
}


def kind(path: Path) -> str:
    with safe_open(path, "pt") as file:
        meta = json.loads((file.metadata() or {}).get("meta", "{}"))
    if "posemb" in meta.get("functions", ""):
        return "functions: posemb"
    return meta.get("class") or f"file: {Path(meta.get('file', '')).suffix}"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.safetensors")), ids=lambda path: path.name)
def test_some_package_reads_it(path: Path) -> None:
    assert kind(path) in READ_BY, f"{path} is of the unknown kind {kind(path)!r}; known are {', '.join(READ_BY)}"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.name)
def test_some_package_reads_the_json(path: Path) -> None:
    known = ("schedules", "params_autoencoder", "params_video", "params_framepack")
    assert path.name.startswith(known), f"{path} is unknown; its name should begin with one of {', '.join(known)}"


def test_there_are_fixtures() -> None:
    found = {kind(path) for path in GOLDEN.glob("*.safetensors")}
    assert found, f"{GOLDEN} holds no fixtures"
    if "MILLIVID_GOLDEN" not in os.environ:
        assert found == READ_BY.keys()
