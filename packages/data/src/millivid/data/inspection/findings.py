"""What an inspection finds: plain numbers and flags, and the few frames and paths that its page shows."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..clips import ClipIndex

Severity = Literal["problem", "remark"]
Row = dict[str, Any]
"""Named numbers as `inspection.json` has them; `docs/formats.md` says what each of them is."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something to look at before training."""

    kind: str  # one word per kind of defect, such as "stuck" or "black"
    severity: Severity  # a problem spoils training or its evaluation; a remark may be meant to be so
    videos: tuple[str, ...] = ()  # the ids of all such videos; empty where it concerns the dataset
    sentence: str  # what was found, why it matters, what to do


@dataclass(frozen=True, kw_only=True)
class Travel:
    """How the camera moves.

    A frame comes back to a *place* if an earlier frame, at least ``gap`` frames before, lies within ``radius`` of it, and
    the camera was farther away in between. It comes back to a *view* if the same is true of frames that also look in its
    direction, to ``angle`` degrees.
    """

    plane: tuple[str, str]  # the two pose columns that a map shows, to the right and downward
    step: float  # median distance per frame, over frames in which the camera moves; 0 if it never does
    turn: float  # median change of yaw per frame, over frames in which it changes, in degrees; 0 if it never does
    radius: float
    gap: int
    angle: float
    moving: float = 0.0  # share of all frames in which the camera moves
    turning_up: float | None = None  # share of all frames in which yaw grows; None without yaw
    turning_down: float | None = None  # share of all frames in which yaw falls


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a page shows of one video."""

    video: Row
    flags: tuple[str, ...]  # kinds of its flags
    moments: tuple[int, ...]  # indices of the frames
    frames: NDArray[np.uint8]  # the frames, made small: [moment, height, width, 3]
    path: NDArray[np.float32] | None  # [frame, 2], right and down on the map, all finite; None without poses
    back: NDArray[np.int64] | None  # [frame]: 1 where the path comes back to a place, 2 where to a view, else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """All that was found in a clip dataset."""

    folder: Path
    index: ClipIndex
    bytes: int  # of all videos and tables
    splits: tuple[Row, ...]
    lengths: Row | None  # frames per video; None without videos
    actions: tuple[Row, ...]  # one per name; empty unless actions are categorical
    components: tuple[Row, ...]  # one per component; empty unless actions are continuous
    travel: Travel | None  # None where the poses have no place
    pixels: Row | None  # of sampled frames of evenly chosen videos; None where no frame could be read
    videos: tuple[Row, ...]  # what was not measured is missing
    sampled: tuple[str, ...]  # videos whose frames were decoded and whose returns were measured
    duplicates: tuple[tuple[str, ...], ...]  # groups of videos with equal files
    near_duplicates: tuple[tuple[str, ...], ...]  # groups with equal actions that look nearly the same
    flags: tuple[Flag, ...] = ()
    shown: tuple[Shown, ...] = ()  # evenly chosen videos
    flagged_shown: tuple[Shown, ...] = ()  # some videos that have flags
    paths: tuple[NDArray[np.float32], ...] = ()  # of sampled videos, thinned: [point, 2] from their own start

    @property
    def name(self) -> str:
        """The name of the dataset's folder."""
        return self.folder.resolve().name

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(self.index.frames.values())

    @property
    def hours(self) -> float:
        """How long all videos take to watch."""
        return self.frames / self.index.fps / 3600


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Everything but the pictures, as JSON values; numbers that are not finite become None."""
    found = dataclasses.asdict(dataclasses.replace(inspection, shown=(), flagged_shown=(), paths=()))
    index, videos, folder = found.pop("index"), found.pop("videos"), str(found.pop("folder"))
    del found["shown"], found["flagged_shown"], found["paths"]
    keys = ("fps", "size", "lossless", "action_type", "action_names", "pose_names", "source")
    head = {"format": "millivid-inspection", "version": 1, "name": inspection.name, "folder": folder}
    value = {**head, **{key: index[key] for key in keys}, **found, "videos": videos}
    plain: dict[str, Any] = json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
    return plain
