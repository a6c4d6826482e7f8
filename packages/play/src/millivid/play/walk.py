"""One person's walk: what computes it, ahead of what is shown, and what is told about it."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from millivid.app.live import LiveSession
from millivid.app.pipeline import VideoPipeline
from millivid.data import write_video
from millivid.play.beginning import Beginning

DECODED_AHEAD = 4
"""Frames that are decoded before they are shown, which takes less time than a step of the rollout."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is shown at once: an image of each mind, then of the truth if asked for; the control that they answer."""

    number: int
    stamp: float
    images: tuple[NDArray[np.uint8], ...]


@dataclass(kw_only=True)
class _Wish:
    """What the person wants that the computing thread has not done yet."""

    action: int | None = None
    stamp: float = 0.0
    rewind: int | None = None


class Walk:
    """A walk of one or several minds, which are shown the same keys, with the world itself beside them where it is known.

    `compute` is called by one thread, over and over; everything else by another one. minds: pipelines by name, the first of
    them the one that is walked. keep: how many frames one can go back.
    """

    def __init__(
        self, minds: Mapping[str, VideoPipeline], beginning: Beginning, seed: int, keep: int, sampler: Mapping[str, Any]
    ) -> None:
        frames = torch.from_numpy(beginning.frames).permute(0, 3, 1, 2).float() / 255
        poses = None if beginning.poses is None else torch.from_numpy(beginning.poses)
        actions = torch.from_numpy(beginning.actions)
        self.minds = {
            name: pipeline.live(frames, actions, poses, seed=seed, keep=keep, **sampler)
            for name, pipeline in minds.items()
        }
        self.truth = beginning.truth(keep)
        self.names = next(iter(minds.values())).info.action_names
        self._every = beginning.frames_per_action
        self.with_truth = False
        self._wish, self._lock, self._stamps = _Wish(), Lock(), deque[tuple[int, float]](maxlen=64)
        self.held: int | None = None
        self._owed = self._going_back = False
        self.turns = 0
        """How often it went back."""
        self.error: str | None = None
        """Why it cannot go on."""
        self.errors = deque[float](maxlen=64)
        """Of the frames that were shown last, the mean squared error against the truth."""

    @property
    def first(self) -> LiveSession:
        """The mind that is walked."""
        return next(iter(self.minds.values()))

    @property
    def shown(self) -> int:
        """How many frames were shown, the context's included."""
        return self.first.shown

    def press(self, action: int | None, stamp: float) -> None:
        """Hold an action, or none. The one before ends with a whole number of the world's actions; the newest counts."""
        if action is not None and not 0 <= action < len(self.names):
            raise ValueError(f"action {action} is none of {len(self.names)}")
        with self._lock:
            self.held = action
            if action is not None:
                self._wish.action, self._wish.stamp = action, stamp
                self._owed = True

    def rewind(self, frame: int) -> None:
        """Go back to a frame, or as near as is at hand, and stand still."""
        with self._lock:
            self.held, self._wish, self._owed = None, _Wish(rewind=frame), False

    def compute(self) -> bool:
        """Do the next piece of work, some tens of milliseconds; False where there is nothing to do."""
        minds = self.minds.values()
        with self._lock:
            wish, self._wish = self._wish, _Wish()
            self._going_back = wish.rewind is not None
        if wish.rewind is not None:
            self._go_back(wish.rewind)
        with self._lock:
            self._going_back = False
            if wish.action is not None and any(not mind.answered and not mind.answer_written for mind in minds):
                if self._wish == _Wish():  # else there is a newer one
                    self._wish = _Wish(action=wish.action, stamp=wish.stamp)
            elif wish.action is not None:
                changed = self.first.held is None or int(self.first.held) != wish.action
                for mind in minds:
                    mind.press(wish.action, every=self._every)
                if changed:
                    self._stamps.append((self.first.answers_from, wish.stamp))
        slowest_first = sorted(minds, key=lambda mind: mind.finished)
        if any(mind.decode(DECODED_AHEAD) for mind in slowest_first):
            return True
        return any(mind.work() for mind in slowest_first) or wish.rewind is not None

    def _go_back(self, frame: int) -> None:
        earliest = max(mind.earliest for mind in self.minds.values())
        frame = min(max(frame, earliest), self.shown)
        for mind in self.minds.values():
            mind.rewind(frame)
        if self.truth is not None:
            self.truth.rewind(frame)
        self.errors.clear()
        self.turns += 1

    def show(self) -> Shown | None:
        """The next frame, if a key is held and it is at hand."""
        with self._lock:
            waiting = self._wish.rewind is not None or self._wish.action is not None
            at_hand = not self._going_back and all(mind.at_hand for mind in self.minds.values())
            if (self.held is None and not self._owed) or not at_hand:
                return None
            if waiting and not all(mind.next_stays for mind in self.minds.values()):
                return None  # what comes after would be of an old key
            for mind in self.minds.values():
                mind.next()
            self._owed = waiting or (self.shown - self.first.answers_from) % self._every != 0 or not self.first.answered
        number = self.shown - 1
        images = [*self.image(number)]
        if self.truth is not None:
            true = self.truth.step(int(self.first.action(number)))
            self.errors.append(float(np.square(images[0].astype(np.float32) - true).mean()))
            if self.with_truth:
                images.append(true)
        stamp = next((stamp for first, stamp in reversed(self._stamps) if first <= number), 0.0)
        return Shown(number=number, stamp=stamp, images=tuple(images))

    @property
    def psnr(self) -> float | None:
        """Of the last frames against the truth, in dB; None where that is not known."""
        return 10 * math.log10(255**2 / max(float(np.mean(self.errors)), 1e-3)) if self.errors else None

    def image(self, number: int) -> tuple[NDArray[np.uint8], ...]:
        """What was shown at a frame that is at hand, without the truth."""
        return tuple(mind.frame(number) for mind in self.minds.values())

    def place(self) -> tuple[float, float, float]:
        """Where the walk is, x, z and yaw: in the world where it is known, else by the model's odometry."""
        pose = self.truth.pose if self.truth is not None else self.first.pose(self.shown - 1) or (0.0,) * 5
        return float(pose[0]), float(pose[2]), float(pose[3])

    def save(self, folder: Path, fps: float) -> None:
        """Save every mind's walk, and a film of them side by side."""
        for name, mind in self.minds.items():
            mind.save(folder / name, fps)
        self.film(folder / "walk.mp4", fps)

    def film(self, path: Path, fps: float, scale: int = 4) -> None:
        """The frames at hand as an MP4 or a GIF, the minds side by side, each pixel as a square."""
        with self._lock:  # against frames that are shown meanwhile, of which the oldest fall out
            oldest = max(mind.oldest for mind in self.minds.values())
            images = [self.image(number) for number in range(oldest, self.shown)]
        frames = np.stack([np.concatenate(each, axis=1) for each in images])
        large = frames.repeat(scale, axis=1).repeat(scale, axis=2)
        if path.suffix == ".mp4":
            write_video(path, large, fps)
            return
        pictures = [Image.fromarray(frame) for frame in large]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
