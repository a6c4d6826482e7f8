"""What actions do to the camera, and the way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millivid.eval import EvaluationError
from millivid.eval.motion import measure_motions, returning, walk

FORWARD, LEFT, RIGHT = 0, 1, 2


def turning_vocabulary(step: float = 0.15, turn: float = 30.0) -> np.ndarray:
    """forward, left, right: nothing that goes back."""
    return np.array([[0, 0, step, 0, 0], [0, 0, 0, -turn, 0], [0, 0, 0, turn, 0]])


def game_vocabulary(step: float = 0.2, turn: float = 7.0) -> np.ndarray:
    """forward, back, both strafes, both turns, both looks, up, down, nothing, and forward while turning, both ways."""
    looks = [[0, 0, 0, -turn, 0], [0, 0, 0, turn, 0], [0, 0, 0, 0, -turn], [0, 0, 0, 0, turn]]
    moves = [[0, 0, step, 0, 0], [0, 0, -step, 0, 0], [-step, 0, 0, 0, 0], [step, 0, 0, 0, 0], [0, step, 0, 0, 0]]
    curve = np.array([0, 0, step, turn, 0])
    sin, cos = np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))
    uncurve = np.array([step * sin, 0, -step * cos, -turn, 0])
    return np.array([*moves, [0, -step, 0, 0, 0], *looks, [0] * 5, curve, uncurve], float)


def strafing_vocabulary(step: float = 0.2, turn: float = 30.0) -> np.ndarray:
    """forward, strafe left, left, right: neither has an opposite, but turned around both undo themselves."""
    return np.array([[0, 0, step, 0, 0], [-step, 0, 0, 0, 0], [0, 0, 0, -turn, 0], [0, 0, 0, turn, 0]])


def assert_same(pose: np.ndarray, other: np.ndarray, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(pose[[0, 1, 2, 4]], other[[0, 1, 2, 4]], atol=tolerance)
    assert abs((pose[3] - other[3] + 180) % 360 - 180) < tolerance


def test_axes_are_those_of_the_recordings() -> None:
    """Ahead is +z at yaw 0 and -x at 90; right is -x at yaw 0."""
    motions = np.array([[0, 0, 1, 0, 0], [0, 0, 0, 90, 0], [1, 0, 0, 0, 0]], float)
    poses = walk(np.array([5, 1, 5, 0, 0]), np.array([0, 1, 0, 2]), motions)
    expected = [[5, 1, 6, 0, 0], [5, 1, 6, 90, 0], [4, 1, 6, 90, 0], [4, 1, 5, 90, 0]]
    np.testing.assert_allclose(poses, expected, atol=1e-12)


@given(
    vocabulary=st.sampled_from([turning_vocabulary, game_vocabulary, strafing_vocabulary]),
    step=st.floats(0.01, 2),
    frames_per_half_turn=st.integers(2, 60),
    start=st.tuples(*[st.floats(-50, 50)] * 3, st.floats(0, 359.9), st.floats(-80, 80)),
    draws=st.lists(st.integers(0, 10**6), max_size=80),
)
@settings(max_examples=200, deadline=None)
def test_there_and_back(
    vocabulary: object, step: float, frames_per_half_turn: int, start: tuple[float, ...], draws: list[int]
) -> None:
    motions = vocabulary(step, 180 / frames_per_half_turn)  # type: ignore[operator]
    actions = np.array(draws, np.int64) % len(motions)
    way = np.concatenate([actions, returning(actions, motions)])
    end = walk(np.array(start), way, motions)[-1] if len(way) else np.array(start)
    assert_same(end, np.array(start))


def test_a_vocabulary_with_opposites_goes_straight_back() -> None:
    motions = game_vocabulary()
    assert returning(np.array([0, 0, 2, 6]), motions).tolist() == [7, 3, 1, 1]


def test_without_back_the_camera_turns_around_once() -> None:
    motions = turning_vocabulary(turn=90.0)
    back = returning(np.array([FORWARD, LEFT, FORWARD, FORWARD]), motions)
    around = [LEFT, LEFT]
    assert back.tolist() == [*around, FORWARD, FORWARD, RIGHT, FORWARD, *around]
    assert returning(np.array([LEFT, LEFT, RIGHT]), motions).tolist() == [LEFT, RIGHT, RIGHT]


def test_motions_are_measured() -> None:
    rng = np.random.default_rng(0)
    motions = game_vocabulary()
    actions = [rng.integers(0, len(motions) - 1, 150) for _ in range(4)]
    poses = [walk(np.array([9, 2, 4, 77, 0]), clip, motions).astype(np.float32) for clip in actions]
    measured = measure_motions(actions, poses, len(motions))
    np.testing.assert_allclose(measured[:-1], motions[:-1], atol=1e-4)
    assert np.isnan(measured[-1]).all()  # never taken


def test_stops_and_hills_do_not_disturb_a_measurement() -> None:
    """In one frame in ten the agent is stopped; the ground goes up and down."""
    rng = np.random.default_rng(1)
    actions = rng.integers(0, 3, 600)
    poses = walk(np.array([0, 0, 0, 10, 0]), np.where(rng.random(600) < 0.1, LEFT, actions), turning_vocabulary())
    poses[:, 1] += np.cumsum(rng.normal(0, 0.02, 600))
    np.testing.assert_allclose(measure_motions([actions], [poses], 3), turning_vocabulary(), atol=1e-9)


def test_a_vocabulary_that_cannot_return_says_why() -> None:
    only_forward = turning_vocabulary()[:1]
    with pytest.raises(EvaluationError, match=r"no action undoes action 0 directly, and none turns the camera around"):
        returning(np.array([0]), only_forward)
    with pytest.raises(EvaluationError, match="none turns the camera around in a whole number"):
        returning(np.array([0]), turning_vocabulary(turn=50.0))
    with pytest.raises(EvaluationError, match=r"action 1 moves the camera by .* yaw -30.* and no action undoes it"):
        returning(np.array([1]), turning_vocabulary()[:2])
    unknown = turning_vocabulary()
    unknown[1] = np.nan
    with pytest.raises(EvaluationError, match="motion of action 1 is not known"):
        returning(np.array([0, 1]), unknown)
    assert returning(np.array([0]), unknown).tolist() == [RIGHT] * 6 + [FORWARD] + [RIGHT] * 6
    with pytest.raises(EvaluationError, match="3 actions came with poses"):
        measure_motions([np.zeros(3, np.int64)], [np.zeros((4, 5))], 1)
