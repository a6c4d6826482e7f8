"""Videos from anywhere: which stream, how fast, whether anything is missing; frames one by one, and on an even grid."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ..errors import DatasetError
from ..video import has_decoder, prepare_decoder

SAME_RATE = Fraction(1, 100)
"""Rates that differ by no more are the same one."""
JITTER = Fraction(1, 4)
"""By how much of a frame's duration a frame may be late and still count for the time it was meant for."""
LONGEST_STILL = 600
"""A frame shown for more seconds than this is a broken clock, not a still picture."""
KEPT_BYTES = 2**28
"""Encoded videos up to this size are kept between being checked and being decoded; larger ones are read twice."""
WITH_DURATION = frozenset({"mov", "matroska", "avi", "flv", "asf", "mxf"})
"""Containers that say how long they are; for the others ffmpeg's number is a guess from what is there."""
COUNTED_FROM_ZERO = ("matroska", "asf")
"""Containers whose length counts from time 0 and not from the first frame on."""
PLAYLISTS = ("concat", "hls", "dash", "imf", "image2")
"""What ffmpeg would read other files for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceVideo:
    """An open video, and what can be known of it without decoding it.

    Attributes:
        path: the file.
        stream: the one that is the video.
        packets: its encoded frames; None where they are too many to be kept.
        rate: frames per second, on average.
        even: frame i is shown at i / rate, whatever the times in the file are: it has none, or is an AVI.
        aspect: width of a pixel by its height.
        notes: what was not taken as it is.
    """

    path: Path
    stream: VideoStream
    packets: list[av.Packet] | None
    rate: Fraction
    even: bool
    aspect: Fraction
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceFrame:
    """A decoded frame: which one it is, counted from 0, its time in seconds after the first, and its pixels."""

    index: int
    time: Fraction
    picture: av.VideoFrame


@contextmanager
def open_source(path: Path) -> Iterator[SourceVideo]:
    """Open a video and check it from end to end.

    Raises:
        DatasetError: no video, a cut-off or damaged file, or no frame rate.
    """
    with _open(path) as container:
        with _reading(path):
            video = _check(container, path)
        yield video


def decode_source(video: SourceVideo) -> Iterator[SourceFrame]:
    """All frames, one after the other; once only.

    Raises:
        DatasetError: the file is damaged, holds no frame, or its clock jumps.
    """
    index, origin, before = 0, Fraction(0), Fraction(-1)
    try:
        for packet in _packets(video):
            for picture in packet.decode():
                assert isinstance(picture, av.VideoFrame)
                if picture.is_corrupt:
                    raise DatasetError(f"{video.path}: is damaged at frame {index}")
                shown = index / video.rate
                if not video.even:
                    if picture.pts is None or picture.time_base is None:
                        raise DatasetError(
                            f"{video.path}: frame {index} has no time; re-encode it, as an MP4 for example"
                        )
                    origin = picture.pts * picture.time_base if index == 0 else origin
                    shown = picture.pts * picture.time_base - origin
                if shown < before or (index and shown - before > LONGEST_STILL):
                    raise DatasetError(
                        f"{video.path}: its clock jumps from {float(before):.2f} s to {float(shown):.2f} s at frame {index}; "
                        f"re-encode it, as an MP4 for example"
                    )
                yield SourceFrame(index=index, time=shown, picture=picture)
                index, before = index + 1, shown
    except av.FFmpegError as error:
        raise DatasetError(
            f"{video.path}: is damaged at frame {index}, or was cut off there ({error.strerror or error})"
        ) from error
    if not index:
        raise DatasetError(f"{video.path}: holds no frame that can be decoded")


def first_frame(path: Path) -> tuple[av.VideoFrame, Fraction]:
    """The first frame and the shape of its pixels, width by height.

    Raises:
        DatasetError: there is none, or the file is damaged.
    """
    with _open(path) as container, _reading(path):
        stream = _choose(container, path)
        for picture in container.decode(stream):
            return picture, stream.sample_aspect_ratio or Fraction(1)
    raise DatasetError(f"{path}: holds no frame that can be decoded")


def on_grid(frames: Iterable[SourceFrame], rate: Fraction, fps: Fraction) -> Iterator[tuple[SourceFrame, int]]:
    """How often each frame is shown when pictures are taken ``fps`` times a second: the last one shown at each tick.

    Args:
        frames: in order of their times.
        rate: frames per second of the source, on average. One within 1 % of ``fps`` is taken for it: such a video plays
            faster or slower by that much, and none of its frames is lost or repeated if they come at an even pace.
        fps: ticks per second.
    """
    scale = rate if abs(rate / fps - 1) <= SAME_RATE else fps
    slack = JITTER * min(Fraction(1), scale / rate)
    tick, last, still = 0, None, 1 / rate
    for frame in frames:
        first = max(tick, math.ceil(frame.time * scale - slack))
        if last is not None:
            yield last, first - tick
            # How long the last frame is shown, few files say: as long as the one before it, and not longer than most.
            still = min(1 / rate, frame.time - last.time)
        tick, last = first, frame
    if last is not None:
        yield last, max(0, math.ceil((last.time + still) * scale - slack) - tick)


def _check(container: InputContainer, path: Path) -> SourceVideo:
    stream = _choose(container, path)
    packets: list[av.Packet] = []
    times: list[Fraction] = []
    count, kept, end = 0, 0, Fraction(0)
    for packet in container.demux():
        of_video = packet.stream.index == stream.index
        if of_video and kept <= KEPT_BYTES:
            packets.append(packet)
            kept += packet.size
        if not packet.size:
            continue
        if packet.is_corrupt and of_video:
            raise DatasetError(f"{path}: is damaged or cut off (packet {count} of the video is broken)")
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base:
            end = max(end, (time + (packet.duration or 0)) * packet.time_base)
        if of_video:
            count += 1
            if time is not None and packet.time_base:
                times.append(time * packet.time_base)
    kind = container.format.name.split(",")[0]
    rate = _rate(path, stream.average_rate or stream.guessed_rate, times, count)
    if container.duration and kind in WITH_DURATION:
        start = 0 if kind in COUNTED_FROM_ZERO else container.start_time or 0
        expected = Fraction(start + container.duration, av.time_base)
        if end < expected - max(Fraction(1, 4), 3 / rate):
            raise DatasetError(
                f"{path}: is cut off: it ends after {float(end):.2f} s, but its header says {float(expected):.2f} s"
            )
    notes = []
    if kind != "avi" and len(times) < count:
        notes.append(f"has no times; read as {float(rate):g} frames per second")
    if container.streams.audio:
        notes.append("sound left out")
    if (videos := sum(map(_is_video, container.streams.video))) > 1:
        notes.append(f"has {videos} video streams; number {stream.index} ({stream.width}x{stream.height}) taken")
    return SourceVideo(
        path=path,
        stream=stream,
        packets=packets if kept <= KEPT_BYTES else None,
        rate=rate,
        even=kind == "avi" or len(times) < count,
        aspect=stream.sample_aspect_ratio or Fraction(1),
        notes=tuple(notes),
    )


def _packets(video: SourceVideo) -> Iterator[av.Packet]:
    """The video's packets; going back to the first in an open file loses frames of MPEG streams."""
    if video.packets is not None:
        yield from video.packets
        return
    with _open(video.path) as container:
        stream = container.streams[video.stream.index]
        assert isinstance(stream, VideoStream)
        prepare_decoder(stream)
        yield from container.demux(stream)


