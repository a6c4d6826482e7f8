"""Where videos come from: the protocol every source follows, and arrays in memory."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from .errors import EvaluationError, name_some

Frames = UInt8[np.ndarray, "frame height width 3"]

RATE_TOLERANCE = 0.01
"""Frame rates that differ by less than this share are one: 29.97 and 30."""


class VideoSource(Protocol):
    """A set of videos by id. Frame numbers are the same in every source of one evaluation: context comes first.

    A source may also have

    - `describe() -> dict`, JSON values (kind, codec, ...) that reports copy into their protocol,
    - `rate(id) -> float`, a video's own frames per second, where they differ,
    - `fingerprint(id) -> str`, another one for other frames, by which stored scores are found again,
    - `poses(id) -> float32 (frame, 5)`: x, y, z, yaw, pitch in degrees, which figures of memory need.
    """

    @property
    def fps(self) -> float:
        """Frames per second, for playing only."""
        ...

    def ids(self) -> list[str]:
        """All ids, in a fixed order."""
        ...

    def num_frames(self, id: str) -> int:
        """Frames of one video."""
        ...

    def read(self, id: str, start: int, stop: int) -> Frames:
        """Frames [start, stop) of one video, RGB uint8."""
        ...


def check_range(id: str, start: int, stop: int, count: int) -> None:
    """Raise EvaluationError unless [start, stop) holds at least one frame and lies within `count` frames."""
    if not 0 <= start < stop <= count:
        raise EvaluationError(f"video {id!r}: frames [{start}, {stop}) were asked for, it has [0, {count})")


class VideosInMemory:
    """Videos given as uint8 arrays (frame, height, width, 3) by id, with their poses (frame, 5) where they are known."""

    def __init__(
        self, videos: Mapping[str, Frames], fps: float = 20.0, poses: Mapping[str, np.ndarray] | None = None
    ) -> None:
        for id, frames in videos.items():
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
                raise EvaluationError(
                    f"video {id!r} is {frames.dtype} {frames.shape}; it takes uint8 (frame, height, width, 3)"
                )
        self._videos = dict(videos)
        self._poses = {} if poses is None else dict(poses)
        self._fingerprints: dict[str, str] = {}
        self.fps = float(fps)

    def ids(self) -> list[str]:
        return list(self._videos)

    def num_frames(self, id: str) -> int:
        return len(self._videos[id])

    def read(self, id: str, start: int, stop: int) -> Frames:
        check_range(id, start, stop, self.num_frames(id))
        return self._videos[id][start:stop]

    def poses(self, id: str) -> np.ndarray | None:
        return self._poses.get(id)

    def fingerprint(self, id: str) -> str:
        if id not in self._fingerprints:
            frames = np.ascontiguousarray(self._videos[id])
            self._fingerprints[id] = hashlib.sha256(repr(frames.shape).encode() + frames.tobytes()).hexdigest()
        return self._fingerprints[id]

    def describe(self) -> dict[str, Any]:
        return {"kind": "arrays in memory"}


def describe_source(source: VideoSource) -> dict[str, Any]:
    """What a source says of itself (`describe()`), or its class name."""
    describe = getattr(source, "describe", None)
    return dict(describe()) if callable(describe) else {"kind": type(source).__name__}


def rate_of(source: VideoSource, id: str) -> float:
    """Frames per second of one video: what its file says, or what holds for the whole source."""
    rate = getattr(source, "rate", None)
    return float(rate(id)) if callable(rate) else float(source.fps)


def poses_of(source: VideoSource, id: str) -> np.ndarray | None:
    """The poses of a video, if its source knows them."""
    poses = getattr(source, "poses", None)
    found: np.ndarray | None = poses(id) if callable(poses) else None
    return found


def fingerprint_of(source: VideoSource, id: str) -> str | None:
    """What tells a video's frames from others', if its source says so."""
    fingerprint = getattr(source, "fingerprint", None)
    found: str | None = fingerprint(id) if callable(fingerprint) else None
    return found


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_ids(sources: Mapping[str, VideoSource], wanted: list[str]) -> None:
    """Raise EvaluationError naming the ids that a source lacks."""
    for name, source in sources.items():
        missing = [id for id in wanted if id not in set(source.ids())]
        if missing:
            have = source.ids()
            hint = f"it has {name_some(have)}" if have else "it is empty"
            raise EvaluationError(
                f"{name} lacks {len(missing)} of {len(wanted)} videos: {name_some(missing)}; {hint}. "
                "Score only some with ids= (videos=common in millivid evaluate)"
            )
