"""The release's files read exactly (tests/golden), and damaged ones are named."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from millivid.data import DatasetError, PyramidFile, read_frames_file

GOLDEN = Path(os.environ.get("MILLIVID_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
SMALL = Path(__file__).parents[3] / "tests" / "golden" / "data"
GRIDS = ((4, 8), (2, 4), (1, 2))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A fixture's tensors (bfloat16 as float32, for numpy has none) and what its metadata says."""
    raw = path.read_bytes()
    begin = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:begin])
    meta = json.loads(header.pop("__metadata__", {}).get("meta", "{}"))
    arrays = {}
    for key, entry in header.items():
        if (kind := {"BF16": "<u2", "F32": "<f4", "U8": "u1"}.get(entry["dtype"])) is None:
            continue
        first, last = (begin + offset for offset in entry["data_offsets"])
        array = np.frombuffer(raw[first:last], kind).reshape(entry["shape"])
        arrays[key] = (array.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else array
    return arrays, meta


def fixtures(suffix: str) -> list[Path]:
    return [p for p in sorted(GOLDEN.glob("*.safetensors")) if load(p)[1].get("file", "").endswith(suffix)]


def pyramid(path: Path = SMALL / "small.pyramid", num_frames: int = 20) -> PyramidFile:
    return PyramidFile(path, num_frames, GRIDS, channels=6)


@pytest.mark.parametrize("path", fixtures(".pyramid"), ids=lambda path: path.stem)
def test_pyramids_are_exact(path: Path) -> None:
    expected, meta = load(path)
    channels, height, width = meta["base_latent_shape"]
    grids = tuple((height >> level, width >> level) for level in range(meta["num_levels"]))
    file = PyramidFile(path.parent / meta["file"], meta["num_frames"], grids, channels)
    spans = [(0, None), *(read[2:] for read in meta["verified_reads_level_start_level_end_frame_start_frame_end"])]
    for start, stop in spans:
        assert np.array_equal(file.columns[start:stop], expected["actions"][start:stop])
        for level in range(meta["num_levels"]):
            found = file.levels[level][start:stop]
            assert found.dtype == np.float32
            assert np.array_equal(found, expected[f"level{level}"][start:stop].transpose(0, 2, 3, 1))


@pytest.mark.parametrize("path", fixtures(".frames"), ids=lambda path: path.stem)
def test_images_are_exact(path: Path) -> None:
    (expected,), meta = list(load(path)[0].values()), load(path)[1]
    decoded = []
    for image in read_frames_file(path.parent / meta["file"], len(expected)):
        with av.open(io.BytesIO(image)) as container:
            decoded.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    assert np.array_equal(np.stack(decoded), expected)


def test_the_bytes_of_images() -> None:
    about = json.loads((SMALL / "frames_expected.json").read_text())["small.frames"]
    images = read_frames_file(SMALL / "small.frames", about["num_blobs"])
    assert [len(image) for image in images] == about["blob_lengths"]
    assert [hashlib.sha256(image).hexdigest()[:16] for image in images] == about["blob_sha256"]
    assert read_frames_file(SMALL / "small.frames", 5, 2, 4) == images[2:4]


def test_levels_are_sliced_like_arrays() -> None:
    level, whole = pyramid().levels[1], pyramid().levels[1][:]
    assert level.shape == whole.shape == (20, 2, 4, 6)
    for frames in (slice(3, 7), slice(None), slice(0, 9, 2), slice(4, 4), slice(-3, None)):
        assert np.array_equal(level[frames], whole[frames])


def test_a_truncated_pyramid_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.pyramid"
    path.write_bytes((SMALL / "small.pyramid").read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"cut.pyramid has 14399 bytes; 20 frames .* make 14400"):
        pyramid(path)
    with pytest.raises(DatasetError, match="missing"):
        pyramid(tmp_path / "none.pyramid")
    with pytest.raises(DatasetError, match=r"make 15120"):
        pyramid(num_frames=21)


def test_empty_images_and_damaged_files(tmp_path: Path) -> None:
    blobs = [bytes.fromhex(blob) for blob in json.loads((SMALL / "frames_expected.json").read_text())["raw.frames"]]
    ends = np.cumsum([len(blob) for blob in blobs]).astype("<u8").tobytes()
    path = tmp_path / "raw.frames"
    path.write_bytes(ends + b"".join(blobs))
    assert read_frames_file(path, len(blobs)) == blobs
    path.write_bytes(ends + b"".join(blobs)[:-1])
    with pytest.raises(DatasetError, match="truncated"):
        read_frames_file(path, len(blobs))
    path.write_bytes(ends[:-1])
    with pytest.raises(DatasetError, match="shorter than the 40 bytes"):
        read_frames_file(path, len(blobs))
    with pytest.raises(DatasetError, match=r"frames \[2, 2\)"):
        read_frames_file(path, len(blobs), 2, 2)
