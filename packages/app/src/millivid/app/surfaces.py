"""Which surface each pixel of a recorded video shows, for clips of the block world."""

from typing import Any

import numpy as np
from jaxtyping import Int64

from millivid.data import ClipDataset, DatasetError
from millivid.data_gen import RecordConfig, VoxelConfig, VoxelWorld
from millivid.data_gen.recorder import enter_world


class VoxelSurfaces:
    """Makes the worlds of a recorded dataset again, one video's at a time, and asks them what its pixels show.

    Raises ValueError for clips that `millivid data generate` of this version did not record; see `surfaces_of`.
    """

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset
        self._config = RecordConfig.from_source(dataset.index.source)
        assert isinstance(self._config.world, VoxelConfig)
        self._world = VoxelWorld(self._config.world)
        self._video: str | None = None

    def surfaces(self, id: str, start: int, stop: int) -> Int64[np.ndarray, "frame height width"]:
        """Ids of what frames [start, stop) of a video show: the same wherever a surface is seen, negative for the sky.

        See `millivid.data_gen.Surfaces`. Raises DatasetError for frames outside of the video, ValueError for one that
        is no whole video of the recording.
        """
        poses = self._dataset.poses(id, start, stop)
        world = self.world(id)
        ids = [world.surfaces(pose).ids for pose in poses]
        return np.stack(ids) if ids else np.empty((0, *self._config.world.size), np.int64)

    def describe(self) -> dict[str, Any]:
        """What the ids depend on, besides a video's id and its poses, as JSON values."""
        return {"kind": "surfaces of the block world", "recording": dict(self._dataset.index.source)}

    def world(self, id: str) -> VoxelWorld:
        """The world that a video was recorded in, until the next video's is asked for."""
        if self._video != id:
            split, index = self._config.split_and_index(id)
            actions = self._dataset.actions(id)
            if len(actions) != self._config.frames:
                raise DatasetError(
                    f"{self._dataset.folder}: video {id!r} has {len(actions)} frames, but was recorded with "
                    f"{self._config.frames}, and its world was built around all of them; give the dataset as recorded"
                )
            enter_world(self._world, self._config, split, index, actions)
            self._video = id
        return self._world


def surfaces_of(dataset: ClipDataset) -> VoxelSurfaces | None:
    """The surfaces of a dataset's videos; None for clips that this version's block world did not make, or not like that."""
    try:
        recorded = RecordConfig.from_source(dataset.index.source)
    except ValueError:
        return None
    if not isinstance(recorded.world, VoxelConfig):
        return None
    ids = {id for split in recorded.ids().values() for id in split}
    whole = all(id in ids and dataset.num_frames(id) == recorded.frames for id in dataset.ids())
    return VoxelSurfaces(dataset) if whole else None
