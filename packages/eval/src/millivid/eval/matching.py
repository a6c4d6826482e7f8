"""Which videos and frames of several sources belong together; what does not is named."""

from collections.abc import Mapping, Sequence

import numpy as np

from .errors import EvaluationError, name_some
from .videos import Frames, VideoSource

TRUTH = "the reference"
SOME = "score only some with ids= (videos=common in millivid evaluate)"

RATE_TOLERANCE = 0.01
"""Frame rates that differ by less than this share are one: 29.97 and 30."""


def read_checked(name: str, source: VideoSource, id: str, start: int, stop: int, truth: Frames | None = None) -> Frames:
    """Frames [start, stop) of a video, checked: uint8 and as many as was asked for, and as large as the true ones."""
    frames = source.read(id, start, stop)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) != stop - start:
        raise EvaluationError(
            f"video {id!r} of {name}: frames [{start}, {stop}) came as {frames.dtype} {frames.shape}; expected uint8 "
            f"({stop - start}, height, width, 3)"
        )
    if truth is not None and frames.shape != truth.shape:
        raise EvaluationError(
            f"video {id!r}: {name} is {frames.shape[2]}x{frames.shape[1]}, the reference "
            f"{truth.shape[2]}x{truth.shape[1]}; bring both to one size first"
        )
    return frames


def check_rates(runs: Mapping[str, VideoSource], reference: VideoSource, ids: Sequence[str]) -> None:
    """Raise EvaluationError where a video has another frame rate than its true one: its frames show other moments.

    Videos whose rate is not known, such as folders of images, may show any.
    """
    for run, source in runs.items():
        for id in ids:
            rate, true_rate = source.rate(id), reference.rate(id)
            if rate is not None and true_rate is not None and abs(rate - true_rate) > RATE_TOLERANCE * true_rate:
                raise EvaluationError(
                    f"video {id!r} of {run} has {rate:g} frames per second, its reference {true_rate:g}; bring both to one "
                    "rate, or pass check_rate=False (check_rate=false) where the rate in the files means nothing"
                )


def matched_ids(runs: Mapping[str, VideoSource], reference: VideoSource, ids: Sequence[str] | None) -> list[str]:
    """The ids to score: all of the reference's, which every run must have and no others, or `ids`."""
    if not runs:
        raise EvaluationError("no runs to evaluate; give at least one, as {name: source}")
    for run in runs:
        if run == TRUTH or not run.strip() or not run.isprintable():
            raise EvaluationError(f"a run is called {run!r}; give it another name, of one line")
    wanted = list(reference.ids() if ids is None else ids)
    if not wanted:
        raise EvaluationError(
            "there are no videos to evaluate: the reference is empty" if ids is None else "ids is empty"
        )
    if len(set(wanted)) < len(wanted):
        raise EvaluationError("ids name a video twice")
    for name, source in {TRUTH: reference, **runs}.items():
        have = source.ids()
        missing, extra = (list(dict.fromkeys(a).keys() - set(b)) for a, b in ((wanted, have), (have, wanted)))
        if len(missing) == len(wanted) and name != TRUTH:
            raise EvaluationError(
                f"{name} and the reference have no video in common: {name_some(have) or 'nothing'} against "
                f"{name_some(wanted)}; videos are matched by id (the file name without its ending)"
            )
        if missing:
            raise EvaluationError(
                f"{name} lacks {len(missing)} of {len(wanted)} videos: {name_some(sorted(missing))}; it has "
                f"{name_some(have)}; {SOME}"
            )
        if extra and ids is None:
            raise EvaluationError(
                f"{name} has {len(extra)} videos that the reference lacks: {name_some(sorted(extra))}; {SOME}"
            )
    return wanted


def matched_stop(
    runs: Mapping[str, VideoSource], reference: VideoSource, ids: list[str], start: int, stop: int | None
) -> int:
    """The frame to end before: `stop`, or None for the end, which must be the same everywhere."""
    lengths = {
        f"{id} of {name}": source.num_frames(id) for name, source in {TRUTH: reference, **runs}.items() for id in ids
    }
    shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    least, most = lengths[shortest], lengths[longest]
    if stop is None and least < most and least > start:
        raise EvaluationError(
            f"{shortest} has {least} frames and {longest} {most}; if that is as it should be, stop={least} or, in millivid "
            f"evaluate, frames={least - start} scores as many of each"
        )
    stop = least if stop is None else stop
    if not 0 <= start < stop:
        raise EvaluationError(f"start={start} (context=) leaves nothing to score: {shortest} has {least} frames")
    if short := [f"{video} ({count})" for video, count in lengths.items() if count < stop]:
        raise EvaluationError(f"videos end before frame {stop}: {name_some(short)}")
    return stop
