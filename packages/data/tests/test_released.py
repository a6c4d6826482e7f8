"""The release's files read exactly (tests/golden), and damaged ones are named."""

import hashlib
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest

from millivid.data import DatasetError, PyramidFile, read_frames_file

GOLDEN = Path(__file__).parent / "golden"
GRIDS = ((4, 8), (2, 4), (1, 2))


def pyramid(path: Path = GOLDEN / "data" / "small.pyramid", num_frames: int = 20) -> PyramidFile:
    return PyramidFile(path, num_frames, GRIDS, channels=6)


def expected(name: str) -> dict[str, np.ndarray]:
    """Stored tensors as float32 (numpy has no bfloat16)."""
    header_size = int.from_bytes((GOLDEN / f"{name}.safetensors").read_bytes()[:8], "little")
    raw = (GOLDEN / f"{name}.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + header_size])
    arrays = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
        kind = {"BF16": "<u2", "F32": "<f4", "U8": "u1"}[entry["dtype"]]
        array = np.frombuffer(raw[begin:end], kind).reshape(entry["shape"])
        arrays[key] = (array.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else array
    return arrays


@pytest.mark.parametrize("span", [(0, None), (3, 9), (5, 6), (19, 20)])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_latents_are_exact(level: int, span: tuple[int, int | None]) -> None:
    want = expected("pyramid_small_expected")[f"level{level}"][slice(*span)].transpose(0, 2, 3, 1)
    found = pyramid().read(level, *span)
    assert found.dtype == np.float32
    assert np.array_equal(found, want)


def test_columns_are_exact() -> None:
    want = expected("pyramid_small_expected")["actions"]
    assert np.array_equal(pyramid().columns(), want)
    assert np.array_equal(pyramid().columns(3, 9), want[3:9])


def test_a_truncated_pyramid_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.pyramid"
    path.write_bytes((GOLDEN / "data" / "small.pyramid").read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"cut.pyramid has 14399 bytes; 20 frames .* make 14400"):
        pyramid(path)
    with pytest.raises(DatasetError, match="missing"):
        pyramid(tmp_path / "none.pyramid")
    with pytest.raises(DatasetError, match=r"make 15120"):
        pyramid(num_frames=21)


@pytest.mark.parametrize(("level", "start", "stop"), [(3, 0, 1), (-1, 0, 1), (0, 5, 5), (0, 0, 21), (0, -1, 3)])
def test_what_is_not_there_is_refused(level: int, start: int, stop: int) -> None:
    with pytest.raises(DatasetError, match=r"it has levels 0 to 2 and frames \[0, 20\)"):
        pyramid().read(level, start, stop)


def test_images_are_exact() -> None:
    about = json.loads((GOLDEN / "data" / "frames_expected.json").read_text())["small.frames"]
    images = read_frames_file(GOLDEN / "data" / "small.frames", about["num_blobs"])
    assert [len(image) for image in images] == about["blob_lengths"]
    assert [hashlib.sha256(image).hexdigest()[:16] for image in images] == about["blob_sha256"]
    decoded = []
    for image in images:
        with av.open(io.BytesIO(image)) as container:
            decoded.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    assert np.array_equal(np.stack(decoded), expected("frames_small_expected")["images_uint8_hwc"])
    assert read_frames_file(GOLDEN / "data" / "small.frames", 5, 2, 4) == images[2:4]


def test_empty_images_and_damaged_files(tmp_path: Path) -> None:
    blobs = [
        bytes.fromhex(blob) for blob in json.loads((GOLDEN / "data" / "frames_expected.json").read_text())["raw.frames"]
    ]
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
