"""What an import of videos may be asked for."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..container import LARGEST_SIDE
from ..errors import DatasetError
from ..index_file import HIGHEST_FPS, LOWEST_FPS
from .table_files import as_text

Errors = Literal["raise", "skip"]
Fit = Literal["crop", "pad", "stretch"]
MOST_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How `import_videos` makes a dataset of a folder.

    size: (height, width) to make all frames; may be left out if all have one size already. fit: "crop" covers the size and
    cuts off what is beyond it, "pad" puts the whole picture on black, "stretch" distorts it. fps: frames per second; by
    default the rate of the first video (1 for images). Videos of another rate, or of an uneven one, are shown at this one:
    at each tick the last frame that has come. frames: cut videos into pieces of so many frames. 0 for whole videos; then
    the longest of them, resized, has to fit into memory, 3 x height x width bytes per frame.

    action_columns, pose_columns: which columns of the tables to take, in this order, or none; by default ``action``,
    ``action_*`` or ``action.*``, and x, y, z, yaw, pitch, or ``pose_*`` or ``pose.*``. columns: names of the columns of
    tables without names (plain NPY, CSV without a header). action_names: names of actions that are whole numbers; or which
    words there are, in this order. time_tolerance: how far the nearest row may be from a frame, in seconds, where tables
    have times, which may begin before and end after the video by twice that; None for 0.1, or a frame's length where that
    is more.

    test_fraction: share of the videos in the split ``test``, where folders are no splits; but for 0 and 1, no split of two
    or more videos is empty. errors: whether a video that cannot be imported ends the import ("raise") or is left out and
    listed ("skip"). lossless: store frames without loss (about five times the size). Raises DatasetError where a setting is
    out of range.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    fps: float | None = None
    frames: int = 0
    action_columns: tuple[str, ...] | None = None
    pose_columns: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    time_tolerance: float | None = None
    test_fraction: float = 0.01
    errors: Errors = "skip"
    lossless: bool = False

    @property
    def fit_to_size(self) -> Fit | None:
        """How frames become the size; None where none was asked for, and other sizes are refused."""
        return self.fit if self.size else None

    def __post_init__(self) -> None:
        size, fps, tolerance = self.size, self.fps, self.time_tolerance
        names = {name: getattr(self, name) for name in ("action_columns", "pose_columns", "columns", "action_names")}
        for name, given in names.items():
            if given is not None:
                object.__setattr__(self, name, tuple(as_text(one) for one in given))
        checks = {
            "size": (
                size is None or (len(size) == 2 and 1 <= min(size) <= max(size) <= LARGEST_SIDE),
                f"(height, width) of 1 to {LARGEST_SIDE} pixels are expected",
            ),
            "fit": (self.fit in get_args(Fit), "'crop', 'pad' or 'stretch' is expected"),
            "fps": (
                fps is None or LOWEST_FPS <= fps <= HIGHEST_FPS,
                f"a number from {LOWEST_FPS} to {HIGHEST_FPS} is expected",
            ),
            "frames": (self.frames == 0 or self.frames > 1, "0 for whole videos, or 2 or more per piece are expected"),
            "time_tolerance": (
                tolerance is None or 0 <= tolerance <= MOST_SECONDS,
                f"seconds from 0 to {MOST_SECONDS} are expected",
            ),
            **{
                name: (given is None or len({*getattr(self, name)}) == len(given), "each name once is expected")
                for name, given in names.items()
            },
            "test_fraction": (0 <= self.test_fraction <= 1, "a number from 0 to 1 is expected"),
            "errors": (self.errors in get_args(Errors), "'raise' or 'skip' is expected"),
        }
        for name, (fits, expected) in checks.items():
            if not fits:
                raise DatasetError(f"{name} is {getattr(self, name)!r}; {expected}")
