"""Which videos and frames of several sources belong together; what does not is named."""

from collections.abc import Mapping, Sequence

import numpy as np

from .errors import EvaluationError, name_some
from .videos import RATE_TOLERANCE, Frames, VideoSource, check_ids, rate_of


def read_checked(name: str, source: VideoSource, id: str, start: int, stop: int) -> Frames:
    """Frames [start, stop) of a video, after a look at whether they are what a source promises."""
    frames = source.read(id, start, stop)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) != stop - start:
        raise EvaluationError(
            f"video {id!r} of {name}: frames [{start}, {stop}) came as {frames.dtype} {frames.shape}; expected uint8 "
            f"({stop - start}, height, width, 3)"
        )
    return frames


def check_size(run: str, id: str, generated: Frames, truth: Frames) -> None:
    """Raise EvaluationError unless both have one size."""
    if generated.shape != truth.shape:
        raise EvaluationError(
            f"video {id!r}: {run} is {generated.shape[2]}x{generated.shape[1]}, the reference "
            f"{truth.shape[2]}x{truth.shape[1]}; bring both to one size first"
        )


def check_rates(runs: Mapping[str, VideoSource], reference: VideoSource, ids: Sequence[str]) -> None:
    """Raise EvaluationError where a video has another frame rate than its true one: its frames show other moments."""
    for run, source in runs.items():
        for id in ids:
            rate, true_rate = rate_of(source, id), rate_of(reference, id)
            if abs(rate - true_rate) > RATE_TOLERANCE * true_rate:
                raise EvaluationError(
                    f"video {id!r} of {run} has {rate:g} frames per second, its reference {true_rate:g}; bring both to one "
                    "rate, or pass check_rate=False (check_rate=false) where the rate in the files means nothing"
                )


def matched_ids(runs: Mapping[str, VideoSource], reference: VideoSource, ids: Sequence[str] | None) -> list[str]:
    """The ids to score: all of the reference's, which every run must have and no others, or `ids`."""
    if not runs:
        raise EvaluationError("no runs to evaluate; give at least one, as {name: source}")
    for run in runs:
        if run == "the reference" or not run.strip() or not run.isprintable():
            raise EvaluationError(f"a run is called {run!r}; give it another name, of one line")
    wanted = list(reference.ids() if ids is None else ids)
    if not wanted:
        raise EvaluationError(
            "there are no videos to evaluate: the reference is empty" if ids is None else "ids is empty"
        )
    if len(set(wanted)) < len(wanted):
        raise EvaluationError("ids name a video twice")
    for run, source in runs.items():
        if not set(wanted) & set(source.ids()):
            raise EvaluationError(
                f"{run} and the reference have no video in common: {name_some(source.ids()) or 'nothing'} against "
                f"{name_some(wanted)}; videos are matched by id (the file name without its ending)"
            )
    check_ids({"the reference": reference, **runs}, wanted)
    if ids is None:
        for run, source in runs.items():
            extra = [id for id in source.ids() if id not in set(wanted)]
            if extra:
                raise EvaluationError(
                    f"{run} has {len(extra)} videos that the reference lacks: {name_some(extra)}; score only "
                    "some with ids= (videos=common in millivid evaluate)"
                )
    return wanted


def matched_stop(
    runs: Mapping[str, VideoSource], reference: VideoSource, ids: list[str], start: int, stop: int | None
) -> int:
    """The frame to end before: `stop`, or None for the end, which must be the same everywhere."""
    lengths = {id: reference.num_frames(id) for id in ids}
    if stop is None:
        for run, source in runs.items():
            wrong = [
                f"{id} ({source.num_frames(id)} against {lengths[id]})"
                for id in ids
                if source.num_frames(id) != lengths[id]
            ]
            if wrong:
                raise EvaluationError(
                    f"{run} has other lengths than the reference: {name_some(wrong)}; frames are numbered alike in "
                    "both, context included. Pass stop= to compare only the frames before it"
                )
        stop, longest = min(lengths.values()), max(lengths.values())
        if stop < longest:
            raise EvaluationError(f"videos have {stop} to {longest} frames; pass stop={stop} to score as many of each")
    if start < 0 or start >= stop:
        raise EvaluationError(
            f"nothing to evaluate: frames [{start}, {stop}) were asked for; videos have {min(lengths.values())} frames"
        )
    for name, source in {"the reference": reference, **runs}.items():
        short = [f"{id} ({source.num_frames(id)})" for id in ids if source.num_frames(id) < stop]
        if short:
            raise EvaluationError(f"{name} has videos that end before frame {stop}: {name_some(short)}")
    return stop
