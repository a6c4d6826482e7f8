"""Writing a folder of video clips, which may be stopped at any time and continued later."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millivid.files.atomic import MINUTE, remove_leftovers, write_json

from .clip import POSE_NAMES, ActionType, Clip
from .clips import ClipIndex
from .dataset_writer import DatasetWriter, as_names
from .errors import DatasetError
from .index_file import INDEX_NAME, check_id
from .table_reader import TableFile
from .tables import write_hash, write_table
from .verification import Progress, Verification, file_hash
from .video import write_video


class ClipWriter(DatasetWriter[ClipIndex]):
    """Writes a clip dataset folder, video by video; may be stopped at any time and continued later.

    folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there. fps: frames per
    second of all videos. size: (height, width) of all videos, in pixels. action_names: what action 0, 1, ... are, or the
    columns of continuous actions. source: where the clips come from (JSON values): world, settings, seed. Two writers with
    equal sources must write equal videos, because a continued dataset mixes theirs. lossless: store frames without loss
    (about five times the size). pose_names: what the columns of a pose are; none where poses are not known. action_type:
    whether an action is one of the names, or a vector with a number for each (none where actions are not known).

    Several processes may write different videos into one folder, each with its own `ClipWriter`; one of them calls `finish`
    when all are done. Raises DatasetError where the folder holds something else.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        size: tuple[int, int],
        action_names: Sequence[str],
        source: Mapping[str, Any],
        lossless: bool = False,
        pose_names: Sequence[str] = POSE_NAMES,
        action_type: ActionType = "categorical",
    ) -> None:
        index = ClipIndex(
            fps=fps,
            size=tuple(size),  # type: ignore[arg-type]  # checked below
            action_names=as_names(action_names),
            action_type=action_type,
            pose_names=as_names(pose_names),
            lossless=lossless,
            source=dict(source),
        )
        super().__init__(folder, index)
        self._known_unfinished = False

    def write(self, video: str, clip: Clip) -> None:
        """Write a video and its table; each file appears whole or not at all, the table last.

        A dataset that was finished is unfinished from then on, until `finish` is called again. Raises DatasetError where
        the clip does not fit the dataset (size, action out of range, number of pose columns), or the id cannot be a file
        name.
        """
        check_id(video)
        size = self.index.size
        if clip.frames.shape[1:3] != size or not len(clip):
            raise DatasetError(
                f"video {video!r}: a clip of at least one frame of {size[0]}x{size[1]} pixels is expected; "
                f"got shape {list(clip.frames.shape)}"
            )
        rows = self._per_frame(video, len(clip), clip.actions, clip.poses)
        if not self._known_unfinished:
            stored = self._stored()
            if stored.get("complete"):
                write_json(self.folder / INDEX_NAME, {**stored, "complete": False})
            self._known_unfinished = True
        path, table = self._paths(video)
        write_video(path, clip.frames, self.index.fps, lossless=self.index.lossless)
        write_hash(path, file_hash(path))
        write_table(table, rows)

    def poses(self, video: str) -> NDArray[np.float32]:
        """Poses of a video that is written, float32 [frame, pose]."""
        table = TableFile(str(self._paths(video)[-1]))
        frames = table.rows("actions")
        return table.read(("poses", *self.index.arrays(frames)["poses"], [(0, frames)]))[0]

    def finish(self, splits: Mapping[str, Sequence[str]], progress: Progress = iter) -> Verification:
        """Compare every file with what was written and declare the dataset complete: write the index with these splits.

        Files of videos that are in no split are deleted. No writer may be at work; several processes may finish at the same
        time, with the same arguments.

        splits: ids per split, in order. progress: is given the ids and gives them back one by one; `tqdm` will do. Raises
        DatasetError where a split names a video that is not written, a video is in two splits, or files are damaged or are
        not what was written; it names them.
        """
        found = self._declare_complete(splits, self._check_videos(splits, progress))
        self._known_unfinished = False
        self.tidy()
        return found

    def tidy(self) -> None:
        """Delete what a finished dataset does not need: files of videos that are in no split, hashes in files, leftovers."""
        remove_leftovers(self.folder, older_than=MINUTE)
        listed = self._stored().get("videos", {})
        for kind in reversed(self.index.files):
            for path in list((self.folder / kind.folder).glob("[!.]*")):
                if path.suffix == ".sha256" or path.stem not in listed:
                    path.unlink(missing_ok=True)
