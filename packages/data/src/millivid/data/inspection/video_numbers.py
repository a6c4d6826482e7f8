"""The numbers of one video: from its table, and from its sampled frames."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .findings import Travel, VideoNumbers
from .motion import JUMP, NEGLIGIBLE, PoseColumns, Steps, Usual, action_kinds, returns, steps, stuck_stretches
from .pixels import STILL_DIFFERENCE, Looked
from .survey import Survey


class Tally:
    """Frames of all videos in which the camera moves, and in which it turns which way."""

    def __init__(self) -> None:
        self.frames, self.moving, self.up, self.down = 0, 0, 0, 0

    def add(self, found: Steps, usual: Usual) -> tuple[int, int]:
        """Count a video; returns the frames in which it moves, and in which its yaw changes."""
        slight = NEGLIGIBLE * usual.turn
        moving = int((found.way > NEGLIGIBLE * usual.step).sum())
        up, down = int((found.yaw > slight).sum()), int((found.yaw < -slight).sum())
        self.frames, self.moving = self.frames + len(found.way) + 1, self.moving + moving
        self.up, self.down = self.up + up, self.down + down
        return moving, up + down

    def fill(self, travel: Travel, columns: PoseColumns | None) -> Travel:
        """The same with the shares that were counted."""
        every, yaw = max(self.frames, 1), columns is not None and columns.yaw is not None
        return dataclasses.replace(
            travel,
            moving=self.moving / every,
            turning_up=self.up / every if yaw else None,
            turning_down=self.down / every if yaw else None,
        )


def table_numbers(
    video: VideoNumbers, actions: NDArray[Any], poses: NDArray[np.float32], about: Survey, tally: Tally
) -> VideoNumbers:
    """The numbers so far, with those of the video's table."""
    video = dataclasses.replace(video, nan_poses=int((~np.isfinite(poses).all(axis=1)).sum()) if poses.size else None)
    if about.columns is None or about.usual is None or not len(poses):
        return video
    found, usual = steps(poses, about.columns), about.usual
    moving, turning = tally.add(found, usual)
    video = dataclasses.replace(
        video,
        distance=float(np.nansum(found.above)),
        turned=float(np.nansum(np.abs(found.yaw))) if about.columns.yaw is not None else None,
        moving=moving / len(poses),
        turning=turning / len(poses) if about.columns.yaw is not None else None,
        jumps=int((found.above > JUMP * usual.step).sum()) if usual.step > 0 else 0,
    )
    if not about.has_actions:
        return video
    acting = usual.active[action_kinds(actions, about.scale)[1:]]
    stretches = stuck_stretches(usual.unmoved(found), acting, min(about.least_stuck, max(2, len(poses) - 1)))
    return dataclasses.replace(
        video, stuck=float(stretches.sum() / len(poses)), longest_stuck=int(stretches.max(initial=0))
    )


def sampled_numbers(video: VideoNumbers, looked: Looked, poses: NDArray[np.float32], about: Survey) -> VideoNumbers:
    """The numbers so far, with those of the video's sampled frames, and how often its camera comes back."""
    places, views = None, None
    shows = ~(looked.black | looked.blank)[: len(looked.difference)]  # the others have flags of their own
    expected = shows
    if about.columns is not None and about.usual is not None and about.travel is not None:
        back = returns(poses, about.columns, about.travel)
        places, views = float(back.places.mean()), None if back.views is None else float(back.views.mean())
        unmoved = about.usual.unmoved(steps(poses, about.columns))
        if about.usual.step > 0 or about.usual.turn > 0:
            expected = shows & ~unmoved[list(looked.moments)[: len(shows)]]
    still = expected & (looked.difference <= STILL_DIFFERENCE)
    return dataclasses.replace(
        video,
        places=places,
        views=views,
        sampled_frames=len(looked.moments),
        sampled_pairs=len(looked.difference),
        brightness=float(looked.brightness.mean()),
        difference=float(looked.difference.mean()) if len(looked.difference) else None,
        black=int(looked.black.sum()),
        blank=int(looked.blank.sum()),
        moving_pairs=int(expected.sum()),
        still_pairs=int(still.sum()),
    )
