"""Any span of frames of a video of anyone's."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from .container import open_video
from .errors import DatasetError
from .orientation import orientation, upright
from .source_video import SourceVideo, decode, decode_source, open_source

Decoding = Iterator[tuple[int, av.VideoFrame]]  # frames with their numbers


class VideoReader:
    """Frames of a video file, in the order and number that a player shows, upright, in the size they are stored in.

    Any rate and any distance of key frames reads exactly; a short distance reads fast. What tells no times (an AVI with
    frames that depend on others, a raw stream) is decoded from its beginning for every span that does not follow the last.
    Raises DatasetError, when it is read, for a file that is no video, damaged or cut off.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._next: tuple[int, Decoding] | None = None
        self._last: tuple[tuple[int, int], NDArray[np.uint8]] | None = None
        self._first: tuple[int, tuple[int, int]] | None = None

    @cached_property
    def num_frames(self) -> int:
        if self._video.pts:
            return len(self._video.pts)
        with open_source(self.path) as video:
            return sum(1 for _ in decode_source(video))

    @property
    def rate(self) -> float:
        """Average frames per second."""
        return float(self._video.stated_rate or self._video.rate)

    def describe(self) -> dict[str, Any]:
        """Codec, pixel format and key-frame distance."""
        return {
            "codec": self._video.codec,
            "pixel_format": self._video.pixel_format,
            "mean_key_frame_distance": round(self.num_frames / max(len(self._video.keys), 1), 1),
        }

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Frames ``start`` up to ``stop`` (excluded), RGB uint8, [frame, height, width, 3].

        Raises DatasetError where the video has no such frames, they do not decode, or have different sizes.
        """
        if not 0 <= start < stop <= self.num_frames:
            raise DatasetError(f"{self.path}: has {self.num_frames} frames; [{start}, {stop}) were asked for")
        if self._last is not None and self._last[0] == (start, stop):
            return self._last[1]
        problem: DatasetError | None = None
        rgb = VideoReformatter()  # without, each frame's conversion is set up anew
        for decoding in self._decodings_to(start):
            frames: dict[int, NDArray[np.uint8]] = {}
            try:
                for index, picture in decoding:
                    if start <= index < stop:
                        self._check_size(index, picture)
                        pixels = rgb.reformat(picture, format="rgb24").to_ndarray().astype(np.uint8, copy=False)
                        frames[index] = upright(pixels, orientation(picture))
                    if len(frames) == stop - start:
                        self._next = (stop, decoding)
                        self._last = ((start, stop), np.stack([frames[i] for i in range(start, stop)]))
                        return self._last[1]
            except DatasetError as error:  # damage, or frames behind a key frame that need earlier ones
                problem = error
                continue
            lost = min(set(range(start, stop)) - set(frames))
            problem = DatasetError(f"{self.path}: frame {lost} does not decode; re-encode it, or make it again")
        assert problem is not None
        raise problem

    def close(self) -> None:
        """Let go of the decoder and of the frames that were read last."""
        self._next = self._last = None

    def _check_size(self, index: int, picture: av.VideoFrame) -> None:
        size = (picture.width, picture.height)
        first, expected = self._first = self._first or (index, size)
        if size != expected:
            raise DatasetError(
                f"{self.path}: frame {index} has {size[0]}x{size[1]} pixels, frame {first} {expected[0]}x{expected[1]}; "
                f"re-encode it, with frames of one size"
            )

    def _decodings_to(self, start: int) -> Iterator[Decoding]:
        # Where the last read ended; from the key frame before; and, since a seek can land late or on a key frame whose
        # followers need earlier ones, from the beginning.
        previous, self._next = self._next, None
        if previous is not None and previous[0] == start:
            yield previous[1]
        keys = [key for key in self._video.keys if self._numbers.get(key, start + 1) <= start]
        if keys and max(keys) > self._video.pts[0]:
            yield self._decode(max(keys))
        yield self._decode(None)

    def _decode(self, seek: int | None) -> Decoding:
        with open_video(self.path) as (container, stream):
            if seek is not None:
                container.seek(seek, stream=stream, backward=True)
            for index, picture in enumerate(decode(self.path, container.demux(stream))):
                yield self._numbers.get(picture.pts, -1) if self._numbers else index, picture

    @cached_property
    def _video(self) -> SourceVideo:
        with open_source(self.path) as video:
            return replace(video, packets=None)

    @cached_property
    def _numbers(self) -> dict[int | None, int]:
        """Numbers of frames by their times, where these are known."""
        return {time: number for number, time in enumerate(self._video.pts)}
