"""Videos from anywhere: which stream, how fast, whether anything is missing; frames one by one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from .container import is_video, open_video, reading
from .errors import DatasetError

SAME_RATE = Fraction(1, 100)
"""Rates that differ by no more are the same one."""
LONGEST_STILL = 600
"""A frame shown for more seconds than this is a broken clock, not a still picture."""
KEPT_BYTES = 2**28
"""Encoded videos up to this size are kept between being checked and being decoded; larger ones are read twice."""
WITH_DURATION = frozenset({"mov", "matroska", "avi", "flv", "asf", "mxf"})
"""Containers that say how long they are; for the others ffmpeg's number is a guess from what is there."""
COUNTED_FROM_ZERO = ("matroska", "asf")
"""Containers whose length counts from time 0 and not from the first frame on."""
A_FRAME_EACH = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d"})
"""Codecs of which every packet shows one frame; others have packets that show none, or two."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceVideo:
    """A video, and what can be known of it without decoding it.

    path: the file. codec: what decodes it. pixel_format: what it decodes to. packets: its encoded frames, while the file is
    open; None where they are too many to be kept. rate: frames per second, on average. stated_rate: what the header says of
    it, if anything. times: of its frames, in their order, where the file tells them by order alone: it has none, or is an
    AVI. end: of an AVI's last frame, which dropped ones may follow; else 0. pts: the presentation times of its frames in
    units of the stream, sorted; empty where only decoding tells. keys: the times of its key frames, in the same units.
    aspect: width of a pixel by its height. notes: what was not taken as it is.
    """

    path: Path
    codec: str
    pixel_format: str
    packets: list[av.Packet] | None
    rate: Fraction
    stated_rate: Fraction | None
    times: tuple[Fraction, ...]
    end: Fraction
    pts: tuple[int, ...]
    keys: tuple[int, ...]
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

    Raises DatasetError for what is no video, a cut-off or damaged file, or one without a frame rate.
    """
    with open_video(path) as (container, stream):
        with reading(path):
            video = _check(container, stream, path)
        yield video


def decode_source(video: SourceVideo) -> Iterator[SourceFrame]:
    """All frames, one after the other; once only.

    Raises DatasetError where the file is damaged, holds no frame, or its clock jumps.
    """
    origin, before = Fraction(0), Fraction(0)
    for index, picture in enumerate(decode(video.path, _packets(video))):
        if index < len(video.times):
            shown = video.times[index]
        elif video.times:
            shown = origin + before + 1 / video.rate
        elif picture.pts is None or picture.time_base is None:
            raise DatasetError(f"{video.path}: frame {index} has no time; re-encode it, as an MP4 for example")
        else:
            shown = picture.pts * picture.time_base
        origin = shown if index == 0 else origin
        shown -= origin
        if shown < before or shown - before > LONGEST_STILL:
            raise DatasetError(
                f"{video.path}: its clock jumps from {float(before):.2f} s to {float(shown):.2f} s at frame {index}; "
                f"re-encode it, as an MP4 for example"
            )
        yield SourceFrame(index=index, time=shown, picture=picture)
        before = shown


def decode(path: Path, packets: Iterable[av.Packet]) -> Iterator[av.VideoFrame]:
    """The frames in a video's packets; raises DatasetError where they are damaged, or hold no frame."""
    index = 0
    try:
        for packet in packets:
            for picture in packet.decode():
                assert isinstance(picture, av.VideoFrame)
                if picture.is_corrupt:
                    raise DatasetError(f"{path}: is damaged at frame {index}")
                yield picture
                index += 1
    except av.FFmpegError as error:
        raise DatasetError(
            f"{path}: is damaged at frame {index}, or was cut off there ({error.strerror or error})"
        ) from error
    if not index:
        raise DatasetError(f"{path}: holds no frame that can be decoded")


def first_frame(path: Path) -> tuple[av.VideoFrame, Fraction]:
    """The first frame and the shape of its pixels, width by height.

    Raises DatasetError where there is none, or the file is damaged.
    """
    with open_video(path) as (container, stream):
        return next(decode(path, container.demux(stream))), stream.sample_aspect_ratio or Fraction(1)


