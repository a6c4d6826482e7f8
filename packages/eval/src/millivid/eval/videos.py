"""Where videos come from: the base class of every source, and arrays in memory."""

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from millivid.files import file_hash
from millivid.files.values import check_number

from .errors import EvaluationError, name_some

Frames = UInt8[np.ndarray, "frame height width 3"]


class VideoSource:
    """A set of videos by id. Frame numbers are the same in every source of one evaluation: context comes first.

    Subclasses implement `ids`, `num_frames` and `read`; the other methods say more of the videos where it is known.
    """

    def ids(self) -> list[str]:
        """All ids, in a fixed order."""
        raise NotImplementedError

    def num_frames(self, id: str) -> int:
        """Frames of one video."""
        raise NotImplementedError

    def read(self, id: str, start: int, stop: int) -> Frames:
        """Frames [start, stop) of one video, RGB uint8."""
        raise NotImplementedError

    def rate(self, id: str) -> float | None:
        """Frames per second of one video; None where nothing says so."""
        return None

    def poses(self, id: str) -> np.ndarray | None:
        """float32 (frame, 5): x, y, z, yaw, pitch in degrees, which figures of memory need; None where not known."""
        return None

    def fingerprint(self, id: str) -> str | None:
        """What tells a video's frames from any others, by which stored scores are found again; None where nothing does."""
        return None

    def describe(self) -> dict[str, Any]:
        """JSON values (kind, codec, ...) that reports copy into their protocol."""
        return {"kind": type(self).__name__}


class VideosInMemory(VideoSource):
    """Videos given as uint8 arrays (frame, height, width, 3) by id, with their poses (frame, 5) where they are known."""

    def __init__(
        self, videos: Mapping[str, Frames], fps: float = 20.0, poses: Mapping[str, np.ndarray] | None = None
    ) -> None:
        for id, frames in videos.items():
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
                raise EvaluationError(
                    f"video {id!r} is {frames.dtype} {frames.shape}; it takes uint8 (frame, height, width, 3), not empty"
                )
        for id, each in (poses or {}).items():
            if np.ndim(each) != 2 or np.shape(each)[1] != 5:
                raise EvaluationError(f"poses of video {id!r} are {np.shape(each)}; it takes (frame, 5)")
        check_number(fps, "fps", 0.01, 1000, error=EvaluationError)
        self._videos, self._poses, self._fps = dict(videos), dict(poses or {}), float(fps)
        self._fingerprints: dict[str, str] = {}

    def ids(self) -> list[str]:
        return list(self._videos)

    def num_frames(self, id: str) -> int:
        if id not in self._videos:
            raise EvaluationError(f"no video {id!r}; it has {name_some(self.ids())}")
        return len(self._videos[id])

    def read(self, id: str, start: int, stop: int) -> Frames:
        check_range(id, start, stop, self.num_frames(id))
        return self._videos[id][start:stop]

    def rate(self, id: str) -> float:
        return self._fps

    def poses(self, id: str) -> np.ndarray | None:
        return self._poses.get(id)

    def fingerprint(self, id: str) -> str:
        if id not in self._fingerprints:
            frames = np.ascontiguousarray(self._videos[id])
            self._fingerprints[id] = hashlib.sha256(repr(frames.shape).encode() + frames.tobytes()).hexdigest()
        return self._fingerprints[id]

    def describe(self) -> dict[str, Any]:
        return {"kind": "arrays in memory"}


def check_range(id: str, start: int, stop: int, count: int) -> None:
    """Raise EvaluationError unless [start, stop) holds at least one frame and lies within `count` frames."""
    check_number(start, f"video {id!r}: start", 0, whole=True, error=EvaluationError)
    check_number(stop, f"video {id!r}: stop", 0, whole=True, error=EvaluationError)
    if not 0 <= start < stop <= count:
        raise EvaluationError(f"video {id!r}: frames [{start}, {stop}) were asked for, it has [0, {count})")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; a file that has not changed is read once."""
    stat = path.stat()
    return _sha256(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _sha256(path: Path, *version: int) -> str:
    return file_hash(path)


def hash_of(*parts: object) -> str | None:
    """A SHA-256 over what `parts` print as; None if one of them is None."""
    return None if any(part is None for part in parts) else hashlib.sha256(repr(parts).encode()).hexdigest()
