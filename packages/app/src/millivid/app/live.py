"""A walk through a remembered world: one action after the other, back to any moment that is kept, and saved as a clip."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from millivid.app.poses import Pose, given_poses, next_pose
from millivid.data import Clip, ClipWriter
from millivid.data.clip import POSE_NAMES
from millivid.diffusion import LiveLatents
from millivid.files.values import check_number
from millivid.rollout import PlannedStep, Role, cuts
from millivid.tokenizer import HierarchicalTokenizer

Action = int | Sequence[float] | Tensor
SNAPSHOT_EVERY = 16
"""Frames between two moments from which the walk can be written again, at least."""


class Cell(IntEnum):
    """What a level of a frame is to the chunk that is being written.

    FORGOTTEN: no step reads it any more. REMEMBERED: some step reads it, or may in a later chunk. CONTEXT, TARGET: the newest
    step has read it, or written it. PLANNED: written, and not shown yet. EMPTY: not written yet.
    """

    FORGOTTEN, REMEMBERED, CONTEXT, TARGET, PLANNED, EMPTY = range(6)


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryView:
    """The memory at a moment: a `Cell` for every level, finest first, of the video's frames from `first` on."""

    first: int
    cells: NDArray[np.int8]


@dataclass(eq=False)
class _Ready:
    """A frame that is final and not shown: what it was written with, and whether it is the last of its window."""

    number: int
    latents: Tensor
    action: Tensor
    ends_window: bool
    frame: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Press:
    """An action that was pressed when so many frames were shown, and the first frame that answers it."""

    shown: int
    first: int
    action: Tensor


