"""MP4 files as arrays: atomic writing, frame-exact reading of any span."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from millivid.files.atomic import replacing
from millivid.files.values import check_number

from .container import LARGEST_SIDE, open_video, reading
from .errors import DatasetError
from .index_file import HIGHEST_FPS, LOWEST_FPS

GROUP_OF_PICTURES = 16
"""Every 16th frame is a key frame, so that reading any frame decodes at most 15 others."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video file says about itself: number of frames, frames per second, (height, width) in pixels."""

    frames: int
    fps: float
    size: tuple[int, int]


def write_video(path: str | Path, frames: NDArray[np.uint8], fps: float, lossless: bool = False) -> None:
    """Write frames as an H.264 MP4; the file appears whole or not at all.

    path: the file to write, ending in ``.mp4``. An existing file is replaced. frames: uint8 RGB, [frame, height, width, 3],
    at least one frame, any size. fps: frames per second. lossless: H.264 in RGB without quantisation: reading gives the
    same bytes. Otherwise full-resolution chroma (4:4:4) at CRF 8, about 40 dB PSNR; half the chroma would cost 6 dB on
    frames of 64x64.

    The result depends on the arguments alone: encoding the same frames twice gives the same file. Raises ValueError where
    ``frames`` is not a uint8 array of that shape or too large, or fps is not positive.
    """
    path = Path(path)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(
            f"frames must be uint8 with shape [frame, height, width, 3] and no empty axis; "
            f"got {frames.dtype} with shape {list(frames.shape)}"
        )
    check_number(fps, "fps", LOWEST_FPS, HIGHEST_FPS)
    # One thread: with more, x264's output depends on their number. No B-frames: a frame's time is its index.
    options = {"g": str(GROUP_OF_PICTURES), "sc_threshold": "0", "bf": "0", "threads": "1"}
    if lossless:
        codec, pixel_format = "libx264rgb", "rgb24"
        options |= {"qp": "0", "preset": "veryfast"}
    else:
        codec, pixel_format = "libx264", "yuv444p"
        options |= {"crf": "8", "preset": "veryfast"}
        if -(-frames.shape[2] // 16) % 4:
            # With AVX-512 (and not with AVX2), x264's macroblock tree then depends on what memory held before.
            options["mbtree"] = "0"
    if max(frames.shape[1:3]) > LARGEST_SIDE:
        raise ValueError(f"frames may have {LARGEST_SIDE} pixels along a side; got {frames.shape[1]}x{frames.shape[2]}")
    with replacing(path) as temporary, av.open(str(temporary.absolute()), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_video(path: str | Path, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
    """Read frames ``start`` up to ``stop`` (excluded; None: to the end) as uint8 RGB, [frame, height, width, 3].

    Seeks to the key frame before ``start``, so the cost depends on the length of the span and not on its place. The frames
    are exactly those that reading the whole file gives. With ``start`` > 0 the video's frame rate has to be constant.
    Raises DatasetError where the file is missing, damaged, not a video, or has fewer than ``stop`` frames, and ValueError
    unless 0 <= start <= stop.
    """
    whole = all(
        isinstance(at, (int, np.integer)) and not isinstance(at, bool) for at in (start, 0 if stop is None else stop)
    )
    if not whole or start < 0 or (stop is not None and stop < start):
        raise ValueError(f"need 0 <= start <= stop; got start {start}, stop {stop}")
    frames = _read(Path(path), range(start, sys.maxsize if stop is None else stop))
    if stop is not None and len(frames) < stop - start:
        asked = f"frames {start} to {stop - 1} were asked for"
        raise _damaged(Path(path), f"ends after {start + len(frames)} frames, but {asked}")
    return frames


def read_frames(path: str | Path, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Read single frames, in the order of ``indices``: uint8 RGB, [index, height, width, 3].

    The same frames that `read_video` gives. For each at most a group of pictures is decoded; near ones share it. Raises
    DatasetError where the file is missing, damaged, not a video, or has fewer frames, and ValueError for a negative index.
    """
    if min(indices, default=0) < 0:
        raise ValueError(f"indices of frames must be at least 0; got {min(indices)}")
    places = {index: place for place, index in enumerate(sorted(set(indices)))}
    frames = _read(Path(path), list(places))
    if len(frames) < len(places):
        raise _damaged(Path(path), f"ends before frame {list(places)[len(frames)]}")
    return frames[[places[index] for index in indices]]


def probe_video(path: str | Path) -> VideoInfo:
    """Number of frames, fps and size of a video file, from its header where the header has them.

    Raises DatasetError where the file is missing, damaged or not a video.
    """
    path = Path(path)
    with open_video(path) as (container, stream), reading(path):
        rate = stream.average_rate or stream.base_rate
        frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        return VideoInfo(frames=frames, fps=float(rate) if rate else 0.0, size=(stream.height, stream.width))


def _read(path: Path, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Frames in ascending order, [index, height, width, 3]; fewer where the video ends before the last."""
    frames: list[NDArray[np.uint8]] = []
    with open_video(path) as (container, stream), reading(path):
        decoded: Iterator[av.VideoFrame] = iter(())
        reformatter = VideoReformatter()  # `to_ndarray(format=...)` sets one up for each frame: 4 times the decoding
        upcoming = -GROUP_OF_PICTURES
        for index in indices:
            if index - upcoming >= GROUP_OF_PICTURES:  # farther than from the key frame before it
                decoded, upcoming = _decode_from(container, stream, index, path), index
            frame = next(islice(decoded, index - upcoming, None), None)
            if frame is None:
                break
            frames.append(reformatter.reformat(frame, format="rgb24").to_ndarray().astype(np.uint8, copy=False))
            upcoming = index + 1
        size = (stream.height, stream.width)
    return np.stack(frames) if frames else np.zeros((0, *size, 3), np.uint8)


def _decode_from(container: InputContainer, stream: VideoStream, start: int, path: Path) -> Iterator[av.VideoFrame]:
    """Frame ``start`` and those after it, none missing. To begin at 0, nothing may have been decoded yet."""
    expected = start
    try:
        for index, frame in _numbered(container, stream, start, path):
            if index < start:
                continue
            if index != expected:
                raise DatasetError(
                    f"{path}: frame {expected} is missing (the next one found is {index}). Its frame rate is not "
                    f"constant or the file is damaged; re-encode it with a constant frame rate or make it again."
                )
            expected += 1
            yield frame
    except av.FFmpegError as error:
        raise _damaged(path, f"cannot be decoded from frame {expected} on ({error.strerror or error})") from error


def _numbered(
    container: InputContainer, stream: VideoStream, start: int, path: Path
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames with their indices, from ``start`` or some frames before it on."""
    if start == 0:
        yield from enumerate(container.decode(stream))
        return
    rate, time_base, origin = stream.average_rate, stream.time_base, stream.start_time or 0
    if rate is None or time_base is None:
        raise DatasetError(f"{path}: has no frame rate, so frame {start} cannot be found. Re-encode it as an MP4.")
    container.seek(origin + int(start / rate / time_base), stream=stream, backward=True)
    for frame in container.decode(stream):
        if frame.pts is None:
            raise DatasetError(f"{path}: has frames without a time. Re-encode it as an MP4 with a constant frame rate.")
        yield round((frame.pts - origin) * time_base * rate), frame


def _damaged(path: Path, found: str) -> DatasetError:
    return DatasetError(
        f"{path}: {found}. The file is damaged, was cut off or is no video; delete it and make it again."
    )
