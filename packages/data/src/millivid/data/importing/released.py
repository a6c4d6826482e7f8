"""Turning the paper's released dataset (LOOPCRAFT) into datasets of ours.

The release is a folder with an `index.json` ({key: number of frames}, keys such as "008/071") and per key a file: a video
(`008/071.mp4`, with its table `008/071.npy`), latents (`.pyramid`) or images (`.frames`).
"""

import io
import os
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from millivid.files import read_json

from ..clip import Clip
from ..clip_writer import ClipWriter
from ..dataset_index import Count
from ..errors import DatasetError
from ..index_file import check_id
from ..latent_writer import LatentWriter
from ..video import read_video
from .import_settings import Errors
from .released_files import RELEASED_COLUMNS, PyramidFile, read_frames_file
from .side_tables import read_table

ACTIONS = ("forward", "left", "right")
FPS = 20
IMAGES = {b"\x89PNG": "png_pipe", b"\xff\xd8": "jpeg_pipe", b"RIFF": "webp_pipe"}
"""By what an image begins with, ffmpeg's name of its format."""


def released_splits(keys: Sequence[str], test_fraction: float) -> dict[str, list[str]]:
    """The release's split: keys sorted, shuffled with seed 0, the first int(n x test_fraction) of them for the test.

    Where that is none, of two keys or more, one is for the test all the same.
    """
    shuffled = sorted(keys)
    random.Random(0).shuffle(shuffled)
    count = int(len(shuffled) * test_fraction)
    if test_fraction and len(shuffled) > 1:
        count = max(1, count)
    return {"train": shuffled[count:], "test": shuffled[:count]}


def import_released_clips(
    source: str | Path,
    out: str | Path,
    *,
    test_fraction: float = 0.01,
    errors: Errors = "raise",
    lossless: bool = False,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, str]:
    """Import videos or images as a clip dataset; may be interrupted and run again.

    source: the release's folder. test_fraction: share of the videos in the split ``test``. errors: whether a damaged video
    ends the import or is left out. lossless: as for `ClipWriter`. progress: what the keys are drawn through, `tqdm` for
    example. Returns what was left out: key -> why. Raises DatasetError where the source is no release, or a file is
    damaged, which the message names.
    """
    source = Path(source)
    index = _read_index(source)
    size, has_tables = _look_at_first(source, index, errors)
    writer = ClipWriter(
        out,
        fps=FPS,
        size=size,
        action_names=ACTIONS if has_tables else ("unknown",),
        source={"imported_from": "loopcraft"},
        lossless=lossless,
    )

    def write(key: str) -> None:
        path = _find(source, key, (".frames", ".mp4"))
        frames = _read_images(path, index[key])
        columns = np.zeros((index[key], len(RELEASED_COLUMNS)), np.float32)
        if has_tables:
            columns = _read_columns(path.with_suffix(".npy"), index[key])
        actions, poses = _actions_and_poses(path, columns)
        writer.write(_id(key), Clip(frames=frames, actions=actions, poses=poses))

    return _import_all(writer, index, write, test_fraction, errors, progress)