class LiveSession:
    """A walk that goes on as its actions come. Written again, by `replay` or after `rewind`, it is the same bit for bit.

    So are walks of equal seeds and steps. Where `work` runs ahead, an action that is pressed just before the end of a chunk may
    be answered some frames later, at that end.

    Made by `VideoPipeline.live`. Frames are counted from the first of the context. One thread may show frames, by `next`, while
    another one computes, by everything else.

    shown: how many frames were shown, the context's included. held: the action that is held, None before the first.
    """

    def __init__(
        self,
        latents: LiveLatents,
        tokenizer: HierarchicalTokenizer,
        frames: Float[Tensor, "frame 3 h w"],
        actions: Int[Tensor, " frame"] | Float[Tensor, "frame action"],
        poses: Float[Tensor, "frame 5"] | None,
        *,
        keep: int,
        odometry: Sequence[tuple[float, float]] | None,
        autocast: Callable[[], AbstractContextManager[object]],
        source: Mapping[str, Any],
        action_names: Sequence[str],
    ) -> None:
        least = max(len(frames), latents.plan.chunk.target_start) + latents.plan.chunk.num_kept_frames
        check_number(keep, "keep", least, whole=True, hint=", the context and a chunk")
        self._latents, self._tokenizer, self._autocast = latents, tokenizer, autocast
        self._odometry, self._source, self._names = odometry, dict(source), tuple(action_names)
        self.shown = self._start = len(frames)
        self._frames = deque(map(_as_bytes, frames), maxlen=keep)
        self._actions = deque(actions.cpu().unbind(0), maxlen=keep)
        self._poses = deque(given_poses(actions, poses, odometry), maxlen=keep)
        self._ready = deque[_Ready]()
        self._presses: list[_Press] = []
        self._states: list[tuple[int, dict[str, Tensor]]] = []
        self._newest: PlannedStep | None = None
        self._lock = Lock()
        ends = cuts(latents.plan.chunk)
        self._lead = 2 * (ends[-1].frames - (ends[-2].frames if len(ends) > 1 else 0))
        """So many frames before its end, a chunk is completed and the next one begun."""
        self._remember()

    @property
    def held(self) -> Tensor | None:
        """The action that is held; None before the first."""
        return self._presses[-1].action if self._presses else None

    @property
    def answers_from(self) -> int:
        """The first frame that is written with the held action."""
        return self._presses[-1].first if self._presses else self.shown

    @property
    def answered(self) -> bool:
        """Whether a frame with the held action was shown, or none is held."""
        return not self._presses or self.shown > self._presses[-1].first

    @property
    def answer_written(self) -> bool:
        """Whether the first frame with the held action is written."""
        return self.finished > self.answers_from

    @property
    def finished(self) -> int:
        """The first frame that is not final."""
        return self._latents.plan.finished

    @property
    def oldest(self) -> int:
        """The first frame that is still at hand."""
        return self.shown - len(self._frames)

    @property
    def earliest(self) -> int:
        """The first frame that `rewind` can go back to."""
        return max(self.oldest, self._states[0][0])

    def frame(self, number: int) -> NDArray[np.uint8]:
        """A frame that was shown, [h, w, 3]. Raises ValueError where it is not at hand."""
        return self._frames[self._place(number)]

    def action(self, number: int) -> Tensor:
        """The action that a shown frame was written with. Raises ValueError where it is not at hand."""
        return self._actions[self._place(number)]

    def pose(self, number: int) -> Pose:
        """The camera at a frame that was shown: x, y (up), z, yaw and pitch, by the model's odometry.

        After the context these follow from the actions, as if nothing were in the way. Raises ValueError where the frame is
        not at hand.
        """
        return self._poses[self._place(number)]

    def _place(self, number: int) -> int:
        check_number(number, "frame", self.oldest, self.shown - 1, whole=True, hint=", those at hand")
        return number - self.oldest

    def press(self, action: Action, *, every: int | None = None) -> None:
        """Hold another action from the next frame on; nothing that was shown changes.

        action: a category, or a vector. every: let the action before last for a multiple of so many frames, and at least once,
        writing what is missing; so none is lost, however quickly another one follows. Raises ValueError for an action that the
        model does not know.
        """
        pressed = self._latents.known(torch.as_tensor(action))
        if self.held is not None and torch.equal(self.held, pressed):
            return
        seen = self.shown
        if every is not None and self._presses:
            seen = self.answers_from + every * max(1, math.ceil((self.shown - self.answers_from) / every))
            self._write_until(seen)
        with self._lock:
            self._change(self.shown, max(self.shown, seen), pressed)

    def _change(self, shown: int, seen: int, action: Tensor) -> None:
        """Take up an action that was pressed after `shown` frames; what lies behind frames before `seen` is given up."""
        first = self._latents.change(seen)
        self._presses.append(_Press(shown, first, action))
        self._ready = deque(ready for ready in self._ready if ready.number < first)
        self._states = [(frame, state) for frame, state in self._states if frame <= first]
        self._newest = None

    def work(self) -> bool:
        """Run one step of the rollout ahead of what is shown, as if the held action stayed; False where none is to be run.

        That is where no action is held, and where the future is written as far as the schedule looks ahead.
        """
        plan = self._latents.plan
        # Of this chunk, if the step is its last one: what is complete is not given up any more.
        ends_at = plan.ran().first
        boundary = ends_at if ends_at > plan.first else plan.first if plan.done == 0 else 0
        if self.held is None or self.shown + self._lead < boundary:
            return False
        self._run()
        return True

    def _run(self) -> None:
        """Run the next step, as if the held action stayed."""
        plan, action = self._latents.plan, self.held
        assert action is not None
        if plan.done == 0:
            self._remember()
        self._newest = plan.next_step
        with self._autocast():
            made = self._latents.run(action.unsqueeze(0))[0].unbind(0)
        self._ready.extend(
            _Ready(plan.finished + number, latents, action, number == len(made) - 1)
            for number, latents in enumerate(made)
        )

    def decode(self, ahead: int = 1) -> bool:
        """Decode one of the next `ahead` frames, so that `next` has it at hand; False where no such frame is written."""
        for ready in tuple(self._ready)[:ahead]:
            if ready.frame is None:
                ready.frame = self._decode(ready.latents, 0)
                return True
        return False

    @property
    def at_hand(self) -> bool:
        """Whether `next` has nothing to compute."""
        return bool(self._ready) and self._ready[0].frame is not None

    @property
    def next_stays(self) -> bool:
        """Whether the next frame stays what it is, whatever is pressed now."""
        return bool(self._ready) and self._ready[0].number < self._latents.plan.change(self.shown).first

    def next(self) -> Float[Tensor, "3 h w"]:
        """The next frame, in [0, 1], written now if it was not written ahead. Raises ValueError where no action is held."""
        return self._show()[0]

    def step(self, action: Action) -> Float[Tensor, "some 3 h w"]:
        """The next frames with an action held: as many as the finest level writes at once, or what is left of those."""
        self.press(action)
        frames, ended = [], False
        while not ended:
            frame, ended = self._show()
            frames.append(frame)
        return torch.stack(frames)

    def _show(self) -> tuple[Tensor, bool]:
        if not self._ready and self.held is None:
            raise ValueError("no action is held yet; press one, or step with one")
        self._write_until(self.shown + 1)
        with self._lock:
            ready = self._ready.popleft()
            frame = self._decode(ready.latents, 0) if ready.frame is None else ready.frame
            self._frames.append(_as_bytes(frame))
            self._actions.append(ready.action)
            self._poses.append(next_pose(self._poses[-1], ready.action, self._odometry))
            self.shown += 1
            while len(self._states) > 1 and self._states[1][0] <= self.oldest:
                del self._states[0]
            while len(self._presses) > 1 and self._presses[1].first <= self._states[0][0]:
                del self._presses[0]
        return frame, ready.ends_window

    def rewind(self, frame: int) -> None:
        """Go back to where a frame is the next to be shown; what came after is forgotten, and the walk may branch off.

        Raises ValueError for a frame that is not at hand any more, or not yet.
        """
        check_number(frame, "frame", self.earliest, self.shown, whole=True, hint=", those to go back to")
        presses = [press for press in self._presses if press.shown < frame]
        self._states = [(first, state) for first, state in self._states if first <= frame]
        first, state = self._states[-1]
        self._latents.resume(state)
        self._ready.clear()
        for _ in range(self.shown - frame):
            for kept in (self._frames, self._actions, self._poses):
                kept.pop()
        self.shown, self._newest = frame, None
        self._presses = [press for press in presses if press.first <= first]
        for press in presses[len(self._presses) :]:
            self._press_again(press)
        self._write_until(frame)
        self._ready = deque(ready for ready in self._ready if ready.number >= frame)

    def _press_again(self, press: _Press) -> None:
        self._write_until(press.first)
        self._change(press.shown, press.first, press.action)

    def _write_until(self, frame: int) -> None:
        while self.finished < frame:
            self._run()

    def replay(self) -> Iterator[Float[Tensor, "3 h w"]]:
        """Go back as far as possible and write every frame again under the same actions; ends where it began."""
        presses, end = list(self._presses), self.shown
        self.rewind(self.earliest)
        upcoming = deque(press for press in presses if press.shown >= self.shown)
        while self.shown < end or upcoming:
            while upcoming and upcoming[0].shown == self.shown:
                self._press_again(upcoming.popleft())
            if self.shown < end:
                yield self.next()

    def memory(self) -> MemoryView:
        """What the model still knows of which frame, and what it is writing, at this moment."""
        plan, start = self._latents.plan, self._latents.plan.chunk.target_start
        first, steps = plan.first - start, plan.chunk.steps
        read = np.any([step.roles == Role.CONTEXT for step in steps], axis=0)
        written = np.any([step.roles == Role.TARGET for step in steps[: plan.done]] or [np.zeros_like(read)], axis=0)
        shown = np.arange(read.shape[1]) < self.shown - first
        cells = np.full(read.shape, Cell.EMPTY, np.int8)
        cells[:, :start] = np.where(read[:, :start], Cell.REMEMBERED, Cell.FORGOTTEN)
        cells[:, start:][written[:, start:]] = Cell.PLANNED
        cells[(cells == Cell.PLANNED) & shown] = Cell.REMEMBERED
        if (newest := self._newest) is not None and newest.chunk_start == first:
            cells[newest.step.roles == Role.CONTEXT] = Cell.CONTEXT
            cells[newest.step.roles == Role.TARGET] = Cell.TARGET
        return MemoryView(first=first, cells=cells)

    def thumbnail(self, level: int, frame: int) -> NDArray[np.uint8] | None:
        """What a level alone knows of a frame, decoded, [h, w, 3]; None where nothing is in reach of the model."""
        latents = self._latents.latents(level, frame)
        return None if latents is None else _as_bytes(self._decode(latents[0], level))

    @torch.no_grad()
    def _decode(self, latents: Tensor, level: int) -> Tensor:
        with self._autocast():
            decoded = self._tokenizer.decode((latents,) * (level + 1), level).float().clamp(0, 1)
        if not decoded.isfinite().all():
            raise ValueError("the tokenizer gives no finite numbers; give one that is not damaged")
        return decoded

    def _remember(self) -> None:
        first = self._latents.plan.first
        if not self._states or first >= self._states[-1][0] + SNAPSHOT_EVERY:
            self._states.append((first, {name: value.clone() for name, value in self._latents.state().items()}))

    def save(self, folder: str | Path, fps: float = 20, video: str = "walk") -> Path:
        """Write the frames at hand, with their actions and poses, as a clip dataset of one video; returns its folder.

        Raises DatasetError where the folder holds something else.
        """
        with self._lock:
            frames, actions, poses = list(self._frames), list(self._actions), list(self._poses)
            oldest, pressed = self.oldest, list(self._presses)
        clip = Clip(
            frames=np.stack(frames),
            actions=torch.stack(actions).numpy(),
            poses=np.array(poses, np.float32).reshape(len(frames), -1),
        )
        presses = [[press.shown - oldest, press.action.tolist()] for press in pressed if press.shown >= oldest]
        context = max(1, self._start - oldest)
        writer = ClipWriter(
            folder,
            fps=fps,
            size=clip.frames.shape[1:3],
            action_names=self._names,
            action_type="continuous" if clip.actions.ndim == 2 else "categorical",
            pose_names=POSE_NAMES if self._odometry else (),
            lossless=True,
            source=self._source | {"context": context, "frames": len(clip) - context, "presses": presses},
        )
        writer.write(video, clip)
        writer.finish({"test": [video]})
        return Path(folder)


def _as_bytes(frame: Float[Tensor, "3 h w"]) -> NDArray[np.uint8]:
    return (frame * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
