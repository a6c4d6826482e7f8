"""Paths and the Chamfer distance by hand; test sequences come back more than others."""

import numpy as np
import pytest

from millivid.data_gen import chamfer_distance, draw_actions, draw_test_actions, flat_path


def test_chamfer_by_hand() -> None:
    """a = {(0,0), (2,0)}, b = {(0,1)}: a to b (1 + sqrt 5) / 2, b to a 1."""
    a, b = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0]])
    assert chamfer_distance(a, b) == pytest.approx((1 + 5**0.5) / 2 + 1)
    assert chamfer_distance(b, a) == chamfer_distance(a, b)
    assert chamfer_distance(a, a) == 0


def test_a_walk_round_a_block_ends_where_it_began() -> None:
    """Three times forward, three turning frames of 30 degrees, four times over."""
    path = flat_path(np.tile([0, 0, 0, 2, 2, 2], 4), 3)
    np.testing.assert_allclose(path[2], [0, 3, 0])
    np.testing.assert_allclose(path[8], [-3, 3, 90])  # right of +z is -x
    np.testing.assert_allclose(path[14], [-3, 0, 180])
    np.testing.assert_array_equal(path[-1], [0, 0, 0])


def test_left_and_right_undo_each_other() -> None:
    path = flat_path(np.array([1, 2, 0, 1]), 9)
    np.testing.assert_allclose(path, [[0, 0, 350], [0, 0, 0], [0, 1, 0], [0, 1, 350]])


def test_test_actions_stay_near_the_context() -> None:
    def score(actions: np.ndarray) -> float:
        points = flat_path(actions, 3)[:, :2]
        return chamfer_distance(points[:40], points[40:])

    chosen = [draw_test_actions(np.random.default_rng(seed), 120, 3, 40) for seed in range(5)]
    drawn = sorted(score(draw_actions(np.random.default_rng(seed), 120, 3)) for seed in range(100))
    assert all(score(actions) < drawn[35] for actions in chosen)
    np.testing.assert_array_equal(chosen[0], draw_test_actions(np.random.default_rng(0), 120, 3, 40))
    assert len({actions.tobytes() for actions in chosen}) == 5


def test_bad_arguments_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="context is 10; it must be a whole number from 1 to 9 for 10 frames"):
        draw_test_actions(rng, 10, 3, 10)