def import_released_latents(
    source: str | Path,
    out: str | Path,
    *,
    grids: Sequence[tuple[int, int]],
    channels: int,
    fingerprint: str,
    test_fraction: float = 0.01,
    errors: Errors = "raise",
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> dict[str, str]:
    """Import `.pyramid` files as a latent dataset; as `import_released_clips` otherwise.

    grids, channels: of the released tokenizer, finest level first. fingerprint: of the imported tokenizer's weights.
    """
    source = Path(source)
    index = _read_index(source)
    writer = LatentWriter(
        out,
        fps=FPS,
        action_names=ACTIONS,
        grids=grids,
        channels=channels,
        tokenizer={"fingerprint": fingerprint},
        source={"imported_from": "loopcraft"},
    )

    def write(key: str) -> None:
        file = PyramidFile(_find(source, key, (".pyramid",)), index[key], tuple(grids), channels)
        try:
            writer.write(_id(key), file.levels, *_actions_and_poses(file.path, file.columns))
        except DatasetError as error:
            raise DatasetError(f"{file.path}: {error}") from error

    return _import_all(writer, index, write, test_fraction, errors, progress)


def _import_all(
    writer: ClipWriter | LatentWriter,
    index: dict[str, int],
    write: Callable[[str], None],
    test_fraction: float,
    errors: Errors,
    progress: Callable[[list[str]], Iterable[str]],
) -> dict[str, str]:
    skipped: dict[str, str] = {}
    for key in progress(sorted(index)):
        try:
            if not writer.done(_id(key)):
                write(key)
        except DatasetError as error:
            if errors == "raise":
                raise
            skipped[key] = str(error)
    if len(skipped) == len(index):
        raise DatasetError(
            f"none of the {len(index)} videos could be imported; the first: {next(iter(skipped.values()))}"
        )
    splits = released_splits(list(index), test_fraction)
    writer.finish({name: [_id(key) for key in keys if key not in skipped] for name, keys in splits.items()})
    return skipped


def _read_index(source: Path) -> dict[str, int]:
    path = source / "index.json"
    index = read_json(path, dict[str, Count], DatasetError, "it is not the index of a release, {key: number of frames}")
    if not index:
        raise DatasetError(f"{path} lists no videos")
    keys: dict[str, str] = {}
    for key in index:
        for part in key.split("/"):
            check_id(part, f"{path}: the key {key[:300]!r}, whose part")
        check_id(_id(key), f"{path}: the key")
        if (other := keys.setdefault(_id(key).casefold(), key)) != key:
            raise DatasetError(f"{path}: the keys {other!r} and {key!r} would have the same id; rename one")
    return index


def _find(source: Path, key: str, suffixes: tuple[str, ...]) -> Path:
    for path in (source / f"{key}{suffix}" for suffix in suffixes):
        if path.is_file():
            return path
    raise DatasetError(f"{source / key} has no file that ends in {' or '.join(suffixes)}, though index.json lists it")


def _read_columns(path: Path, num_frames: int) -> NDArray[np.float32]:
    table = read_table(path)
    shape = [len(next(iter(table.columns.values()))), len(table.columns)]
    if shape != [num_frames, len(RELEASED_COLUMNS)]:
        raise DatasetError(
            f"{path} has shape {shape}; [{num_frames}, {len(RELEASED_COLUMNS)}] is expected, a row per frame of "
            f"{', '.join(RELEASED_COLUMNS)}"
        )
    return np.stack([table.numbers(name) for name in table.columns], axis=1).astype(np.float32)


def _actions_and_poses(path: Path, columns: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    actions = columns[:, 0]
    if not np.isin(actions, range(len(ACTIONS))).all():
        raise DatasetError(f"{path} has actions other than 0, 1 and 2 ({', '.join(ACTIONS)})")
    if not np.isfinite(columns).all():
        raise DatasetError(f"{path} has poses that are NaN or infinite")
    return actions.astype(np.int64), np.ascontiguousarray(columns[:, 1:])


def _decode(path: Path, image: bytes) -> NDArray[np.uint8]:
    kind = next((kind for start, kind in IMAGES.items() if image.startswith(start)), None)
    try:
        if kind is None:  # ffmpeg would take a list of other files as well
            raise ValueError("it is neither PNG, JPEG nor WebP")
        with av.open(io.BytesIO(image), "r", format=kind) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)
    except (av.FFmpegError, StopIteration, ValueError) as error:
        raise DatasetError(f"{path} holds an image that cannot be decoded ({error})") from error


def _look_at_first(source: Path, index: dict[str, int], errors: Errors) -> tuple[tuple[int, int], bool]:
    """(height, width) of the first video that can be read, and whether tables stand beside the videos."""
    for key in sorted(index):
        try:
            path = _find(source, key, (".frames", ".mp4"))
            height, width = _read_images(path, index[key], 1).shape[1:3]
            return (height, width), path.suffix == ".mp4" or os.path.lexists(path.with_suffix(".npy"))
        except DatasetError:
            if errors == "raise":
                raise
    raise DatasetError(f"none of the {len(index)} videos that {source / 'index.json'} lists can be read")


def _read_images(path: Path, num_frames: int, stop: int | None = None) -> NDArray[np.uint8]:
    if path.suffix == ".frames":
        images = [_decode(path, image) for image in read_frames_file(path, num_frames, 0, stop)]
        if len({image.shape for image in images}) > 1:
            raise DatasetError(f"{path} holds images of different sizes")
        return np.stack(images)
    frames = read_video(path, 0, stop)
    if stop is None and len(frames) != num_frames:
        raise DatasetError(f"{path} has {len(frames)} frames, but index.json says {num_frames}")
    return frames


def _id(key: str) -> str:
    return key.replace("/", "_")
