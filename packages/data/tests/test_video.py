"""Videos: what is written is what is read, from any frame on, or nothing is there at all."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from millivid.data import DatasetError, VideoReader, encode_image, probe_video, read_video, video, write_video
from millivid.data.video import read_frames


def moving_picture(frames: int = 40, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A smooth background with a bright square that moves by one pixel per frame."""
    rows, columns = np.mgrid[:height, :width]
    background = np.stack([rows * 3 + 20, columns * 2 + 30, 200 - rows - columns], -1).astype(np.uint8)
    video = np.repeat(background[None], frames, 0)
    for index in range(frames):
        video[index, 10:20, index : index + 12] = (250, 40, 90)
    return video


def test_lossless_roundtrip_gives_the_same_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 34, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", noise, 20, lossless=True)
    np.testing.assert_array_equal(read_video(tmp_path / "a.mp4"), noise)


def test_lossy_roundtrip_stays_close(tmp_path: Path) -> None:
    frames = moving_picture()
    write_video(tmp_path / "a.mp4", frames, 20)
    error = read_video(tmp_path / "a.mp4").astype(float) - frames
    assert 10 * np.log10(255**2 / (error**2).mean()) > 36  # dB


@pytest.mark.parametrize("fps", [20, 29.97])
@pytest.mark.parametrize("lossless", [False, True])
def test_any_span_equals_the_same_span_of_the_whole(tmp_path: Path, fps: float, lossless: bool) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(), fps, lossless=lossless)
    whole = read_video(tmp_path / "a.mp4")
    assert len(whole) == 40
    for start in range(40):
        np.testing.assert_array_equal(
            read_video(tmp_path / "a.mp4", start, min(start + 2, 40)), whole[start : start + 2]
        )
    np.testing.assert_array_equal(read_video(tmp_path / "a.mp4", 33), whole[33:])
    assert read_video(tmp_path / "a.mp4", 5, 5).shape == (0, 48, 64, 3)
    for index in range(40):
        np.testing.assert_array_equal(read_frames(tmp_path / "a.mp4", [index])[0], whole[index])
    order = np.random.default_rng(0).integers(0, 40, 30).tolist()
    np.testing.assert_array_equal(read_frames(tmp_path / "a.mp4", order), whole[order])
    assert read_frames(tmp_path / "a.mp4", []).shape == (0, 48, 64, 3)


@pytest.mark.parametrize(
    ("indices", "decoded"),
    [([0], 1), ([31], 16), ([32], 1), ([63, 16], 16 + 1), ([40, 37, 40, 33], 9), ([15, 16, 17], 2 + 16)],
)
def test_at_most_a_group_of_pictures_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indices: list[int], decoded: int
) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(64), 20)
    counted, numbered = [], video._numbered

    def counting(*arguments: Any) -> Iterator[tuple[int, Any]]:
        for index, frame in numbered(*arguments):
            counted.append(index)
            yield index, frame

    monkeypatch.setattr(video, "_numbered", counting)
    read_frames(tmp_path / "a.mp4", indices)
    assert len(counted) == decoded


def test_odd_sizes_and_single_frames_work(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(1, 33, 35), 20)
    assert read_video(tmp_path / "a.mp4").shape == (1, 33, 35, 3)


def test_probe_says_frames_fps_and_size(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(), 25)
    info = probe_video(tmp_path / "a.mp4")
    assert (info.frames, info.fps, info.size) == (40, 25.0, (48, 64))


@pytest.mark.parametrize("read", [read_video, probe_video, lambda path: VideoReader(path).read(0, 1)])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile secret.mp4\n"),
        ("list.txt", "ffconcat version 1.0\nfile secret.mp4\n"),
        ("list.mp4", "v=0\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
        ("secret%02d.png", ""),
    ],
)
def test_no_other_file_is_opened(read: Callable[[Path], object], name: str, text: str, tmp_path: Path) -> None:
    write_video(tmp_path / "secret.mp4", moving_picture(), 20)
    (tmp_path / "secret01.png").write_bytes(encode_image(moving_picture()[0], "png"))
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=rf"{name}: .*(cannot be read as a video|list of other files)"):
        read(tmp_path / name)


def test_text_in_a_header_that_is_none_does_not_matter(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(), 20)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content[8:12] == b"isom"  # the brand, which ffmpeg gives as text
    (tmp_path / "b.mp4").write_bytes(content[:11] + b"\xf5" + content[12:])
    assert np.array_equal(read_video(tmp_path / "b.mp4"), read_video(tmp_path / "a.mp4"))
    assert probe_video(tmp_path / "b.mp4") == probe_video(tmp_path / "a.mp4")


def test_encoding_twice_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, moving_picture(), 20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("width", [20, 72])
def test_a_file_does_not_depend_on_what_memory_held_before(width: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 64, (4, 24, width, 3), dtype=np.uint8).repeat(3, axis=0)
    frames = pictures + 2 * np.arange(24, dtype=np.uint8)[:, None, None]
    held: list[NDArray[np.uint8]] = []
    files = set()
    for _ in range(150):
        held += [np.full(int(size), rng.integers(256), np.uint8) for size in 2 ** rng.uniform(4, 21, 50)]
        rng.shuffle(held)  # type: ignore[arg-type]
        del held[len(held) // 2 :]
        write_video(tmp_path / "a.mp4", frames, 20)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


def test_failing_in_the_middle_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(), 20)
    before = (tmp_path / "a.mp4").read_bytes()
    calls = 0

    def fail_later(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        return array

    monkeypatch.setattr(np, "ascontiguousarray", fail_later)
    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", moving_picture(), 20)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_file_is_named_with_what_to_do(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.mp4"
    write_video(path, moving_picture(), 20)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for read in (read_video, probe_video, lambda path: read_frames(path, range(40))):
        with pytest.raises(DatasetError, match=r"cut\.mp4.*damaged.*make it again"):
            read(path)


def test_overwritten_frames_are_noticed(tmp_path: Path) -> None:
    """Damage that spans frames is found (inside one frame's data, any bytes may decode to something)."""
    path = tmp_path / "bad.mp4"
    write_video(path, moving_picture(), 20)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"bad\.mp4: cannot be decoded from frame \d+ on"):
        read_video(path)
    with pytest.raises(DatasetError, match=r"bad\.mp4: cannot be decoded from frame \d+ on"):
        read_frames(path, range(40))


def test_asking_for_more_frames_than_there_are(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_picture(10), 20)
    with pytest.raises(DatasetError, match="ends after 10 frames, but frames 5 to 11"):
        read_video(tmp_path / "a.mp4", 5, 12)
    with pytest.raises(DatasetError, match="ends before frame 10"):
        read_frames(tmp_path / "a.mp4", [3, 10])


def test_missing_file_and_wrong_arrays(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such video"):
        read_video(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="0 <= start <= stop"):
        read_video(tmp_path / "none.mp4", 3, 2)
    with pytest.raises(ValueError, match="at least 0; got -2"):
        read_frames(tmp_path / "none.mp4", [3, -2])
    with pytest.raises(ValueError, match="frames must be uint8"):
        write_video(tmp_path / "a.mp4", np.zeros((2, 8, 8, 3), np.float32), 20)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
