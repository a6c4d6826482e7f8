"""The bounds of an evaluation, as sources of videos that are evaluated like any run.

Upper bound: the truth through the tokenizer and back (`Transformed`). A video model that works in this latent space cannot
be expected to do better. Lower bound: the same frames in random order (`ShuffledFrames`): the right place at the wrong time.
Below that: frames of other videos (`OtherVideos`), the right world but the wrong place.
"""

import functools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from millivid.files.values import check_number

from .errors import EvaluationError
from .videos import Frames, VideoSource, check_range, hash_of

BATCH = 64


class _Derived(VideoSource):
    """A source made of another one's videos: as many, as long, as fast."""

    def __init__(self, source: VideoSource) -> None:
        self._source = source

    def ids(self) -> list[str]:
        return self._source.ids()

    def num_frames(self, id: str) -> int:
        return self._source.num_frames(id)

    def rate(self, id: str) -> float | None:
        return self._source.rate(id)


class Transformed(_Derived):
    """Another source with `function` applied to every batch of frames it reads.

    `function` maps uint8 (frame, height, width, 3) to the same shape, each frame on its own: a tokenizer's encode and
    decode, say. `name` goes into the protocol. `identity` tells this function from others (a hash of the tokenizer's
    weights); without it, scores of these videos are not stored.
    """

    def __init__(
        self,
        source: VideoSource,
        function: Callable[[Frames], Frames],
        name: str = "transformed",
        identity: str | None = None,
    ) -> None:
        super().__init__(source)
        self._function, self._name, self._identity = function, name, identity

    def read(self, id: str, start: int, stop: int) -> Frames:
        return self._function(self._source.read(id, start, stop))

    def fingerprint(self, id: str) -> str | None:
        return hash_of(self._identity, self._source.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {"kind": self._name, "identity": self._identity, "of": self._source.describe()}


class ShuffledFrames(_Derived):
    """Every video of `source` with its frames [keep, stop) in random order; `stop` None: to the end.

    Each of them comes exactly once. The order depends on `seed`, the video's id and how many they are. One video is held
    in memory. Frames before `keep` (the context) stay where they are, and those from `stop` on are left out.
    """

    def __init__(self, source: VideoSource, *, seed: int = 0, keep: int = 0, stop: int | None = None) -> None:
        super().__init__(source)
        for name, value in {"seed": seed, "keep": keep, "stop": 0 if stop is None else stop}.items():
            check_number(value, name, 0, whole=True, error=EvaluationError)
        self._seed, self._keep, self._stop = seed, keep, stop
        self._held: tuple[str, Frames] | None = None

    def num_frames(self, id: str) -> int:
        count = self._source.num_frames(id)
        return count if self._stop is None else min(count, self._stop)

    def read(self, id: str, start: int, stop: int) -> Frames:
        count = self.num_frames(id)
        check_range(id, start, stop, count)
        if self._held is None or self._held[0] != id:
            pieces = [self._source.read(id, first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
            video = np.concatenate(pieces)
            order = np.random.default_rng([self._seed, zlib.crc32(id.encode())]).permutation(count - self._keep)
            self._held = (id, np.concatenate((video[: self._keep], video[self._keep :][order])))
        return self._held[1][start:stop]

    def fingerprint(self, id: str) -> str | None:
        return hash_of("shuffled", self._seed, self._keep, self.num_frames(id), id, self._source.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {"kind": "frames in random order", "seed": self._seed, "of": self._source.describe()}


class OtherVideos(_Derived):
    """Frame t of every video is frame t of some other video of `source`, drawn anew for every frame.

    The draw depends on `seed`, the video's id and t alone, not on how the frames are read. Only videos that reach frame t
    are drawn. Frames before `keep` (the context) are the video's own. Raises EvaluationError for fewer than two videos.
    """

    def __init__(self, source: VideoSource, *, seed: int = 0, keep: int = 0) -> None:
        super().__init__(source)
        if len(source.ids()) < 2:
            raise EvaluationError(f"frames of other videos need at least 2 videos; there are {len(source.ids())}")
        for name, value in {"seed": seed, "keep": keep}.items():
            check_number(value, name, 0, whole=True, error=EvaluationError)
        self._seed, self._keep = seed, keep
        self._lengths = {id: source.num_frames(id) for id in source.ids()}

    def read(self, id: str, start: int, stop: int) -> Frames:
        owners = ((id if t < self._keep else self._draw(id, t), t) for t in range(start, stop))
        return np.concatenate([self._source.read(owner, t, t + 1) for owner, t in owners])

    def fingerprint(self, id: str) -> str | None:
        return hash_of("others", self._seed, 1, self._keep, id, self._others)

    def describe(self) -> dict[str, Any]:
        return {"kind": "frames of other videos", "seed": self._seed, "of": self._source.describe()}

    @functools.cached_property
    def _others(self) -> str | None:
        return hash_of(*(self._source.fingerprint(other) for other in self.ids()))

    def _draw(self, id: str, t: int) -> str:
        others = [other for other, length in self._lengths.items() if other != id and length > t]
        if not others:
            raise EvaluationError(f"no other video reaches frame {t} of {id!r}")
        generator = np.random.default_rng([self._seed, zlib.crc32(id.encode()), t])
        return others[int(generator.integers(len(others)))]


class AfterContext(_Derived):
    """Videos that hold generated frames only, behind the `context` frames of `reference` that they go on from."""

    def __init__(self, source: VideoSource, reference: VideoSource, context: int) -> None:
        super().__init__(source)
        check_number(context, "context", 0, whole=True, error=EvaluationError)
        self._reference, self._context = reference, context

    def num_frames(self, id: str) -> int:
        return self._context + self._source.num_frames(id)

    def read(self, id: str, start: int, stop: int) -> Frames:
        check_range(id, start, stop, self.num_frames(id))
        edge, parts = self._context, []
        if start < edge:
            parts.append(self._reference.read(id, start, min(stop, edge)))
        if stop > edge:
            parts.append(self._source.read(id, max(start - edge, 0), stop - edge))
        return np.concatenate(parts)

    def fingerprint(self, id: str) -> str | None:
        return hash_of("after", self._context, self._source.fingerprint(id), self._reference.fingerprint(id))

    def describe(self) -> dict[str, Any]:
        return {**self._source.describe(), "holds_context": False}
