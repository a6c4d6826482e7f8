"""One source video becomes one clip, or several of equal length, frame by frame; an image becomes a clip of one frame."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..clip import Clip
from ..clip_writer import ClipWriter
from ..errors import DatasetError
from ..source_video import SAME_RATE, SourceFrame, decode_source, open_source
from .frame_fitting import FrameFitter, picture_notes
from .import_report import ImportRecord
from .import_settings import ImportSettings
from .side_tracks import SideData
from .source_image import read_image
from .video_folder import FolderVideo

LEAST_FRAMES = 2
JITTER = Fraction(1, 4)
"""By how much of a frame's duration a frame may be late and still count for the time it was meant for."""
LONG_STILL = 1
"""Seconds without a new frame that are worth a note, if frames come more often otherwise."""


class _Piece:
    """Frames of a clip to be, in memory once: the array grows in place."""

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        self.pixels = np.empty((frames or 64, *size, 3), np.uint8)
        self.indices: list[int] = []
        self.times: list[float] = []

    def __len__(self) -> int:
        return len(self.indices)

    def append(self, pixels: NDArray[np.uint8], frame: SourceFrame) -> None:
        if len(self) == len(self.pixels):
            self.pixels.resize((2 * len(self), *self.pixels.shape[1:]), refcheck=False)
        self.pixels[len(self)] = pixels
        self.indices.append(frame.index)
        self.times.append(float(frame.time))

    def clip(self, side: SideData) -> Clip:
        indices, times = np.array(self.indices), np.array(self.times)
        nothing = np.zeros((len(self), 0), np.float32)
        rows = {what: track.at(indices, times) for what, track in side.tracks.items()}
        return Clip(
            frames=self.pixels[: len(self)], actions=rows.get("actions", nothing), poses=rows.get("poses", nothing)
        )


def cut_image(source: FolderVideo, writer: ClipWriter, settings: ImportSettings) -> ImportRecord:
    """Write an image as a clip of one frame; raises DatasetError where it cannot be read, or has another size."""
    pixels = FrameFitter(source.path, writer.index.size, settings.fit_to_size)(read_image(source.path))[None]
    nothing = np.zeros((1, 0), np.float32)
    writer.write(source.id, Clip(frames=pixels, actions=nothing, poses=nothing))
    return ImportRecord(file=source.name, bytes=source.bytes, videos=(source.id,), frames=1, notes=source.notes)


def cut_video(source: FolderVideo, writer: ClipWriter, settings: ImportSettings) -> ImportRecord:
    """Write a video's clips.

    Raises DatasetError where the video is damaged, too short, or does not fit its tables. Pieces may have been written
    then; they are in no split, and so are deleted when the dataset is finished.
    """
    size, fps = writer.index.size, Fraction(writer.index.fps).limit_denominator(1001)
    notes, written, total = [*source.notes], list[str](), 0
    piece = _Piece(size, settings.frames)
    times: list[Fraction] = []
    shown: list[int] = []

    def write() -> None:
        written.append(f"{source.id}_{len(written):03d}" if settings.frames else source.id)
        writer.write(written[-1], piece.clip(source.side))

    with open_source(source.path) as video:
        notes += video.notes
        fitter = FrameFitter(video.path, size, settings.fit_to_size, video.aspect)
        for frame, ticks in on_grid(decode_source(video), video.rate, fps, video.end):
            if not times:
                notes += picture_notes(frame.picture, video.aspect)
            times.append(frame.time)
            shown.append(ticks)
            pixels = fitter(frame.picture) if ticks else None
            for _ in range(ticks):
                assert pixels is not None
                if settings.frames and len(piece) == settings.frames:
                    write()
                    total, piece = total + len(piece), _Piece(size, settings.frames)
                piece.append(pixels, frame)
    for track in source.side.tracks.values():
        track.check([*map(float, times)], float(1 / video.rate), float(video.end))
    if total + len(piece) < LEAST_FRAMES:
        raise DatasetError(
            f"{video.path}: has {total + len(piece)} frames at this rate; at least {LEAST_FRAMES} are needed"
        )
    if len(piece) >= LEAST_FRAMES:
        write()
        total += len(piece)
    elif len(piece):
        notes.append(f"its last frame is left out: a piece has at least {LEAST_FRAMES}")
    if any(ticks != 1 for ticks in shown):
        notes.append(
            f"{float(video.rate):.4g} frames per second on average, shown at {float(fps):g}: of {len(shown)} frames "
            f"{shown.count(0)} were dropped, and there are {sum(ticks - 1 for ticks in shown if ticks)} repetitions"
        )
    gaps = [(after - before, before) for before, after in pairwise(times)]
    still, since = max(gaps, key=lambda gap: gap[0], default=(Fraction(0), Fraction(0)))
    if still > max(Fraction(LONG_STILL), 3 / video.rate):
        notes.append(
            f"no new frame for {float(still):.2f} s after {float(since):.2f} s: a still picture, or a hole in the file"
        )
    return ImportRecord(file=source.name, bytes=source.bytes, videos=tuple(written), frames=total, notes=tuple(notes))


def on_grid(
    frames: Iterable[SourceFrame], rate: Fraction, fps: Fraction, end: Fraction
) -> Iterator[tuple[SourceFrame, int]]:
    """How often each frame is shown when pictures are taken ``fps`` times a second: the last one shown at each tick.

    frames: in order of their times. rate: frames per second of the source, on average. One within 1 % of ``fps`` is taken
    for it: such a video plays faster or slower by that much, and none of its frames is lost or repeated if they come at an
    even pace.
    """
    scale = rate if abs(rate / fps - 1) <= SAME_RATE else fps
    slack = JITTER * min(Fraction(1), scale / rate)
    tick, last, still = 0, None, 1 / rate
    for frame in frames:
        first = max(tick, math.ceil(frame.time * scale - slack))
        if last is not None:
            yield last, first - tick
            # How long the last frame is shown, few files say: as long as the one before it, and not longer than most.
            still = min(1 / rate, frame.time - last.time)
        tick, last = first, frame
    if last is not None:
        yield last, max(0, math.ceil(max(last.time + still, end) * scale - slack) - tick)
