"""The bounds of an evaluation, as sources of videos that are evaluated like any run.

Upper bound: the truth through the tokenizer and back (`Transformed`). A video model that works in this latent space cannot
be expected to do better. Lower bound: the same frames in random order (`ShuffledFrames`): the right place at the wrong time.
Below that: frames of other videos (`OtherVideos`), the right world but the wrong place.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from millivid.files.values import check_number

from .errors import EvaluationError
from .videos import Frames, VideoSource, check_range, hash_of

BATCH = 64


@dataclass(eq=False)
class _Derived(VideoSource):
    """A source made of another one's videos: as many, as long, as fast."""

    source: VideoSource

    def ids(self) -> list[str]:
        return self.source.ids()

    def num_frames(self, id: str) -> int:
        return self.source.num_frames(id)

    def rate(self, id: str) -> float | None:
        return self.source.rate(id)


@dataclass(eq=False)
class Transformed(_Derived):
    """Another source with `function` applied to every batch of frames it reads.

    `function` maps uint8 (frame, height, width, 3) to the same shape, each frame on its own: a tokenizer's encode and
    decode, say. `name` goes into the protocol. `identity` tells this function from others (a hash of the tokenizer's
    weights); without it, scores of these videos are not stored.
    """

    function: Callable[[Frames], Frames]
    name: str = "transformed"
    identity: str | None = None

    def read(self, id: str, start: int, stop: int) -> Frames:
        return self.function(self.source.read(id, start, stop))

    def fingerprint(self, id: str) -> str | None:
        return hash_of(self.identity, self.source.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {"kind": self.name, "identity": self.identity, "of": self.source.describe()}


@dataclass(eq=False)
class ShuffledFrames(_Derived):
    """Every video of `source` with its frames [keep, stop) in random order; `stop` None: to the end.

    Each of them comes exactly once. The order depends on `seed`, the video's id and how many they are. One video is held
    in memory. Frames before `keep` (the context) stay where they are, and those from `stop` on are left out.
    """

    _: KW_ONLY
    seed: int = 0
    keep: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        for name, value in {"seed": self.seed, "keep": self.keep, "stop": self.stop}.items():
            check_number(0 if value is None else value, name, 0, whole=True, error=EvaluationError)
        self._held: tuple[str, Frames] | None = None

    def num_frames(self, id: str) -> int:
        count = self.source.num_frames(id)
        return count if self.stop is None else min(count, self.stop)

    def read(self, id: str, start: int, stop: int) -> Frames:
        count = self.num_frames(id)
        check_range(id, start, stop, count)
        if self._held is None or self._held[0] != id:
            pieces = [self.source.read(id, first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
            video = np.concatenate(pieces)
            order = np.random.default_rng([self.seed, zlib.crc32(id.encode())]).permutation(count - self.keep)
            self._held = (id, np.concatenate((video[: self.keep], video[self.keep :][order])))
        return self._held[1][start:stop]

    def fingerprint(self, id: str) -> str | None:
        return hash_of("shuffled", self.seed, self.keep, self.num_frames(id), id, self.source.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {"kind": "frames in random order", "seed": self.seed, "of": self.source.describe()}


@dataclass(eq=False)
class OtherVideos(_Derived):
    """Frame t of every video is frame t of some other video of `source`, drawn anew for every frame.

    The draw depends on `seed`, the video's id and t alone, not on how the frames are read. Only videos that reach frame t
    are drawn. Frames before `keep` (the context) are the video's own. Raises EvaluationError for fewer than two videos.
    """

    _: KW_ONLY
    seed: int = 0
    keep: int = 0

    def __post_init__(self) -> None:
        self._lengths = {id: self.source.num_frames(id) for id in self.source.ids()}
        if len(self._lengths) < 2:
            raise EvaluationError(f"frames of other videos need at least 2 videos; there are {len(self._lengths)}")
        check_number(self.seed, "seed", 0, whole=True, error=EvaluationError)
        check_number(self.keep, "keep", 0, whole=True, error=EvaluationError)

    def read(self, id: str, start: int, stop: int) -> Frames:
        owners = ((id if t < self.keep else self._draw(id, t), t) for t in range(start, stop))
        return np.concatenate([self.source.read(owner, t, t + 1) for owner, t in owners])

    def fingerprint(self, id: str) -> str | None:
        return hash_of("others", self.seed, 1, self.keep, id, self._others)

    def describe(self) -> dict[str, Any]:
        return {"kind": "frames of other videos", "seed": self.seed, "of": self.source.describe()}

    @functools.cached_property
    def _others(self) -> str | None:
        return hash_of(*(self.source.fingerprint(other) for other in self.ids()))

    def _draw(self, id: str, t: int) -> str:
        others = [other for other, length in self._lengths.items() if other != id and length > t]
        if not others:
            raise EvaluationError(f"no other video reaches frame {t} of {id!r}")
        generator = np.random.default_rng([self.seed, zlib.crc32(id.encode()), t])
        return others[int(generator.integers(len(others)))]


@dataclass(eq=False)
class AfterContext(_Derived):
    """Videos that hold generated frames only, behind the `context` frames of `reference` that they go on from."""

    reference: VideoSource
    context: int

    def __post_init__(self) -> None:
        check_number(self.context, "context", 0, whole=True, error=EvaluationError)

    def num_frames(self, id: str) -> int:
        return self.context + self.source.num_frames(id)

    def read(self, id: str, start: int, stop: int) -> Frames:
        check_range(id, start, stop, self.num_frames(id))
        edge, parts = self.context, []
        if start < edge:
            parts.append(self.reference.read(id, start, min(stop, edge)))
        if stop > edge:
            parts.append(self.source.read(id, max(start - edge, 0), stop - edge))
        return np.concatenate(parts)

    def fingerprint(self, id: str) -> str | None:
        return hash_of("after", self.context, self.source.fingerprint(id), self.reference.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {**self.source.describe(), "holds_context": False}
