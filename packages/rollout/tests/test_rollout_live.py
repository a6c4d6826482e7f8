"""Live plans: what is shown stays, was written with the actions that were held, and reads nothing that is void."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millivid.rollout import Chunk, LivePlan, MilliVid, Role, ScheduleError, cuts, live_cost, make_schedule

from .strategies import chunks

NOTHING = -1


class Played:
    """A video as a table of which action every cell was written with, played by keys."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.plan = chunk, LivePlan(chunk=chunk, first=chunk.target_start)
        self.cells = np.full((chunk.num_levels, chunk.target_start), 7)  # the given frames, by whatever action
        self.held = [7] * chunk.target_start  # the action of each frame, as far as it is decided
        self.shown, self.steps = chunk.target_start, 0

    def run(self, action: int) -> None:
        """Run the next step, as if the action stayed."""
        planned = self.plan.next_step
        first, end = planned.chunk_start, planned.chunk_start + self.chunk.num_frames
        if (missing := end - self.cells.shape[1]) > 0:
            self.cells = np.pad(self.cells, ((0, 0), (0, missing)), constant_values=NOTHING)
        here = self.cells[:, first:end]
        assumed = np.array([*self.held[:end], *[action] * (end - len(self.held))][first:end])
        read = planned.step.roles == Role.CONTEXT
        assert (here[read] == np.broadcast_to(assumed, here.shape)[read]).all()  # exists, and by the right actions
        written = planned.step.roles == Role.TARGET
        assert not written[:, : self.plan.first - first].any()
        assert not (written[0] & (np.arange(first, end) < self.shown)).any()
        here[written] = np.broadcast_to(assumed, here.shape)[written]
        self.plan, self.steps = self.plan.ran(), self.steps + 1
        self.held += [action] * (self.plan.finished - len(self.held))

    def change(self) -> None:
        """Give up the future: what is written of it, at any level, is gone."""
        self.plan = self.plan.change(self.shown)
        self.cells, self.held = self.cells[:, : self.plan.first], self.held[: self.plan.first]

    def show(self) -> None:
        assert self.cells[0, self.shown] == self.held[self.shown]
        self.shown += 1


@settings(max_examples=120, deadline=None)
@given(chunks(), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=8))
def test_whatever_is_pressed(chunk: Chunk, keys: list[tuple[int, int, int]]) -> None:
    played, before = Played(chunk), None
    for action, frames, ahead in keys:
        if action != before:
            seen, shown, begun = played.held[: played.shown], played.shown, played.plan.first
            played.change()
            assert played.held[:shown] == seen
            assert played.plan.first == max(shown, begun) and played.plan.done == 0
            before, start, steps = action, played.plan.first, played.steps
            while played.plan.finished == start:
                played.run(action)
            assert played.steps - steps == cuts(chunk)[0].steps
        for _ in range(frames):
            while played.plan.finished <= played.shown:
                played.run(action)
            played.show()
        for _ in range(ahead):  # work that may turn out to be for nothing
            played.run(action)


@settings(max_examples=120, deadline=None)
@given(chunks())
def test_a_chunk_can_end_where_its_frames_are_final(chunk: Chunk) -> None:
    ends, last = cuts(chunk), 0
    for cut in ends:
        assert last < cut.frames <= chunk.num_kept_frames and 1 <= cut.steps <= len(chunk.steps)
        inside = slice(chunk.target_start, chunk.target_start + cut.frames)
        exists = np.any([step.roles[:, inside] == Role.TARGET for step in chunk.steps[: cut.steps]], axis=0)
        assert exists[0].all()
        later = [(step.roles[:, inside] == Role.TARGET).any() for step in chunk.steps[cut.steps :]]
        assert not any(later)
        last = cut.frames
    assert last == chunk.num_kept_frames


def test_after_a_change_the_next_frames_come_after_one_step_for_each_level() -> None:
    chunk = MilliVid(windows=(4, 16, 64), history=64).chunk((16, 4, 1))
    live = LivePlan(chunk=chunk, first=84)
    for _ in range(5):
        live = live.ran()
    assert (live.first, live.done, live.finished) == (84, 5, 96)
    live = live.change(shown=89)
    assert (live.first, live.done, live.finished) == (89, 0, 89)
    for level in (2, 1, 0):
        assert live.next_step.step.target_levels == (level,) and live.next_step.chunk_start == 89 - chunk.target_start
        live = live.ran()
    assert live.finished == 93


def test_what_it_costs() -> None:
    tokens = (16, 4, 1)
    steady = live_cost(MilliVid(windows=(4, 16, 64), history=64), tokens)
    assert (steady.steps_per_frame, steady.steps_to_answer) == (21 / 64, 3)
    assert live_cost(MilliVid(windows=(4, 16, 64), history=64), tokens, change_every=4).steps_per_frame == 3 / 4
    assert live_cost(MilliVid(windows=(4, 16, 64), history=64), tokens, change_every=1).steps_per_frame == 3
    flat = live_cost(make_schedule("full_resolution", num_frames=16), tokens)
    assert (flat.steps_per_frame, flat.steps_to_answer) == (1 / 8, 1)
    packed = live_cost(make_schedule("framepack", num_targets=4, context=(4, 16, 64)), tokens, change_every=6)
    assert (packed.steps_per_frame, packed.steps_to_answer) == (1 / 4, 1)


def test_what_cannot_be() -> None:
    chunk = MilliVid(windows=(4, 16, 64), history=64).chunk((16, 4, 1))
    with pytest.raises(ScheduleError, match="first is 83; expected an integer, 84 or more"):
        LivePlan(chunk=chunk, first=83)
    with pytest.raises(ScheduleError, match="86 frames cannot have been shown; 84 are finished"):
        LivePlan(chunk=chunk, first=84).change(shown=86)
    with pytest.raises(ScheduleError, match="change_every is 0"):
        live_cost(MilliVid(windows=(4, 16, 64), history=64), (16, 4, 1), change_every=0)
