"""Writing a folder of encoded videos, which may be stopped at any time, and verifying it when it is complete."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .clip import POSE_NAMES, ActionType
from .dataset_writer import DatasetWriter, as_names
from .errors import DatasetError
from .index_file import check_id
from .latent_statistics import StatisticsSum
from .latents import LatentIndex
from .table_reader import REMAKE, TableFile
from .tables import Pieces, write_table
from .verification import Progress, Verification

BLOCK = 256
"""Frames that are read at a time."""


class FrameSlices(Protocol):
    """What has the shape of an array and gives arrays for slices of frames."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, height, width, channel)."""
        ...

    def __getitem__(self, frames: slice, /) -> NDArray[Any]:
        """Those frames."""
        ...


class LatentWriter(DatasetWriter[LatentIndex]):
    """Writes a latent dataset folder, video by video; may be stopped at any time and continued later.

    folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there. fps,
    action_names, action_type, pose_names: as in the clip dataset that is encoded. grids: (height, width) of each level's
    token grid, finest level first. channels: of a latent. tokenizer: what encodes the frames (JSON values), with a
    ``fingerprint`` that tells its weights apart. source: where the frames come from (JSON values).

    Several processes may write different videos into one folder, each with its own `LatentWriter`; one of them calls
    `finish` when all are done. Raises DatasetError where the folder holds something else, or ``tokenizer`` has no
    fingerprint.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        action_names: Sequence[str],
        grids: Sequence[tuple[int, int]],
        channels: int,
        tokenizer: Mapping[str, Any],
        source: Mapping[str, Any] | None = None,
        pose_names: Sequence[str] = POSE_NAMES,
        action_type: ActionType = "categorical",
    ) -> None:
        if "fingerprint" not in tokenizer:
            raise DatasetError(
                f"tokenizer needs an entry 'fingerprint' to tell its latents apart; got {dict(tokenizer)}"
            )
        index = LatentIndex(
            fps=fps,
            action_names=as_names(action_names),
            action_type=action_type,
            pose_names=as_names(pose_names),
            grids=tuple((height, width) for height, width in grids),
            channels=channels,
            tokenizer=dict(tokenizer),
            source=dict(source or {}),
        )
        super().__init__(folder, index, statistics={})

    def write(
        self, video: str, levels: Sequence[FrameSlices], actions: NDArray[Any], poses: NDArray[np.float32]
    ) -> None:
        """Write one video's latents; the file appears whole or not at all.

        video: the id, as in the clip dataset. levels: the pyramid, finest level first, each [frame, height, width,
        channel]; stored as float16. Whatever has that shape and gives arrays for slices of frames will do (a memory map, a
        `PyramidFile`'s levels), and is never read whole. actions: integers, [frame]; continuous ones: numbers, [frame,
        action]. poses: [frame, pose]. Raises DatasetError where a shape is another one, an action none of the
        dataset's, or a latent not finite in float16.
        """
        check_id(video)
        if len(levels) != len(self.index.grids):
            raise DatasetError(f"video {video!r}: {len(self.index.grids)} levels are expected; got {len(levels)}")
        arrays = self.index.arrays(levels[0].shape[0])
        table: dict[str, NDArray[Any] | Pieces] = {}
        for level, latents in enumerate(levels):
            what, name = f"video {video!r}, level {level}", f"level_{level}"
            shape, dtype = arrays[name]
            _check_shape(what, latents.shape, shape)
            table[name] = Pieces(shape, np.dtype(dtype), _half_precision(what, latents, shape))
        table |= self._per_frame(video, levels[0].shape[0], actions, poses)
        write_table(self._paths(video)[-1], table)

    def finish(
        self,
        splits: Mapping[str, Sequence[str]],
        frames: Mapping[str, int] | None = None,
        progress: Progress = iter,
    ) -> Verification:
        """Verify every video and declare the dataset complete: write the index with these splits (ids in order).

        Mean and standard deviation per level and channel are measured over the split ``train`` (over all videos where there
        is none), some frames at a time. No writer may be at work. Several processes may finish at the same time, with the
        same arguments.

        frames: how many frames each video has to have; None: as many as its file holds. progress: is given the ids and
        gives them back one by one; `tqdm` will do. Raises DatasetError where a split names a video that is not written, a
        video is in two splits, or files are damaged, hold another number of frames, or are not what was written; it names
        them.
        """
        measured = set(splits.get("train") or (video for ids in splits.values() for video in ids))
        total = StatisticsSum()

        def look(video: str, table: TableFile) -> None:
            rows = table.rows("actions")
            if frames is not None and frames.get(video) != rows:
                raise DatasetError(
                    f"{table.path}: holds {rows} frames, but {frames.get(video, 'none')} are expected; {REMAKE}."
                )
            if video in measured:
                levels = [
                    (name, *array) for name, array in self.index.arrays(rows).items() if name.startswith("level_")
                ]
                for start in range(0, rows, BLOCK):
                    span = (start, min(start + BLOCK, rows))
                    total.add(table.read(*((*level, [span]) for level in levels)))

        videos = self._check_videos(splits, progress, look)
        statistics = {name: array.tolist() for name, array in vars(total.statistics()).items()}
        return self._declare_complete(splits, videos, statistics=statistics)


def _half_precision(what: str, latents: FrameSlices, shape: tuple[int, ...]) -> Iterator[NDArray[np.float16]]:
    for start in range(0, shape[0], BLOCK):
        stop = min(start + BLOCK, shape[0])
        block = np.asarray(latents[start:stop])
        _check_shape(f"{what}, frames {start} to {stop - 1}", block.shape, (stop - start, *shape[1:]))
        with np.errstate(over="ignore"):
            half = block.astype(np.float16)
        if not np.isfinite(half).all():
            raise DatasetError(
                f"{what}: latents hold NaN, infinity or values that float16 cannot (largest {np.abs(block).max()}); "
                "look at the tokenizer"
            )
        yield half


def _check_shape(what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(found) != expected:
        raise DatasetError(f"{what}: shape {list(expected)} is expected; got {list(found)}")
