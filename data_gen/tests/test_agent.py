"""The agent draws what the paper says: counts, proportions, order, holding."""

from collections import Counter

import numpy as np
import pytest

from millivid.data_gen import ACTION_NAMES, draw_actions
from millivid.data_gen.agent import FORWARD, LEFT, RIGHT, TURN_COUNTS, TURN_PROBABILITIES, draw_bundle


class Scripted:
    """Stands in for a random generator: returns what the test says, and shuffles by reversing."""

    def __init__(self, num_turns: int, num_forwards: int, direction: int) -> None:
        self.choices = [num_turns, direction]
        self.num_forwards = num_forwards
        self.asked: tuple[int, int] | None = None

    def choice(self, values: tuple[int, ...], p: tuple[float, ...] | None = None) -> int:
        return self.choices.pop(0)

    def integers(self, low: int, high: int) -> int:
        self.asked = (low, high)
        return self.num_forwards

    def shuffle(self, values: list[int]) -> None:
        values.reverse()


@pytest.mark.parametrize(
    ("num_turns", "num_forwards", "direction", "bundle", "forward_range"),
    [
        (1, 1, LEFT, [0, 1, 0], (1, 3)),
        (2, 3, RIGHT, [0, 2, 2, 0, 0, 0], (2, 6)),
        (4, 4, LEFT, [0, 1, 1, 1, 1, 0, 0, 0, 0], (4, 12)),
    ],
)
def test_a_bundle_by_hand(
    num_turns: int, num_forwards: int, direction: int, bundle: list[int], forward_range: tuple[int, int]
) -> None:
    rng = Scripted(num_turns, num_forwards, direction)
    assert draw_bundle(rng) == bundle  # type: ignore[arg-type]
    assert rng.asked == forward_range


def test_the_vocabulary() -> None:
    assert [ACTION_NAMES[action] for action in (FORWARD, LEFT, RIGHT)] == ["forward", "left", "right"]


def test_bundles_are_distributed_as_in_the_paper() -> None:
    rng = np.random.default_rng(0)
    bundles = [draw_bundle(rng) for _ in range(10_000)]
    turns: Counter[int] = Counter()
    forwards: dict[int, Counter[int]] = {count: Counter() for count in TURN_COUNTS}
    left = 0
    for bundle in bundles:
        assert bundle[0] == FORWARD
        counts = Counter(bundle[1:])
        assert not (counts[LEFT] and counts[RIGHT])
        num_turns = counts[LEFT] + counts[RIGHT]
        turns[num_turns] += 1
        forwards[num_turns][counts[FORWARD]] += 1
        left += counts[LEFT] > 0
    expected = 10_000 * np.array(TURN_PROBABILITIES)
    observed = np.array([turns[count] for count in TURN_COUNTS])
    assert ((observed - expected) ** 2 / expected).sum() < 21.1  # chi-square, 3 degrees of freedom, 0.01 %
    for count in TURN_COUNTS:
        assert sorted(forwards[count]) == list(range(count, 3 * count))  # each number occurs, the upper end does not
    assert abs(left - 5000) < 4 * 50
    # Shuffled: with one turn and one forward, both orders come.
    assert {tuple(bundle) for bundle in bundles if len(bundle) == 3} == {(0, 0, 1), (0, 1, 0), (0, 0, 2), (0, 2, 0)}


@pytest.mark.parametrize("hold", [1, 3, 9])
def test_actions_are_held_and_cut_to_length(hold: int) -> None:
    actions = draw_actions(np.random.default_rng(1), 10 * hold + 1, hold)
    assert actions.shape == (10 * hold + 1,)
    assert actions.dtype == np.int64
    assert (actions[: 10 * hold].reshape(10, hold) == actions[: 10 * hold : hold, None]).all()
    once = draw_actions(np.random.default_rng(1), 11, 1)
    np.testing.assert_array_equal(actions[::hold], once)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="num_frames is 0; it must be a whole number of at least 1"):
        draw_actions(np.random.default_rng(0), 0, 3)
