"""A folder of video files as a source of videos. Needs the extra [report] (av)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import EvaluationError, name_some
from .videos import Frames, check_range, file_sha256

Decoding = Iterator[tuple[int, Any]]  # frame number and the decoder's frame, in order of presentation
SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v")


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What the packets of a file say, without decoding: presentation times in order, and which can be sought to."""

    times: tuple[int, ...]
    keys: tuple[int, ...]
    fps: float
    codec: str
    pixel_format: str


class FolderOfVideos:
    """Every video file in a folder, by stem, in alphabetical order (.mp4 .webm .mkv .mov .avi .m4v).

    Frames are numbered by presentation time, so any frame rate and any key-frame distance reads exactly; a short
    key-frame distance reads fast. Raises EvaluationError for a folder without videos, two files with one stem, and,
    when it is read, a file that cannot be decoded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise EvaluationError(f"{self.path} is not a folder")
        self._files: dict[str, Path] = {}
        for file in sorted(self.path.iterdir()):
            if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
                continue
            if file.stem in self._files:
                raise EvaluationError(f"{self._files[file.stem].name} and {file.name} have one id; keep one of them")
            self._files[file.stem] = file
        if not self._files:
            raise EvaluationError(f"{self.path} holds no video files ({' '.join(SUFFIXES)})")
        self._layouts: dict[str, _Layout] = {}
        self._fingerprints: dict[str, str] = {}
        self._next: tuple[str, int, Decoding] | None = None
        self._last: tuple[tuple[str, int, int], Frames] | None = None
        _import_av()

    @property
    def fps(self) -> float:
        """Average frame rate of the first video."""
        return self._layout(self.ids()[0]).fps

    def rate(self, id: str) -> float:
        """Average frame rate of a video."""
        return self._layout(id).fps

    def ids(self) -> list[str]:
        return list(self._files)

    def num_frames(self, id: str) -> int:
        return len(self._layout(id).times)

    def read(self, id: str, start: int, stop: int) -> Frames:
        layout = self._layout(id)
        check_range(id, start, stop, len(layout.times))
        if self._last is not None and self._last[0] == (id, start, stop):
            return self._last[1]  # bounds are made of the reference's frames, so they ask for them again
        problem: EvaluationError | None = None
        rgb = _import_av().video.reformatter.VideoReformatter()  # without, each frame's conversion is set up anew
        for decoding in self._ways_to(id, start):
            frames: dict[int, np.ndarray] = {}
            try:
                for index, frame in decoding:
                    if start <= index < stop:
                        frames[index] = rgb.reformat(frame, format="rgb24").to_ndarray()
                    if len(frames) == stop - start:
                        self._next = (id, stop, decoding)
                        self._last = ((id, start, stop), np.stack([frames[i] for i in range(start, stop)]))
                        return self._last[1]
            except EvaluationError as error:  # damage, or frames behind a key frame that need earlier ones
                problem = error
                continue
            lost = [str(index) for index in range(start, stop) if index not in frames]
            problem = EvaluationError(f"{self._files[id].name}: frames {name_some(lost)} do not decode")
        assert problem is not None
        raise problem

    def _ways_to(self, id: str, start: int) -> Iterator["Decoding"]:
        # Where the last read ended; from the key frame before; and, since a seek can land late or on a key frame whose
        # followers need earlier ones, from the beginning.
        previous, self._next = self._next, None
        if previous is not None and previous[:2] == (id, start):
            yield previous[2]
        layout = self._layout(id)
        key = max((time for time in layout.keys if time <= layout.times[start]), default=layout.times[0])
        if key > layout.times[0]:
            yield _decode(self._files[id], layout, key)
        yield _decode(self._files[id], layout, None)

    def fingerprint(self, id: str) -> str:
        if id not in self._fingerprints:
            self._fingerprints[id] = file_sha256(self._files[id])
        return self._fingerprints[id]

    def describe(self) -> dict[str, Any]:
        """Codec, pixel format and key-frame distance of the first video."""
        layout = self._layout(self.ids()[0])
        distance = round(len(layout.times) / max(len(layout.keys), 1), 1)
        return {
            "kind": "folder of videos",
            "codec": layout.codec,
            "pixel_format": layout.pixel_format,
            "mean_key_frame_distance": distance,
        }

    def _layout(self, id: str) -> _Layout:
        if id not in self._layouts:
            if id not in self._files:
                raise EvaluationError(f"no video {id!r} in {self.path.name}; it has {name_some(self.ids())}")
            self._layouts[id] = _read_layout(self._files[id])
        return self._layouts[id]


def _import_av() -> Any:
    # Here and not at the top, so that the package imports without the extra.
    try:
        import av
    except ImportError as error:
        raise ImportError(f"reading video files needs av: pip install 'millivid-eval[report]' ({error})") from error
    return av


def _decode(file: Path, layout: _Layout, seek: int | None) -> Decoding:
    av = _import_av()
    numbers = {time: number for number, time in enumerate(layout.times)}
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"err_detect": "aggressive+explode"}  # or damage would be painted over
            if seek is not None:
                container.seek(seek, stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts in numbers:
                    yield numbers[frame.pts], frame
    except av.FFmpegError as error:
        raise EvaluationError(f"{file.name} cannot be decoded: {error}") from error


def _read_layout(file: Path) -> _Layout:
    av = _import_av()
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise EvaluationError(f"{file.name} holds no video stream")
            stream = container.streams.video[0]
            packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.pts is not None and p.size > 0]
            if not packets:
                raise EvaluationError(f"{file.name} holds no frames")
            return _Layout(
                times=tuple(sorted(time for time, _ in packets)),
                keys=tuple(sorted(time for time, key in packets if key)),
                fps=float(stream.average_rate or stream.guessed_rate or 20),
                codec=stream.codec_context.name,
                pixel_format=str(stream.codec_context.pix_fmt),
            )
    except av.FFmpegError as error:
        raise EvaluationError(f"{file.name} cannot be read as a video: {error}") from error