def _rate(path: Path, stated: Fraction | None, times: list[Fraction], count: int) -> Fraction:
    """Frames per second as the times say; as the header says where some packets seem to hold no frame to show."""
    span = max(times) - min(times) if len(times) == count and times else Fraction(0)
    measured = (count - 1) / span if span else None
    if measured and stated and not SAME_RATE < abs(measured / stated - 1) < Fraction(1, 5):
        return measured
    if not (stated or measured):
        raise DatasetError(f"{path}: has no frame rate; re-encode it, as an MP4 for example")
    return stated or measured or Fraction(0)


def _open(path: Path) -> InputContainer:
    with _reading(path):
        # An absolute path, so that "a:b.mp4" is a file and not a protocol.
        container = av.open(str(path.absolute()), metadata_errors="replace")
    if container.format.name.startswith(PLAYLISTS):
        container.close()
        raise DatasetError(f"{path}: is a list of other files ({container.format.name}); give those themselves")
    return container


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors of reading, as ours."""
    try:
        yield
    except (av.FFmpegError, UnicodeError, IndexError) as error:  # IndexError: of streams that only damage brings up
        why = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: cannot be read as a video ({why}); it is damaged, cut off or no video") from error


def _choose(container: InputContainer, path: Path) -> VideoStream:
    streams = [stream for stream in container.streams.video if _is_video(stream)]
    if not streams:
        found = "only a cover picture" if container.streams.video else "no video stream"
        raise DatasetError(f"{path}: holds {found} that can be read")
    stream = max(
        streams, key=lambda one: (bool(one.disposition & Disposition.default), one.width * one.height, -one.index)
    )
    prepare_decoder(stream)
    return stream


def _is_video(stream: VideoStream) -> bool:
    return has_decoder(stream) and not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
