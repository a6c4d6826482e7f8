"""Single frames as image files, and as WebDataset tar shards of them, for people who train elsewhere."""

import hashlib
import io
import json
import math
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from millivid.files.atomic import remove_leftovers, replacing, write_json
from millivid.files.values import check_number

from .clips import ClipDataset
from .errors import DatasetError
from .index_file import INDEX_NAME, VERSION, check_id, continue_or_refuse

DECODED = 64
"""Frames that are decoded at a time."""
CODECS = {"png": ("png", "rgb24"), "jpg": ("mjpeg", "yuvj444p")}
JPEG_SCALE = 2
"""ffmpeg's quality scale, 1 the best and 31 the worst; 2 is about quality 95."""


def export_webdataset(
    dataset: ClipDataset,
    out: str | Path,
    *,
    split: str | None = None,
    frames_per_shard: int = 10_000,
    image: Literal["png", "jpg"] = "png",
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[Path]:
    """Write every frame as a sample of tar shards in the WebDataset layout; returns the shards.

    A sample is ``<video>-<frame>.png`` and ``<video>-<frame>.json`` with video, frame, action and pose. Frames come in
    order, so a training loader has to shuffle. The same dataset gives the same bytes; a stopped export goes on with the
    shards that are missing.

    out: the folder of the shards, new, empty, or begun earlier with the same arguments. split: which videos; None for all.
    frames_per_shard: at most; the last shard may have fewer. image: ``png`` keeps the decoded frames exactly, ``jpg`` takes
    about a quarter of the space. progress: is given the shards' numbers and gives them back one by one; `tqdm` will do.
    Raises DatasetError where the folder holds something else or a video cannot be read, and ValueError where
    frames_per_shard is not positive, or image neither png nor jpg.
    """
    check_number(frames_per_shard, "frames_per_shard", 1, whole=True)
    if image not in ("png", "jpg"):
        raise ValueError(f"image must be png or jpg; got {image!r}")
    folder, index, name = Path(out), dataset.index, split or "all"
    videos = {video: dataset.num_frames(video) for video in dataset.ids(split)}
    if split is not None:
        check_id(split, "split")  # it becomes a file name
    if not any(videos.values()):
        raise DatasetError(f"{dataset.folder} has no frames in split {split!r}; choose one of {sorted(index.splits)}.")
    header = {
        "format": "millivid-webdataset",
        "version": VERSION,
        "split": name,
        "fps": index.fps,
        "size": list(index.size),
        "image": image,
        "frames_per_shard": frames_per_shard,
        "action_type": index.action_type,
        "action_names": list(index.action_names),
        "pose_names": list(index.pose_names),
        "videos": videos,
        "source": dict(index.source),
    }
    if not continue_or_refuse(folder, header):
        write_json(folder / INDEX_NAME, {**header, "complete": False, "shards": {}})
    total, keys = sum(videos.values()), _sample_keys(videos)
    starts = range(0, total, frames_per_shard)
    shards = {folder / f"{name}-{number:06d}.tar": start for number, start in enumerate(starts)}
    paths = list(shards)
    for number in progress(range(len(paths))):
        if not paths[number].is_file():
            spans = _spans(videos, shards[paths[number]], min(shards[paths[number]] + frames_per_shard, total))
            _write_shard(paths[number], dataset, spans, image, keys)
    remove_leftovers(folder)
    sizes = {path.name: min(frames_per_shard, total - start) for path, start in shards.items()}
    write_json(folder / INDEX_NAME, {**header, "complete": True, "shards": sizes})
    return paths


def _spans(videos: dict[str, int], start: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """Frames ``start`` to ``stop`` of all videos after each other: which of which video, some at a time."""
    for video, frames in videos.items():
        for first in range(max(start, 0), min(stop, frames), DECODED):
            yield video, first, min(first + DECODED, stop, frames)
        start, stop = start - frames, stop - frames


def _sample_keys(videos: Iterable[str]) -> dict[str, str]:
    """What samples are called by, per video: a sample's name ends at the first dot, so there is none in it."""
    plain = {video: video.replace(".", "_") for video in videos}
    times = Counter(key.casefold() for key in plain.values())  # some file systems know no case
    return {
        video: key if times[key.casefold()] == 1 else f"{key}-{hashlib.sha256(video.encode()).hexdigest()[:8]}"
        for video, key in plain.items()
    }


def _write_shard(
    path: Path, dataset: ClipDataset, spans: Iterable[tuple[str, int, int]], image: str, keys: dict[str, str]
) -> None:
    with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        checked = set[str]()
        for video, start, stop in spans:
            if video not in checked:
                dataset.check(video)
                checked.add(video)
            clip = dataset.read(video, start, stop)
            for place, pixels in enumerate(clip.frames):
                key = f"{keys[video]}-{start + place:06d}"
                about = {
                    "video": video,
                    "frame": start + place,
                    "action": clip.actions[place].tolist(),
                    "pose": [value if math.isfinite(value) else None for value in clip.poses[place].tolist()],
                }
                _add(tar, f"{key}.{image}", encode_image(pixels, image))
                _add(tar, f"{key}.json", json.dumps(about).encode())


def encode_image(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """A frame, uint8 RGB [height, width, 3], as the content of a ``png`` (exact) or ``jpg`` file.

    Raises ValueError for another kind, or pixels of another form.
    """
    if kind not in CODECS:
        raise ValueError(f"kind must be one of {', '.join(CODECS)}; got {kind!r}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must be uint8 [height, width, 3]; got {pixels.dtype} {list(pixels.shape)}")
    codec, pixel_format = CODECS[kind]
    context = VideoCodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = pixel_format
    context.framerate = 1  # type: ignore[assignment]
    context.thread_count = 1
    if kind == "jpg":
        context.qmin = context.qmax = JPEG_SCALE
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry: Any = tarfile.TarInfo(name)  # owner and time are zero: the same content gives the same bytes
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
