"""A video file, read frame by frame. The only module here that imports av; `sources` says what to do without it."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from .errors import EvaluationError, name_some
from .videos import Frames, check_range, file_sha256

Decoding = Iterator[tuple[int, Any]]  # frame number and the decoder's frame, in order of presentation


class _Layout(NamedTuple):
    """What the packets of a file say, without decoding: presentation times in order, and which can be sought to."""

    times: list[int]
    keys: list[int]
    rate: float
    description: dict[str, Any]


class VideoFile:
    """One file. Frames are numbered by presentation time, so any frame rate and any key-frame distance reads exactly; a
    short key-frame distance reads fast. Raises EvaluationError, when it is read, for a file that cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next: tuple[int, Decoding] | None = None
        self._last: tuple[tuple[int, int], Frames] | None = None

    @property
    def rate(self) -> float:
        """Average frames per second."""
        return self._layout.rate

    @property
    def num_frames(self) -> int:
        return len(self._layout.times)

    def read(self, start: int, stop: int) -> Frames:
        """Frames [start, stop), RGB uint8."""
        check_range(self.path.stem, start, stop, self.num_frames)
        if self._last is not None and self._last[0] == (start, stop):
            return self._last[1]  # bounds are made of the reference's frames, so they ask for them again
        problem: EvaluationError | None = None
        rgb = VideoReformatter()  # without, each frame's conversion is set up anew
        for decoding in self._decodings_to(start):
            frames: dict[int, np.ndarray] = {}
            try:
                for index, frame in decoding:
                    if start <= index < stop:
                        frames[index] = rgb.reformat(frame, format="rgb24").to_ndarray()
                    if len(frames) == stop - start:
                        self._next = (stop, decoding)
                        self._last = ((start, stop), np.stack([frames[i] for i in range(start, stop)]))
                        return self._last[1]
            except EvaluationError as error:  # damage, or frames behind a key frame that need earlier ones
                problem = error
                continue
            lost = [str(index) for index in range(start, stop) if index not in frames]
            problem = EvaluationError(f"{self.path.name}: frames {name_some(lost)} do not decode")
        assert problem is not None
        raise problem

    def fingerprint(self) -> str:
        return file_sha256(self.path)

    def describe(self) -> dict[str, Any]:
        """Codec, pixel format and key-frame distance."""
        return self._layout.description

    def close(self) -> None:
        """Let go of the decoder and of the frames that were read last."""
        self._next = self._last = None

    def _decodings_to(self, start: int) -> Iterator[Decoding]:
        # Where the last read ended; from the key frame before; and, since a seek can land late or on a key frame whose
        # followers need earlier ones, from the beginning.
        previous, self._next = self._next, None
        if previous is not None and previous[0] == start:
            yield previous[1]
        times = self._layout.times
        key = max((time for time in self._layout.keys if time <= times[start]), default=times[0])
        if key > times[0]:
            yield self._decode(key)
        yield self._decode(None)

    def _decode(self, seek: int | None) -> Decoding:
        numbers = {time: number for number, time in enumerate(self._layout.times)}
        try:
            with av.open(str(self.path)) as container:
                stream = container.streams.video[0]
                stream.codec_context.options = {"err_detect": "aggressive+explode"}  # or damage would be painted over
                if seek is not None:
                    container.seek(seek, stream=stream, backward=True)
                for frame in container.decode(stream):
                    if frame.pts in numbers:
                        yield numbers[frame.pts], frame
        except av.FFmpegError as error:
            raise EvaluationError(f"{self.path.name} cannot be decoded: {error}") from error

    @cached_property
    def _layout(self) -> _Layout:
        try:
            with av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise EvaluationError(f"{self.path.name} holds no video stream")
                stream = container.streams.video[0]
                packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.pts is not None and p.size > 0]
                if not packets:
                    raise EvaluationError(f"{self.path.name} holds no frames")
                keys = sorted(time for time, key in packets if key)
                description = {
                    "codec": stream.codec_context.name,
                    "pixel_format": str(stream.codec_context.pix_fmt),
                    "mean_key_frame_distance": round(len(packets) / max(len(keys), 1), 1),
                }
                rate = float(stream.average_rate or stream.guessed_rate or 20)
                return _Layout(sorted(time for time, _ in packets), keys, rate, description)
        except av.FFmpegError as error:
            raise EvaluationError(f"{self.path.name} cannot be read as a video: {error}") from error
