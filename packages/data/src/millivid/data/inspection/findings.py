"""What an inspection finds: plain numbers, and the few pictures and paths that its page shows."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..clip import ActionType

FORMAT = "millivid-inspection"
VERSION = 1
NO_SPLIT = "(no split)"
"""Stands for the split of videos that are in none."""

Severity = Literal["problem", "remark"]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something to look at before training.

    Attributes:
        kind: one word per kind of defect, such as ``stuck`` or ``black``.
        severity: a ``problem`` spoils training or its evaluation; a ``remark`` may be meant to be so.
        videos: all ids that it is about; empty where it is about the dataset.
        sentence: what was found, why it matters, what to do.
    """

    kind: str
    severity: Severity
    videos: tuple[str, ...] = ()
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many values lie between each two neighbouring edges; there is one edge more than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class VideoNumbers:
    """One video. What was not measured (no poses, not sampled, unreadable) is None.

    Attributes:
        id, split, frames: as in the index.
        bytes: of the video and its table on disk.
        error: why it could not be read.
        distance: way of the camera seen from above, in the poses' unit.
        turned: sum of the absolute changes of yaw, in degrees.
        moving, turning: share of the frames in which the camera moves, and in which its yaw changes.
        stuck: share of the frames in stretches of doing what elsewhere moves the camera, while it stays as it is.
        longest_stuck: the longest such stretch, in frames.
        jumps: frames in which the camera is suddenly elsewhere.
        nan_poses: frames with a pose that is not finite.
        places, views: share of the frames that come back to a place, and to a view; see `Travel`.
        sampled_frames, sampled_pairs: frames that were looked at, and pairs of neighbours among them.
        brightness: mean of the sampled frames, 0 to 255.
        difference: mean absolute difference of sampled neighbours, 0 to 255.
        black, blank: sampled frames that are black, or of one colour.
        moving_pairs, still_pairs: sampled neighbours that should differ (black and blank ones aside), and those that
            do not.
    """

    id: str
    split: str | None
    frames: int
    bytes: int | None = None
    error: str | None = None
    distance: float | None = None
    turned: float | None = None
    moving: float | None = None
    turning: float | None = None
    stuck: float | None = None
    longest_stuck: int | None = None
    jumps: int | None = None
    nan_poses: int | None = None
    places: float | None = None
    views: float | None = None
    sampled_frames: int | None = None
    sampled_pairs: int | None = None
    brightness: float | None = None
    difference: float | None = None
    black: int | None = None
    blank: int | None = None
    moving_pairs: int | None = None
    still_pairs: int | None = None


@dataclass(frozen=True, kw_only=True)
class SplitNumbers:
    """One split: its size, how many of its videos were sampled, and means over its videos, None where unknown."""

    name: str
    videos: int
    frames: int
    hours: float
    sampled: int
    distance: float | None
    turned: float | None
    places: float | None
    views: float | None


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Frames per video; a histogram where they differ."""

    shortest: int
    median: float
    longest: int
    histogram: Histogram | None


@dataclass(frozen=True, kw_only=True)
class ActionNumbers:
    """One name of a categorical action: frames and share of all frames, and frames that it is held for on average."""

    name: str
    frames: int
    share: float
    held: float


@dataclass(frozen=True, kw_only=True)
class ComponentNumbers:
    """One component of continuous actions; the histogram is that of the sampled videos."""

    name: str
    mean: float
    std: float
    low: float
    high: float
    histogram: Histogram


@dataclass(frozen=True, kw_only=True)
class Travel:
    """How the camera moves.

    A frame comes back to a *place* if an earlier frame, at least ``gap`` frames before, lies within ``radius`` of it, and
    the camera was farther away in between. It comes back to a *view* if the same is true of frames that also look in its
    direction, to ``angle`` degrees.

    Attributes:
        plane: the two pose columns that a map shows, to the right and downward.
        step: median way of the camera per frame, over frames in which it moves; 0 if it never does.
        turn: median change of yaw per frame, over frames in which it changes, in degrees; 0 if it never does.
        moving: share of all frames in which the camera moves.
        turning_up, turning_down: share of all frames in which yaw grows, and in which it falls; None without yaw.
    """

    plane: tuple[str, str]
    step: float
    turn: float
    radius: float
    gap: int
    angle: float
    moving: float
    turning_up: float | None
    turning_down: float | None


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """The sampled frames of evenly chosen videos: 0 to 255, red, green, blue; shares of frames, and of neighbours."""

    videos: int
    frames: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    brightness: Histogram
    difference: float | None
    differences: Histogram | None
    black: float
    blank: float
    still: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a page shows of one video.

    Attributes:
        id, split: of the video.
        moments: indices of the frames shown.
        frames: those frames, made small: uint8 [moment, height, width, 3].
        path: float32 [frame, 2], right and down on the map, all of it finite; None without poses.
        back: int64 [frame]: 1 where the path comes back to a place, 2 where to a view, else 0.
        flags: kinds of the flags about it.
    """

    id: str
    split: str | None
    moments: tuple[int, ...]
    frames: NDArray[np.uint8]
    path: NDArray[np.float32] | None
    back: NDArray[np.int64] | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """All that was found in a clip dataset.

    Attributes:
        name, folder: of the dataset.
        fps ... source: as in its index.
        bytes: of all videos and tables, in bytes.
        sampled: ids of the videos whose frames were looked at and whose returns were measured.
        actions: one entry per name; empty unless actions are categorical.
        components: one entry per component; empty unless actions are continuous.
        travel: None where the poses have no place.
        pixels: None where no frame could be read.
        duplicates, near_duplicates: groups of videos with equal files, and of ones that do the same and look nearly so.
        shown, flagged_shown: what the page shows of evenly chosen videos, and of some that have flags.
        paths: of the sampled videos, thinned, for the map of all of them; each float32 [point, 2] from its own start.
    """

    name: str
    folder: str
    fps: float
    size: tuple[int, int]
    lossless: bool
    action_type: ActionType
    action_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    source: Mapping[str, Any]
    bytes: int
    splits: tuple[SplitNumbers, ...]
    lengths: Lengths | None
    actions: tuple[ActionNumbers, ...]
    components: tuple[ComponentNumbers, ...]
    travel: Travel | None
    pixels: Pixels | None
    videos: tuple[VideoNumbers, ...]
    sampled: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...] = ()
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    flags: tuple[Flag, ...] = ()
    shown: tuple[Shown, ...] = ()
    flagged_shown: tuple[Shown, ...] = ()
    paths: tuple[NDArray[np.float32], ...] = ()

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(video.frames for video in self.videos)

    @property
    def hours(self) -> float:
        """How long all videos take to watch."""
        return self.frames / self.fps / 3600


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Everything but the pictures, as JSON values; numbers that are not finite become None."""
    hidden = {"shown", "flagged_shown", "paths", "videos"}
    fields = {f.name: getattr(inspection, f.name) for f in dataclasses.fields(inspection) if f.name not in hidden}
    videos = [
        {key: value for key, value in vars(video).items() if value is not None or key == "split"}
        for video in inspection.videos
    ]
    return {"format": FORMAT, "version": VERSION, **_plain(fields), "videos": _plain(videos)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
