"""Reading a folder of videos of any kind: which there are, what was done in them, whether the files are as written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .dataset_index import DatasetIndex
from .errors import DatasetError
from .table_reader import TableFile, TableReader
from .verification import Progress, Verification, check_file, find_strays, raise_for

Index = TypeVar("Index", bound=DatasetIndex)


class Dataset(Generic[Index]):
    """What datasets of clips and of latents have in common."""

    def __init__(self, folder: str | Path, index_class: type[Index]) -> None:
        self.folder = Path(folder)
        self.index = index_class.read(self.folder)
        self._tables = TableReader()

    def __len__(self) -> int:
        """Number of videos, all splits together."""
        return len(self.index.frames)

    def ids(self, split: str | None = None) -> list[str]:
        """Ids of the videos of a split, in order; of all videos for None."""
        if split is None:
            return list(self.index.frames)
        if split not in self.index.splits:
            raise DatasetError(f"{self.folder} has no split {split!r}; it has {sorted(self.index.splits)}.")
        return list(self.index.splits[split])

    def num_frames(self, video: str) -> int:
        """Number of frames of a video."""
        if video not in self.index.frames:
            ids = self.ids()
            some = f"{ids[0]!r} to {ids[-1]!r}" if ids else "none at all"
            raise DatasetError(f"{self.folder} has no video {video!r}; it has {len(ids)} videos, {some}.")
        return self.index.frames[video]

    def actions(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Actions of a span of a video, int64 [frame] or float32 [frame, action]; no frame is read for them."""
        return self._rows(video, "actions", start, stop)

    def poses(self, video: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Poses of a span of a video, float32 [frame, pose]; no frame is read for them."""
        return self._rows(video, "poses", start, stop)

    def check(self, video: str, *folders: str) -> None:
        """Raise DatasetError unless a video's files, or those in some of its folders, are what was written, by their hashes.

        For whoever reads files whole: it costs reading them once more. Files without a recorded hash are taken as they are.
        """
        self.num_frames(video)  # there is such a video
        paths, recorded = self.index.paths(self.folder, video), self.index.sha256.get(video, ())
        for path, sha256 in zip(paths, recorded, strict=False):
            if not folders or path.parent.name in folders:
                check_file(path, sha256, {})

    def verify(self, progress: Progress = iter) -> Verification:
        """Read every file and check that it is what was written, and that no video is there that the index does not list.

        Where no hash was recorded, a table's arrays are still compared with the index, and a video is decoded from end to
        end. progress: is given the ids and gives them back one by one; `tqdm` will do. Raises DatasetError where files are
        missing, damaged, or others than were written; it names them.
        """
        files, problems = self.index.files, dict[str, DatasetError]()
        for video in progress(self.ids()):
            recorded: Sequence[str | None] = self.index.sha256.get(video, (None,) * len(files))
            for path, sha256 in zip(self.index.paths(self.folder, video), recorded, strict=True):
                try:
                    self._verify_file(video, path, sha256)
                except DatasetError as error:
                    problems[path.name] = error
        for kind in files:
            problems |= find_strays(self.folder / kind.folder, kind.suffix, self.index.frames)
        raise_for(self.folder, problems, len(files) * len(self))
        return Verification(videos=len(self), frames=sum(self.index.frames.values()), hashes=len(self.index.sha256))

    def _verify_file(self, video: str, path: Path, sha256: str | None) -> None:
        check_file(path, sha256, self.index.arrays(self.num_frames(video)))

    def _rows(self, video: str, name: str, start: int, stop: int | None) -> NDArray[Any]:
        span = (start, self._check_span(video, start, stop))
        return self._table(video).read((name, *self.index.arrays(self.num_frames(video))[name], [span]))[0]

    def _check_span(self, video: str, start: int, stop: int | None) -> int:
        """The end of a span of frames, which must lie inside the video."""
        frames = self.num_frames(video)
        end = frames if stop is None else stop
        whole = all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in (start, end))
        if not whole or not 0 <= start <= end <= frames:
            raise DatasetError(
                f"{self.folder}: video {video!r} has {frames} frames; frames {start} to {end} are not all in it."
            )
        return end

    def _table(self, video: str) -> TableFile:
        kind = self.index.files[-1]
        return self._tables.open(f"{self.folder}/{kind.folder}/{video}{kind.suffix}")  # joining Paths takes longer
