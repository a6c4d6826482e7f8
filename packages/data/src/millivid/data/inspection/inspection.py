"""What an inspection finds, and the functions that make, print and write one; the extra is imported when they are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from millivid.files.atomic import write_json, write_text

from ..clips import ClipDataset, ClipIndex
from ..verification import Progress

if TYPE_CHECKING:
    import pandas as pd

    from .frames import FrameSample
    from .tables import Travel

NO_SPLIT = "(no split)"  # stands for the split of videos that are in none


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something to look at before training."""

    kind: str  # one word per kind of defect, such as "stuck" or "black"
    severity: Literal["problem", "remark"]  # what spoils training or its evaluation; what may be meant to be so
    videos: tuple[str, ...] = ()  # the ids of all such videos; empty where it concerns the dataset
    sentence: str  # what was found, why it matters, what to do


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """All that was found in a clip dataset; `docs/formats.md` says what the numbers are."""

    folder: Path
    index: ClipIndex
    videos: "pd.DataFrame"  # by id; NaN is what was not measured
    splits: "pd.DataFrame"  # by name
    actions: "pd.DataFrame"  # by name, or by component of continuous actions
    travel: "Travel | None"  # None where no poses with a place could be read
    pixels: Mapping[str, Any] | None  # of sampled frames of evenly chosen videos; None where no frame could be read
    sampled: tuple[str, ...]  # videos whose frames were decoded and whose returns were measured
    duplicates: tuple[tuple[str, ...], ...]  # groups of videos with equal files
    near_duplicates: tuple[tuple[str, ...], ...]  # groups with equal actions that look nearly the same
    flags: tuple[Flag, ...] = ()
    # Some videos that have flags and some evenly chosen ones: frames, and the path on a map, whose `back` is 1 where it
    # comes back to a place and 2 where to a view.
    shown: "Mapping[str, tuple[FrameSample, pd.DataFrame | None]]" = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the dataset's folder."""
        return self.folder.resolve().name


def inspect_clips(
    dataset: ClipDataset, *, frames_per_video: int = 8, sample: int = 200, progress: Progress = iter
) -> Inspection:
    """Measure a clip dataset and say what would spoil training.

    The tables of all videos are read. Frames are decoded, and returns of the camera measured, for about ``sample`` videos,
    evenly spread over each split, and for the 20 with the fewest bytes per frame. The same dataset gives the same numbers.

    dataset: what to inspect; files of it that cannot be read are flagged. frames_per_video: frames that are looked at in
    each sampled video, each with its neighbour. sample: about how many videos to sample; of splits that are small beside
    others, up to 25 are taken anyway. progress: is given ids and gives them back one by one; `tqdm` will do. Called for the
    tables, then for the frames. Raises ValueError where frames_per_video or sample is below 1, and ImportError where
    pandas, matplotlib, jinja2 or Pillow is missing.
    """
    if frames_per_video < 1 or sample < 1:
        raise ValueError(f"frames_per_video and sample must be at least 1; got {frames_per_video} and {sample}")
    try:
        from . import measure, report  # noqa: F401 (what is missing is told before the work)
    except ImportError as error:
        needs = f"an inspection needs pandas, matplotlib, jinja2 and Pillow ({error})"
        raise ImportError(f"{needs}: pip install pandas matplotlib jinja2 pillow") from error
    return measure.measure(dataset, frames_per_video, sample, progress)


def inspection_text(inspection: Inspection) -> str:
    """All that was found, in lines of at most 100 characters; the flags come last, where a terminal stops."""
    from .report import as_text

    return as_text(inspection)


def write_inspection(inspection: Inspection, out: str | Path) -> Path:
    """Write ``index.html`` and ``inspection.json`` into the folder ``out``; each appears whole or not at all.

    Returns the page's path. The same inspection gives the same files.
    """
    from .report import as_json, as_page

    page, value, path = as_page(inspection), as_json(inspection), Path(out) / "index.html"
    write_json(path.with_name("inspection.json"), value)
    write_text(path, page)
    return path
