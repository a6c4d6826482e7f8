"""Opening video files for reading: containers of video alone, and one file at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from .errors import DatasetError

LARGEST_SIDE = 8192
"""Pixels along a side of a frame; H.264 has no more."""
CONTAINERS = (
    "mov,matroska,avi,asf,flv,mpeg,mpegts,ogg,mxf,dv,nut,rm,wtv,gif,apng,yuv4mpegpipe,ivf,obu,av1,h264,hevc,vvc,m4v,"
    "mpegvideo,mjpeg"
)
"""ffmpeg's names of what is read. It goes by content, and would follow a playlist or script to other files and addresses."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file, and find the stream that is the video, ready to be decoded by one thread, with errors for damage.

    Raises DatasetError where the file cannot be read, is none of `CONTAINERS`, holds no video, or too large frames.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "no such video file"
        raise DatasetError(f"{path}: {what}; check the path, or make it again")
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    name = str(path.absolute())  # so that "a:b.mp4" is a file and not a protocol
    with reading(path):
        try:
            container = av.open(name, metadata_errors="replace", container_options=options)
        except av.ArgumentError as error:
            raise DatasetError(
                f"{path}: is in no format of videos that is read, or is damaged; make it again, or, if it is a list of other "
                f"files, give those themselves"
            ) from error
    with container:
        with reading(path):
            stream = _choose_stream(container, path)
        yield container, stream


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Errors of reading, as ours."""
    try:
        yield
    except (av.FFmpegError, UnicodeError, IndexError) as error:  # IndexError: of streams that only damage brings up
        why = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{path}: cannot be read as a video ({why}); it is damaged, cut off or no video; make it again, or leave it out"
        ) from error


def _choose_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [stream for stream in container.streams.video if is_video(stream)]
    if not streams:
        raise DatasetError(
            f"{path}: holds no video stream that can be read (a cover picture is none); it is damaged or no video; make it "
            f"again, or give a video file, such as an MP4"
        )
    stream = max(
        streams, key=lambda one: (bool(one.disposition & Disposition.default), one.width * one.height, -one.index)
    )
    if max(stream.width, stream.height) > LARGEST_SIDE:
        raise DatasetError(
            f"{path}: has frames of {stream.width}x{stream.height} pixels; at most {LARGEST_SIDE} along a side are read"
        )
    stream.codec_context.thread_count = 1  # several files at once bring more than several threads on one
    # Else damage is painted over without a word, and a frame may take all memory.
    stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(LARGEST_SIDE**2)}
    return stream


def is_video(stream: VideoStream) -> bool:
    """Whether a stream can be decoded, and is no cover picture."""
    context: VideoCodecContext | None = stream.codec_context  # typed as always there; what was cut off has none
    return context is not None and not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
