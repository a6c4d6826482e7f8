"""Writing a folder of video clips, which may be stopped at any time and continued later."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import MINUTE, remove_leftovers, write_json
from .clip import POSE_NAMES, ActionType, Clip, action_array
from .clips import CLIP_FORMAT, recorded_clip_hashes
from .errors import DatasetError
from .index_file import (
    INDEX_NAME,
    VERSION,
    check_id,
    check_splits,
    continue_or_refuse,
    load_index,
)
from .table_reader import TableFile
from .tables import write_hash, write_table
from .verification import (
    Progress,
    Shapes,
    Verification,
    check_file,
    check_hash,
    clip_shapes,
    file_hash,
    raise_for,
    read_hash,
)
from .video import write_video


class ClipWriter:
    """Writes a clip dataset folder, video by video; may be stopped at any time and continued later.

    Args:
        folder: the output. New or empty, or begun earlier with the same arguments: then writing goes on there.
        fps: frames per second of all videos.
        size: (height, width) of all videos, in pixels.
        action_names: what action 0, 1, ... are, or the columns of continuous actions.
        source: where the clips come from (JSON values): world, settings, seed. Two writers with equal sources must
            write equal videos, because a continued dataset mixes theirs.
        lossless: store frames without loss (about five times the size).
        pose_names: what the columns of a pose are; none where poses are not known.
        action_type: whether an action is one of the names, or a vector with a number for each (none where actions are
            not known).

    Several processes may write different videos into one folder, each with its own `ClipWriter`; one of them calls
    `finish` when all are done.

    Raises:
        DatasetError: the folder holds something else.
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
        self.folder = Path(folder)
        self.size = (int(size[0]), int(size[1]))
        self.lossless = lossless
        self._header: dict[str, Any] = {
            "format": CLIP_FORMAT,
            "version": VERSION,
            "fps": fps,
            "size": list(self.size),
            "action_type": action_type,
            "action_names": list(action_names),
            "pose_names": list(pose_names),
            "lossless": lossless,
            "source": dict(source),
        }
        self._open = False  # whether it is known that the dataset is unfinished
        if continue_or_refuse(self.folder, self._header) is None:
            write_json(self.folder / INDEX_NAME, {**self._header, "complete": False, "splits": {}, "videos": {}})
            self._open = True

    def done(self, video: str) -> bool:
        """Whether the video is written already."""
        return self._video(video).is_file() and self._table(video).is_file()

    def write(self, video: str, clip: Clip) -> None:
        """Write a video and its table; each file appears whole or not at all, the table last.

        A dataset that was finished is unfinished from then on, until `finish` is called again.

        Raises:
            DatasetError: the clip does not fit the dataset (size, action out of range, number of pose columns), or
                the id cannot be a file name.
        """
        check_id(video)
        header = self._header
        if clip.frames.shape[1:3] != self.size or not len(clip):
            raise DatasetError(
                f"video {video!r}: a clip of at least one frame of {self.size[0]}x{self.size[1]} pixels is expected; "
                f"got shape {list(clip.frames.shape)}"
            )
        _check_actions(video, clip.actions, header["action_type"], header["action_names"])
        num_poses = len(header["pose_names"])
        if clip.poses.shape[1] != num_poses:
            raise DatasetError(f"video {video!r}: poses must have {num_poses} columns; got {clip.poses.shape[1]}")
        if not self._open:
            value = load_index(self.folder, CLIP_FORMAT)
            if value.get("complete"):
                write_json(self.folder / INDEX_NAME, {**value, "complete": False})
            self._open = True
        write_video(self._video(video), clip.frames, header["fps"], lossless=self.lossless)
        write_hash(self._video(video).with_suffix(".sha256"), file_hash(self._video(video)), self._video(video).name)
        table = {"actions": clip.actions, "poses": clip.poses}
        write_table(self._table(video), table, self._table(video).with_suffix(".sha256"))

    def written(self) -> set[str]:
        """Ids of all videos that are written already, by whichever process."""
        videos, tables = self.folder / "videos", self.folder / "tables"
        return {path.stem for path in videos.glob("[!.]*.mp4")} & {
            path.stem for path in tables.glob("[!.]*.safetensors")
        }

    def poses(self, video: str) -> NDArray[np.float32]:
        """Poses of a video that is written, float32 [frame, pose]."""
        table = TableFile(str(self._table(video)))
        frames = table.rows("actions")
        return table.read("poses", (frames, len(self._header["pose_names"])), np.float32, [(0, frames)])

    def splits(self) -> dict[str, list[str]] | None:
        """Ids per split of a dataset that is finished or was before it was changed, in order; None for one that never was."""
        return load_index(self.folder, CLIP_FORMAT).get("splits") or None

    def complete(self) -> bool:
        """Whether the dataset is finished already."""
        return load_index(self.folder, CLIP_FORMAT).get("complete") is True

    def finish(self, splits: Mapping[str, Sequence[str]], progress: Progress = iter) -> Verification:
        """Compare every file with what was written and declare the dataset complete: write the index with these splits.

        Files of videos that are in no split are deleted. No writer may be at work; several processes may finish at the
        same time, with the same arguments.

        Args:
            splits: ids per split, in order.
            progress: is given the ids and gives them back one by one; `tqdm` will do.

        Raises:
            DatasetError: a split names a video that is not written, a video is in two splits, or files are damaged or
                are not what was written; it names them.
        """
        ids = [video for names in splits.values() for video in names]
        for video in ids:
            check_id(video)
        path = self.folder / INDEX_NAME
        check_splits(path, splits, {video for video in ids if self.done(video)})
        recorded = recorded_clip_hashes(load_index(self.folder, CLIP_FORMAT))
        videos: dict[str, dict[str, int | str]] = {}
        problems: dict[str, DatasetError] = {}
        for video in progress(ids):
            try:
                table, of_video = self._table(video), read_hash(self._video(video).with_suffix(".sha256"))
                of_table, before = read_hash(table.with_suffix(".sha256")), recorded.get(video, (None, None))
                rows = TableFile(str(table)).rows("actions")
                videos[video] = {
                    "frames": rows,
                    "video_sha256": check_hash(self._video(video), of_video or before[0]),
                    "table_sha256": check_file(table, self._shapes(rows), of_table or before[1]),
                }
            except DatasetError as error:
                problems[self._video(video).name] = error
        raise_for(self.folder, problems, 2 * len(ids))
        for folder in (self.folder / "videos", self.folder / "tables"):
            remove_leftovers(folder)
        remove_leftovers(self.folder, older_than=MINUTE)  # another process may be writing the same index
        complete = {"complete": True, "splits": {name: list(ids) for name, ids in splits.items()}, "videos": videos}
        write_json(path, {**self._header, **complete})
        self._open = False
        self.tidy()
        return Verification(
            videos=len(videos), frames=sum(int(entry["frames"]) for entry in videos.values()), hashes=len(videos)
        )

    def tidy(self) -> None:
        """Delete what a finished dataset does not need: files of videos that are in no split, hashes in files, leftovers."""
        remove_leftovers(self.folder, older_than=MINUTE)
        listed = load_index(self.folder, CLIP_FORMAT).get("videos", {})
        for path in [*(self.folder / "tables").glob("[!.]*"), *(self.folder / "videos").glob("[!.]*")]:
            if path.suffix == ".sha256" or path.stem not in listed:
                path.unlink(missing_ok=True)

    def _shapes(self, frames: int) -> Shapes:
        header = self._header
        return clip_shapes(frames, header["action_type"], header["action_names"], header["pose_names"])

    def _video(self, video: str) -> Path:
        return self.folder / "videos" / f"{video}.mp4"

    def _table(self, video: str) -> Path:
        return self.folder / "tables" / f"{video}.safetensors"


def _check_actions(video: str, actions: NDArray[Any], action_type: ActionType, names: Sequence[str]) -> None:
    dtype, shape = action_array(action_type, len(names), len(actions))
    if actions.dtype != dtype or actions.shape != shape:
        raise DatasetError(
            f"video {video!r}: {action_type} actions are {np.dtype(dtype)} {list(shape)}; got {actions.dtype} "
            f"{list(actions.shape)}"
        )
    if action_type == "continuous":
        if not np.isfinite(actions).all():
            raise DatasetError(f"video {video!r}: actions hold NaN or infinity; give finite numbers")
    elif actions.min() < 0 or actions.max() >= len(names):
        raise DatasetError(
            f"video {video!r}: actions must lie in 0..{len(names) - 1} ({', '.join(names)}); "
            f"got {actions.min()}..{actions.max()}"
        )