def _check(container: InputContainer, stream: VideoStream, path: Path) -> SourceVideo:
    kind, stated = container.format.name.split(",")[0], stream.average_rate or stream.guessed_rate
    is_avi = kind == "avi"
    packets: list[av.Packet] = []
    shown: list[int] = []
    keys: list[int] = []
    first: av.Packet | None = None
    count, kept, end, own_times = 0, 0, Fraction(0), True
    for packet in container.demux():
        of_video = packet.stream.index == stream.index
        if of_video and kept <= KEPT_BYTES:
            packets.append(packet)
            kept += packet.size
        if not packet.size:
            continue
        if packet.is_corrupt and of_video:
            raise DatasetError(f"{path}: is damaged or cut off (packet {count} of the video is broken)")
        # An AVI has no presentation times, and a dropped frame has a place among the decoding times.
        time = packet.dts if is_avi or packet.pts is None else packet.pts
        if time is not None and packet.time_base:
            end = max(end, (time + (packet.duration or 0)) * packet.time_base)
        if of_video:
            first = first or packet
        if of_video and not packet.is_discard:  # what an edit list cuts off is decoded, not shown
            count += 1
            own_times = own_times and packet.pts is not None and packet.pts == time
            if time is not None:
                shown.append(time)
                keys += [time] * packet.is_keyframe
    shown.sort()
    timed = bool(shown) and len(shown) == count
    unit = stream.time_base or Fraction(0)
    if is_avi:
        end = max(end, _listed_in_avi(path, stream.index) * unit)
    rate = _rate(path, stated, (shown[-1] - shown[0]) * unit if timed else Fraction(0), count, is_avi)
    times: tuple[Fraction, ...] = ()
    if is_avi or not timed:
        times = tuple(time * unit for time in shown) if timed else tuple(index / rate for index in range(count))
    whole = first is not None and first.is_keyframe and first.pts is not None and timed and first.pts <= shown[0]
    exact = len(keys) == count or (stream.codec_context.name in A_FRAME_EACH and not is_avi)
    numbered = whole and exact and own_times and len(set(shown)) == count
    if container.duration and kind in WITH_DURATION:
        start = 0 if kind in COUNTED_FROM_ZERO else container.start_time or 0
        expected = Fraction(start + container.duration, av.time_base)
        if end < expected - max(Fraction(1, 4), 3 / rate):
            raise DatasetError(
                f"{path}: is cut off: it ends after {float(end):.2f} s, but its header says {float(expected):.2f} s"
            )
    if kind == "matroska" and _ends_early(path):
        raise DatasetError(f"{path}: is cut off: it is shorter than its header says")
    notes = []
    if not is_avi and not timed:
        notes.append(f"has no times; read as {float(rate):g} frames per second")
    if container.streams.audio:
        notes.append("sound left out")
    if (videos := sum(map(is_video, container.streams.video))) > 1:
        notes.append(f"has {videos} video streams; number {stream.index} ({stream.width}x{stream.height}) taken")
    return SourceVideo(
        path=path,
        codec=stream.codec_context.name,
        pixel_format=str(stream.codec_context.pix_fmt),
        packets=packets if kept <= KEPT_BYTES else None,
        rate=rate,
        stated_rate=stated,
        times=times,
        end=end - shown[0] * unit if is_avi and timed else Fraction(0),
        pts=tuple(shown) if numbered else (),
        keys=tuple(keys),
        aspect=stream.sample_aspect_ratio or Fraction(1),
        notes=tuple(notes),
    )


def _ends_early(path: Path) -> bool:
    """Whether a Matroska file is shorter than its segment says; ffmpeg takes the frames that are left for all."""
    total, end = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in ("header", "segment"):
            file.seek(min(max(end, 0), total))
            first = file.read(5)[-1:]
            length = 9 - int.from_bytes(first).bit_length()  # of the size: bytes as the first one's leading zeros say
            size = int.from_bytes(first + file.read(length - 1)) - (1 << 7 * length)
            end = file.tell() + size
    unknown = size == (1 << 7 * length) - 1  # a stream
    return not unknown and end > total


def _listed_in_avi(path: Path, stream: int) -> int:
    """How many frames of a stream an AVI's index lists: dropped ones too, which are no packets."""
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            size = int.from_bytes(header[4:], "little")
            if header.startswith(b"idx1"):
                entries = file.read(size)
                return sum(entries.startswith(b"%02d" % stream, at) for at in range(0, len(entries), 16))
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _packets(video: SourceVideo) -> Iterator[av.Packet]:
    """The video's packets; going back to the first in an open file loses frames of MPEG streams."""
    if video.packets is not None:
        yield from video.packets
        return
    with open_video(video.path) as (container, stream):
        yield from container.demux(stream)


def _rate(path: Path, stated: Fraction | None, span: Fraction, count: int, is_avi: bool) -> Fraction:
    """Frames per second as the times say; as the header says where frames were dropped, or packets seem to hold none."""
    measured = (count - 1) / span if span else None
    if measured and stated and not is_avi and not SAME_RATE < abs(measured / stated - 1) < Fraction(1, 5):
        return measured
    if not (stated or measured):
        raise DatasetError(f"{path}: has no frame rate; re-encode it, as an MP4 for example")
    return stated or measured or Fraction(0)
