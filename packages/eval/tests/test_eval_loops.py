"""Closing loops: which frames come back, and worlds whose closure is known."""

import math

import numpy as np
import pytest

from millivid.eval import EvaluationError, loop_closure
from millivid.eval.loop_closure import find_returns

TURN = 30.0
SIZE = 16


def turning(yaws: list[float]) -> np.ndarray:
    """Poses of a camera that stands at a place and looks this way, that way."""
    return np.array([[4, 1, 4, yaw % 360, 0] for yaw in yaws], float)


def circles(turns: int) -> np.ndarray:
    return turning([TURN * turn for turn in range(turns)])


def view(pose: np.ndarray, seed: int = 0) -> np.ndarray:
    """What a pose shows: noise that belongs to it."""
    key = [seed, *(np.round(pose * 100).astype(int) % 2**16).tolist()]
    return np.random.default_rng(key).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("yaws", "first", "pairs"),
    [
        ([0, 30, 60, 30, 0], 0, [(0, 4)]),  # 30 is within 45 degrees of 60: no one was away from it
        ([0, 0, 60, 0, 0], 0, [(1, 3), (1, 4)]),  # the latest before it was away
        ([0, 60, 0, 60, 0, 60], 0, [(0, 2), (1, 3), (2, 4), (3, 5)]),
        ([0, 60, 0, 60, 0, 60], 2, [(2, 4), (3, 5)]),  # not from before the last context frame
        ([350, 80, -10], 0, [(0, 2)]),
        ([0, 90, 180, 270], 0, []),
        ([0, 90, 0.05, 90.3], 0, [(0, 2)]),  # to a tenth of a degree
        ([0], 0, []),
    ],
)
def test_which_frames_come_back(yaws: list[float], first: int, pairs: list[tuple[int, int]]) -> None:
    assert [tuple(pair) for pair in find_returns(turning(yaws), first).tolist()] == pairs


def test_walking_away_and_back_counts_too() -> None:
    poses = np.zeros((9, 5))
    poses[:, 2] = [0, 0.5, 1, 1.5, 2, 1.5, 1, 0.5, 0]
    assert find_returns(poses, 0).tolist() == [[1, 7], [0, 8]]
    assert find_returns(poses, 0, away_distance=2).tolist() == [[0, 8]]


def test_a_perfect_world_closes_every_loop() -> None:
    poses = circles(40)
    found = loop_closure(np.stack([view(pose) for pose in poses]), poses)
    assert len(found.pairs) == 28 and found.value == 0
    assert (found.distances == 0).all() and (found.closures == 0).all()


def test_a_frozen_video_is_no_perfect_one() -> None:
    poses = circles(26)
    found = loop_closure(np.repeat(view(poses[0])[None], 26, axis=0), poses)
    assert len(found.pairs) == 14 and np.isnan(found.closures).all() and math.isnan(found.value)


def test_noise_is_as_far_as_anything_on_the_way() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, SIZE, SIZE, 3)).astype(np.uint8)
    assert loop_closure(noise, circles(120)).value == pytest.approx(1, abs=0.02)


def test_a_drift_shows_as_the_squared_gap() -> None:
    """A camera looks at one place, away for 2, 19 and 39 frames, and back; all grows lighter by one level per frame."""
    yaws = [0.0]
    for gap in (3, 20, 40):
        yaws += [60 + len(yaws) + away for away in range(gap - 1)] + [0.0]
    poses = turning(yaws)
    levels = np.where(poses[:, 3] == 0, 50, 110) + np.arange(len(yaws))
    frames = np.broadcast_to(levels[:, None, None, None], (len(yaws), SIZE, SIZE, 3)).astype(np.uint8)
    found = loop_closure(frames, poses)
    gaps = found.pairs[:, 1] - found.pairs[:, 0]
    assert gaps.tolist() == [3, 20, 40]
    np.testing.assert_allclose(found.distances, (gaps / 255) ** 2, rtol=1e-5)
    np.testing.assert_allclose(found.closures[0], 3**2 / np.mean([61**2, 62**2]), rtol=1e-5)
    assert found.value == pytest.approx(found.closures.mean())


def test_only_the_generated_part_counts() -> None:
    """Within the context the world forgets everything; from its last frame on it is perfect."""
    poses = circles(40)
    frames = np.stack([view(pose, seed=index if index < 15 else 0) for index, pose in enumerate(poses)])
    assert loop_closure(frames, poses, 16).value == 0
    assert loop_closure(frames, poses, 15).value > 0


def test_what_does_not_go_together_is_explained() -> None:
    poses = circles(6)
    frames = np.stack([view(pose) for pose in poses])
    nowhere = loop_closure(frames, poses)
    assert nowhere.pairs.shape == (0, 2) and math.isnan(nowhere.value)
    with pytest.raises(EvaluationError, match=r"6 frames came with poses \(5, 5\)"):
        loop_closure(frames, poses[1:])
    with pytest.raises(EvaluationError, match="context is 0"):
        loop_closure(frames, poses, 0)
