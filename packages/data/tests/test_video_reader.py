"""Videos of anyone's, read frame by frame: the frames that a player shows, in its order."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from millivid.data import ClipDataset, DatasetError, VideoReader, import_videos
from millivid.data.source_video import decode_source, open_source

RATE = 20


def make(
    path: Path,
    codec: str,
    change: Callable[[av.Packet], av.Packet | None] | None = None,
    count: int = 40,
    **options: str,
) -> None:
    """A video whose frame i is grey 5 i. change: of every packet, what is written."""
    pixels = {"mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        frames: list[av.VideoFrame | None] = [
            av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * index, np.uint8)) for index in range(count)
        ]
        for index, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts = index
            for packet in stream.encode(frame):
                if (changed := change(packet) if change else packet) is not None:
                    container.mux(changed)


def numbers(frames: np.ndarray) -> list[int]:
    return np.round(frames.mean((1, 2, 3)) / 5).astype(int).tolist()


def earlier(packet: av.Packet) -> av.Packet:
    """10 frames earlier: an MP4 gets an edit list that cuts those off, as `ffmpeg -ss 0.5 -c copy` does."""
    assert packet.pts is not None and packet.dts is not None
    packet.pts, packet.dts = packet.pts - 10, packet.dts - 10
    return packet


def dropped(packet: av.Packet) -> av.Packet | None:
    """Without frames 10 to 14 and the last 10, of which an AVI keeps the places."""
    if packet.pts not in range(10, 15) and packet.pts not in range(30, 40):
        return packet
    empty = av.Packet(b"")
    empty.stream, empty.time_base, empty.pts, empty.dts = packet.stream, packet.time_base, packet.pts, packet.dts
    return empty if packet.stream.container.format.name == "avi" else None


KEPT = [*range(10), *range(15, 30)]


@pytest.mark.parametrize(
    ("name", "codec", "change", "options", "expected"),
    [
        ("b-frames.avi", "libx264", None, {"g": "8"}, range(40)),
        ("dropped.avi", "mjpeg", dropped, {}, KEPT),
        ("dropped.mp4", "mjpeg", dropped, {}, KEPT),
        ("edited.mp4", "libx264", earlier, {}, range(10, 40)),
        ("edited.mov", "libx264", earlier, {"g": "8", "bf": "0"}, range(10, 40)),
        ("hidden-frames.webm", "libvpx", None, {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "30"}, range(40)),
        ("intra-refresh.mp4", "libx264", None, {"x264-params": "intra-refresh=1:keyint=10"}, range(40)),
        ("open.mkv", "libx264", None, {"x264-params": "open-gop=1:keyint=8"}, range(40)),
        ("raw.h264", "libx264", None, {}, range(40)),
        ("stream.ts", "libx264", None, {"g": "8"}, range(40)),
    ],
)
def test_any_span_is_what_a_player_shows(
    name: str, codec: str, change: Any, options: dict[str, str], expected: Any, tmp_path: Path
) -> None:
    make(tmp_path / name, codec, change, **options)
    reader, expected = VideoReader(tmp_path / name), list(expected)
    assert reader.num_frames == len(expected)
    assert numbers(reader.read(0, len(expected))) == expected
    for start in (24, 0, 8, 9, 20, 1):
        assert numbers(reader.read(start, start + 1)) == expected[start : start + 1]
    with open_source(tmp_path / name) as video:  # and so does import, in one go
        assert [
            round(frame.picture.to_ndarray(format="rgb24").mean() / 5) for frame in decode_source(video)
        ] == expected
    with pytest.raises(DatasetError, match=rf"{len(expected)} frames; \[0, 99\)"):
        reader.read(0, 99)


def test_frames_dropped_from_an_avi_take_their_time(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    make(tmp_path / "raw" / "a.avi", "mjpeg", dropped)
    table = "\n".join(f"{index / RATE},{index}" for index in range(40))
    (tmp_path / "raw" / "a.csv").write_text(f"time,pose_x\n{table}\n")
    report = import_videos(tmp_path / "raw", tmp_path / "out")
    held = [*range(10), *[9] * 5, *range(15, 30), *[29] * 10]
    clip = ClipDataset(tmp_path / "out").read("a")
    assert numbers(clip.frames) == clip.poses[:, 0].tolist() == held
    assert "15 repetitions" in report.notes["a.avi"][0]


def test_a_video_that_changes_its_size_is_named(tmp_path: Path) -> None:
    for name, size in (("a", 64), ("b", 32)):
        with av.open(str(tmp_path / f"{name}.h264"), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options={"bf": "0"})
            assert isinstance(stream, VideoStream)
            stream.height, stream.width, stream.pix_fmt = size, 64, "yuv420p"
            for _ in range(10):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((size, 64, 3), np.uint8))))
            container.mux(stream.encode())
    both = tmp_path / "both.h264"
    both.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    reader = VideoReader(both)
    assert reader.read(2, 10).shape == (8, 64, 64, 3)
    with pytest.raises(DatasetError, match=r"both\.h264: frame 10 has 64x32 pixels, frame 2 64x64; re-encode"):
        reader.read(10, 20)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_file_that_was_cut_off_is_named(name: str, tmp_path: Path) -> None:
    make(tmp_path / name, {"a.webm": "libvpx-vp9", "a.avi": "mjpeg"}.get(name, "libx264"))
    content = (tmp_path / name).read_bytes()
    for share in (0.3, 0.7, 0.95):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(DatasetError, match=rf"{name}: .*cut off"):
            VideoReader(tmp_path / name).read(0, 1)


@pytest.mark.parametrize(("rate", "expected"), [((1, 10**9), "has 1e\\+09"), ((10**9, 1), "has 1e-09")])
def test_rates_that_no_dataset_has(rate: tuple[int, int], expected: str, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    make(tmp_path / "raw" / "a.avi", "mjpeg")
    content = bytearray((tmp_path / "raw" / "a.avi").read_bytes())
    place = content.index(b"strh") + 28
    content[place : place + 8] = b"".join(number.to_bytes(4, "little") for number in rate)
    (tmp_path / "raw" / "a.avi").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"a\.avi: {expected} frames per second; give fps="):
        import_videos(tmp_path / "raw", tmp_path / "out")


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux([*audio.encode(silence), *audio.encode()])  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"sound\.mp4: holds no video stream"):
        VideoReader(tmp_path / "sound.mp4").read(0, 1)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DatasetError, match=r"pipe\.mp4: is no file"):
        VideoReader(tmp_path / "pipe.mp4").read(0, 1)


def test_frames_with_exif_are_turned_as_it_says(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow")
    exif, jpeg = image.Exif(), io.BytesIO()
    exif[0x112] = 6  # a quarter turn
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32] = 255
    image.fromarray(pixels).save(jpeg, "JPEG", exif=exif)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packet = av.Packet(jpeg.getvalue())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)
    frame = VideoReader(tmp_path / "a.mkv").read(0, 1)[0]
    assert np.abs(frame.astype(int) - np.rot90(pixels, -1)).mean() < 8


@pytest.mark.parametrize("size", [b"\x00" + b"\xff" * 8, b"\x00" * 9, b"\x01" + b"\xfe" * 7])
def test_sizes_that_no_file_has(size: bytes, tmp_path: Path) -> None:
    make(tmp_path / "a.mkv", "libx264")
    content = bytearray((tmp_path / "a.mkv").read_bytes())
    place = content.index(bytes.fromhex("18538067")) + 4  # of the segment
    content[place : place + len(size)] = size
    (tmp_path / "b.mkv").write_bytes(content)
    video = VideoReader(tmp_path / "b.mkv")
    if size[0]:
        with pytest.raises(DatasetError, match=r"b\.mkv: is cut off: it is shorter than its header says"):
            video.read(0, 1)
    else:  # no size at all, which ffmpeg passes over
        assert np.array_equal(video.read(0, 1), VideoReader(tmp_path / "a.mkv").read(0, 1))
