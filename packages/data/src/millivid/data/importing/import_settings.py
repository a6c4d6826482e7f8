"""What an import of videos may be asked for."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from millivid.files.values import check_fields

from ..container import LARGEST_SIDE
from ..errors import DatasetError
from ..index_file import HIGHEST_FPS, LOWEST_FPS, check_names
from .table_files import as_text

Errors = Literal["raise", "skip"]
Fit = Literal["crop", "pad", "stretch"]
Side = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]


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

    size: tuple[Side, Side] | None = None
    fit: Fit = "crop"
    fps: Annotated[float, Meta(ge=LOWEST_FPS, le=HIGHEST_FPS)] | None = None
    frames: Annotated[int, Meta(ge=0)] = 0
    action_columns: tuple[str, ...] | None = None
    pose_columns: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    time_tolerance: Annotated[float, Meta(ge=0, le=3600)] | None = None
    test_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.01
    errors: Errors = "skip"
    lossless: bool = False

    @property
    def fit_to_size(self) -> Fit | None:
        """How frames become the size; None where none was asked for, and other sizes are refused."""
        return self.fit if self.size else None

    def __post_init__(self) -> None:
        for name in ("action_columns", "pose_columns", "columns", "action_names"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, str):
                check_names(given, name)
                object.__setattr__(self, name, tuple(map(as_text, given)))
        check_fields(self, DatasetError)
        if self.frames == 1:
            raise DatasetError("frames is 1; 0 for whole videos, or 2 or more per piece are expected")
