"""Videos of anyone's, read frame by frame: the frames that a player shows, in its order."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from millivid.data import ClipDataset, DatasetError, VideoReader, import_videos, orientation
from millivid.data.source_video import decode_source, open_source

RATE = 20


def make(path: Path, codec: str, change: Callable[[av.Packet], bool] = lambda _: True, count: int = 40, **options: str):
    """A video whose frame i is grey 5 i. change: is given every packet, and says whether it is written."""
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
            container.mux([packet for packet in stream.encode(frame) if change(packet)])


def numbers(frames: np.ndarray) -> list[int]:
    return np.round(frames.mean((1, 2, 3)) / 5).astype(int).tolist()


def earlier(packet: av.Packet) -> bool:
    """10 frames earlier: an MP4 gets an edit list that cuts those off, as `ffmpeg -ss 0.5 -c copy` does."""
    assert packet.pts is not None and packet.dts is not None
    packet.pts, packet.dts = packet.pts - 10, packet.dts - 10
    return True


def dropped(packet: av.Packet) -> bool:
    return packet.pts not in range(10, 15)


KEPT = [*range(10), *range(15, 40)]


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
    make(tmp_path / name, codec, change or (lambda _: True), **options)
    reader, expected = VideoReader(tmp_path / name), list(expected)
    assert reader.num_frames == len(expected)
    assert numbers(reader.read(0, len(expected))) == expected
    for start in (29, 0, 8, 9, 20, 1):
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
    held = [*range(10), *[9] * 5, *range(15, 40)]
    clip = ClipDataset(tmp_path / "out").read("a")
    assert numbers(clip.frames) == clip.poses[:, 0].tolist() == held
    assert "5 repetitions" in report.notes["a.avi"][0]


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


def test_side_data_that_pyav_does_not_know_leaves_the_rotation() -> None:
    class Frame:
        rotation = 90

        @property
        def side_data(self) -> Any:
            raise ValueError("29 is not a valid Type")

    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    turned = orientation.orientation(Frame())  # type: ignore[arg-type]
    assert np.array_equal(orientation.upright(pixels, turned), np.rot90(pixels))
