"""The two bounds of an evaluation, as sources of videos that are evaluated like any run.

Upper bound: the truth through the tokenizer and back (`Transformed`). A video model that works in this latent space
cannot be expected to do better. Lower bound: frames of other videos (`ShuffledFrames`, applied to the upper bound's
videos). A model below it would do better to show any frame of the right world.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import EvaluationError
from .videos import Frames, VideoSource


class Transformed:
    """Another source with `function` applied to every batch of frames it reads.

    `function` maps uint8 (frame, height, width, 3) to the same shape, each frame on its own: a tokenizer's encode and
    decode, say. `name` goes into the protocol.
    """

    def __init__(self, source: VideoSource, function: Callable[[Frames], Frames], name: str = "transformed") -> None:
        self._source, self._function, self._name = source, function, name

    @property
    def fps(self) -> float:
        return self._source.fps

    def ids(self) -> list[str]:
        return self._source.ids()

    def num_frames(self, id: str) -> int:
        return self._source.num_frames(id)

    def read(self, id: str, start: int, stop: int) -> Frames:
        return self._function(self._source.read(id, start, stop))

    def describe(self) -> dict[str, Any]:
        return {"kind": self._name}


class ShuffledFrames:
    """Frame t of every video is frame t of some other video of `source`, drawn anew for every frame.

    The draw depends on `seed`, the video's id and t alone, not on how the frames are read. `block` keeps a draw for
    that many consecutive frames, which reads faster and has the same expectation. Only videos that reach frame t are
    drawn. Frames before `keep` (the context) are the video's own. Raises EvaluationError for fewer than two videos.
    """

    def __init__(self, source: VideoSource, *, seed: int = 0, block: int = 1, keep: int = 0) -> None:
        if len(source.ids()) < 2:
            raise EvaluationError(f"frames of other videos need at least 2 videos; there are {len(source.ids())}")
        if block < 1:
            raise EvaluationError(f"block must be at least 1 frame; got {block}")
        self._source, self._seed, self._block, self._keep = source, seed, block, keep
        self._lengths = {id: source.num_frames(id) for id in source.ids()}

    @property
    def fps(self) -> float:
        return self._source.fps

    def ids(self) -> list[str]:
        return self._source.ids()

    def num_frames(self, id: str) -> int:
        return self._source.num_frames(id)

    def read(self, id: str, start: int, stop: int) -> Frames:
        parts, first = [], start
        while first < stop:
            if first < self._keep:
                last = min(stop, self._keep)
                parts.append(self._source.read(id, first, last))
            else:
                last = min(stop, first - first % self._block + self._block)
                parts.append(self._source.read(self._draw(id, first // self._block), first, last))
            first = last
        return np.concatenate(parts)

    def describe(self) -> dict[str, Any]:
        return {"kind": "frames of other videos", "seed": self._seed, "block": self._block}

    def _draw(self, id: str, block: int) -> str:
        # By the whole block, so that a read of part of it draws the same video.
        end = min((block + 1) * self._block, self._lengths[id])
        others = [other for other, length in self._lengths.items() if other != id and length >= end]
        if not others:
            raise EvaluationError(f"no other video reaches frame {end - 1} of {id!r}")
        generator = np.random.default_rng([self._seed, zlib.crc32(id.encode()), block])
        return others[int(generator.integers(len(others)))]
