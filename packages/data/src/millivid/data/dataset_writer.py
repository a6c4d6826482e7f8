"""Writing a folder of videos of any kind, which may be stopped at any time, and verifying it when it is complete."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from millivid.files.atomic import MINUTE, names_in, remove_leftovers, write_json
from millivid.files.values import check_fields

from .dataset import Index
from .errors import DatasetError
from .index_file import INDEX_NAME, check_id, check_splits, continue_or_refuse, load_index
from .table_reader import TableFile
from .verification import Progress, Verification, check_file, raise_for, read_hash

Videos = dict[str, dict[str, int | str]]
"""What ``dataset.json`` says of each video: its frames and the hashes of its files."""


class DatasetWriter(Generic[Index]):
    """What writers of clips and of latents have in common.

    Beside each file stands the hash of what was to be written, ``<id>.sha256``, until finishing compares it with what the
    disk gives back and moves it into ``dataset.json``.
    """

    def __init__(self, folder: str | Path, index: Index, **empty: Any) -> None:
        check_fields(index, DatasetError)
        self.folder = Path(folder)
        self.index = index
        if not continue_or_refuse(self.folder, index.header()):
            self._write_index({}, {}, complete=False, **empty)

    def done(self, video: str) -> bool:
        """Whether the video is written already."""
        return all(path.is_file() for path in self._paths(video))

    def written(self) -> set[str]:
        """Ids of all videos that are written already, by whichever process."""
        kinds = self.index.files
        names = [{name for name in names_in(self.folder / kind.folder) if name.endswith(kind.suffix)} for kind in kinds]
        return set.intersection(*({Path(name).stem for name in found} for found in names))

    def splits(self) -> dict[str, list[str]] | None:
        """Ids per split of a dataset that is finished or was before it was changed, in order; None for one that never was."""
        return self._stored().get("splits") or None

    def complete(self) -> bool:
        """Whether the dataset is finished already."""
        return self._stored().get("complete") is True

    def _check_videos(
        self,
        splits: Mapping[str, Sequence[str]],
        progress: Progress,
        look: Callable[[str, TableFile], None] | None = None,
    ) -> Videos:
        """Compare the files of all videos with what was written.

        look: is given each video whose files are right, and its open table; may raise DatasetError.
        """
        ids = [video for names in splits.values() for video in names]
        for video in ids:
            check_id(video)
        check_splits(self.folder / INDEX_NAME, splits, {video for video in ids if self.done(video)})
        recorded, files = self.index.recorded_hashes(self._stored().get("videos", {})), self.index.files
        videos: Videos = {}
        problems: dict[str, DatasetError] = {}
        for video in progress(ids):
            paths = self._paths(video)
            before: Sequence[str | None] = recorded.get(video, (None,) * len(files))
            try:
                table = TableFile(str(paths[-1]))
                frames = table.rows("actions")
                arrays = self.index.arrays(frames)
                hashes = {
                    kind.hash_name: check_file(path, read_hash(path.with_suffix(".sha256")) or earlier, arrays)
                    for kind, path, earlier in zip(files, paths, before, strict=True)
                }
                if look is not None:
                    look(video, table)
                videos[video] = {"frames": frames, **hashes}
            except DatasetError as error:
                problems[paths[0].name] = error
        raise_for(self.folder, problems, len(files) * len(ids))
        return videos

    def _declare_complete(self, splits: Mapping[str, Sequence[str]], videos: Videos, **entries: Any) -> Verification:
        for kind in self.index.files:
            remove_leftovers(self.folder / kind.folder)
        remove_leftovers(self.folder, older_than=MINUTE)  # another process may be writing the same index
        self._write_index(splits, videos, complete=True, **entries)
        for video in videos:
            for path in self._paths(video):
                path.with_suffix(".sha256").unlink(missing_ok=True)
        frames = sum(int(entry["frames"]) for entry in videos.values())
        return Verification(videos=len(videos), frames=frames, hashes=len(videos))

    def _write_index(
        self, splits: Mapping[str, Sequence[str]], videos: Videos, *, complete: bool, **entries: Any
    ) -> None:
        lists = {name: list(ids) for name, ids in splits.items()}
        value = {**self.index.header(), **entries, "complete": complete, "splits": lists, "videos": videos}
        write_json(self.folder / INDEX_NAME, value)

    def _stored(self) -> dict[str, Any]:
        return load_index(self.folder, self.index.format)

    def _paths(self, video: str) -> tuple[Path, ...]:
        return self.index.paths(self.folder, video)

    def _per_frame(
        self, video: str, frames: int, actions: NDArray[Any], poses: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        """Actions and poses as the table of a video of so many frames holds them."""
        arrays, kind, names = self.index.arrays(frames), self.index.action_type, self.index.action_names
        given = {"actions": np.asarray(actions), "poses": np.asarray(poses)}
        for name, array in given.items():
            shape, dtype = arrays[name]
            if array.dtype.kind not in ("iu" if dtype == np.int64 else "iuf") or array.shape != shape:
                what = f"{kind} actions" if name == "actions" else name
                raise DatasetError(
                    f"video {video!r}: {what} are {np.dtype(dtype)} {list(shape)}; got {array.dtype} {list(array.shape)}"
                )
        actions = given["actions"]
        if kind == "continuous":
            if not np.isfinite(actions).all():
                raise DatasetError(f"video {video!r}: actions hold NaN or infinity; give finite numbers")
        elif frames and not names:
            raise DatasetError(
                f"video {video!r}: has categorical actions, but the dataset none (action_names=[]); name them, or write no "
                "actions: action_type='continuous' and arrays of no columns"
            )
        elif frames and (actions.min() < 0 or actions.max() >= len(names)):
            raise DatasetError(
                f"video {video!r}: actions must lie in 0..{len(names) - 1} ({', '.join(names)}); "
                f"got {actions.min()}..{actions.max()}"
            )
        return {name: array.astype(arrays[name][1], copy=False) for name, array in given.items()}


def as_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names as a tuple; a single text, which would fall into its letters, stays what it is and is refused as such."""
    return names if isinstance(names, str) else tuple(names)  # type: ignore[return-value]
