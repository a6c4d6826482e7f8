"""What holds for every registered schedule, whatever its settings and the pyramid."""

import json
import re
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from millivid.rollout import Plan, Role, ScheduleError, make_schedule, plan, schedule_names, suggest
from millivid.rollout.schedule_registry import BUILT_IN

from .strategies import PYRAMIDS, SETTINGS, chunks, contexts, named_settings


def test_every_built_in_schedule_is_covered() -> None:
    assert set(SETTINGS) == set(BUILT_IN) <= set(schedule_names())


@settings(max_examples=120, deadline=None)
@given(chunks())
def test_the_token_budget_is_equal_in_every_step_or_padding_is_declared(chunk: Any) -> None:
    assert chunk.pads or set(chunk.num_tokens_per_step.tolist()) == {chunk.num_tokens}
    assert chunk.num_tokens_per_step.max() == chunk.num_tokens


@settings(max_examples=120, deadline=None)
@given(chunks())
def test_kept_cells_are_written_once_and_context_exists(chunk: Any) -> None:
    exists = np.zeros((chunk.num_levels, chunk.num_frames), dtype=bool)
    exists[:, : chunk.target_start] = True
    counts = np.zeros_like(exists, dtype=int)
    for index, step in enumerate(chunk.steps):
        np.testing.assert_array_equal(chunk.available(index), exists)
        assert exists[step.roles == Role.CONTEXT].all()
        counts += step.roles == Role.TARGET
        exists |= step.roles == Role.TARGET
    kept = counts[:, chunk.target_start : chunk.target_start + chunk.num_kept_frames]
    assert kept.min() == 1
    assert kept.max() == 1 or chunk.rewrites
    assert not counts[:, : chunk.target_start].any()


@settings(max_examples=120, deadline=None)
@given(chunks())
def test_sampling_groups_share_equally(chunk: Any) -> None:
    probabilities = chunk.step_probabilities
    groups = np.array([step.group for step in chunk.steps])
    assert np.isclose(probabilities.sum(), 1)
    for group in set(groups.tolist()):
        np.testing.assert_allclose(probabilities[groups == group].sum(), 1 / len(set(groups.tolist())))
        assert len(set(probabilities[groups == group].tolist())) == 1


@settings(max_examples=80, deadline=None)
@given(named_settings(), PYRAMIDS, st.integers(0, 40), st.integers(1, 90))
def test_a_plan_loses_no_frame(named: Any, pyramid: Any, extra: int, length: int) -> None:
    schedule = make_schedule(**named)
    start = schedule.chunk(pyramid).num_context_frames + extra
    video = plan(schedule, pyramid, start, end=start + length)
    written = np.zeros((video.chunk.num_levels, video.buffer_end), dtype=bool)
    written[:, :start] = True  # what is given
    for number, planned in enumerate(video):
        assert planned.index == number
        assert planned.step == video.chunk.steps[planned.step_index]
        if planned.step_index == 0:  # frames clipped from the chunk before are gone
            written[:, planned.chunk_start + video.chunk.target_start :] = False
        for level in range(video.chunk.num_levels):
            read = np.flatnonzero(planned.step.roles[level] == Role.CONTEXT) + planned.chunk_start
            assert (read >= 0).all() and written[level, read].all()
            target = np.flatnonzero(planned.step.roles[level] == Role.TARGET) + planned.chunk_start
            written[level, target] = True
    assert len(video) == number + 1
    assert video.video_end >= start + length > video.video_end - video.chunk.num_kept_frames
    assert written[:, : video.video_end].all()


@settings(max_examples=80, deadline=None)
@given(named_settings(), PYRAMIDS, st.integers(0, 300))
def test_a_limit_is_the_most_chunks_that_fit(named: Any, pyramid: Any, room: int) -> None:
    schedule = make_schedule(**named)
    chunk = schedule.chunk(pyramid)
    start = chunk.num_context_frames
    limit = start + chunk.num_kept_frames + chunk.num_clipped_frames + room
    video = plan(schedule, pyramid, start, limit=limit)
    assert video.buffer_end <= limit < video.buffer_end + chunk.num_kept_frames


@settings(max_examples=60, deadline=None)
@given(chunks(), st.integers(0, 20))
def test_tokens_are_the_cells_spread_over_their_grids(chunk: Any, start: int) -> None:
    step = chunk.steps[-1]
    sides = [(3, 2), (2, 2), (1, 2), (1, 1)][: chunk.num_levels]
    tokens = step.tokens(sides, start=start)
    expected = [
        (level, frame + start, row, column, step.roles[level, frame])
        for level in range(chunk.num_levels)
        for frame in range(chunk.num_frames)
        if step.roles[level, frame] != Role.UNSEEN
        for row in range(sides[level][0])
        for column in range(sides[level][1])
    ]
    columns = (tokens.level, tokens.frame, tokens.row, tokens.column, tokens.role)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert len(tokens) == step.num_tokens([height * width for height, width in sides])
    np.testing.assert_array_equal(tokens.cell_level[tokens.cell], tokens.level)
    np.testing.assert_array_equal(tokens.cell_frame[tokens.cell], tokens.frame)
    np.testing.assert_array_equal(tokens.cell_role[tokens.cell], tokens.role)
    assert tokens.num_cells == (step.roles != Role.UNSEEN).sum()
    assert len(set(zip(tokens.cell_level.tolist(), tokens.cell_frame.tolist(), strict=True))) == tokens.num_cells


@settings(max_examples=80, deadline=None)
@given(named_settings())
def test_settings_survive_json(named: Any) -> None:
    schedule = make_schedule(**named)
    restored = make_schedule(**json.loads(json.dumps(schedule.settings())))
    assert restored == schedule
    assert restored.settings() == schedule.settings()
    assert hash(restored) == hash(schedule)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_a_suggestion_spends_the_whole_budget(share: int, num_levels: int, shift: int) -> None:
    pyramid = (256, 64, 16, 4)[:num_levels]
    budget = share * 256 * (num_levels + 1)
    schedule = suggest(budget, pyramid)
    assert schedule.chunk(pyramid).num_tokens == budget
    assert not schedule.chunk(pyramid).pads


ADVICE = {  # what a refusal says, and the setting that it names a better value for
    r"window \d+ at level (?P<level>\d+) is not a multiple": "windows",
    r"history \d+ is not a whole number of frames": "history",
    r"base \d+ (cannot|at a single level)": "base",
    r"(?P<name>base|num_frames|num_targets) is \d+; expected": "",
    r"start \d+ leaves": "start",
    r"end is \d+; expected": "end",
}


def take_advice(message: str, which: int, asked: dict[str, Any]) -> None:
    """Change what was asked for as a refusal says, taking its first or its last neighbour."""
    matches = [(match, name) for pattern, name in ADVICE.items() if (match := re.match(pattern, message))]
    assert matches, f"the refusal gives no advice: {message}"
    (match, name), advice = matches[0], message[message.index(";") :]
    name = name or match["name"]
    value = int(re.findall(r"\d+", advice.split(", and pads")[0])[which])
    if name == "windows":
        level = int(match["level"])
        asked["windows"] = (*asked["windows"][:level], value, *asked["windows"][level + 1 :])
    else:
        asked[name] = value


def whatever(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({**settings, "start": st.integers(0, 60), "end": st.integers(0, 60)})


@settings(max_examples=150, deadline=None)
@given(
    whatever(
        name=st.just("millivid"),
        windows=st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple),
        history=st.integers(0, 2048),
    )
    | whatever(
        name=st.sampled_from(["upscale", "rollout_upscale"]), base=st.integers(0, 7), num_levels=st.integers(1, 3)
    )
    | whatever(name=st.just("full_resolution"), num_frames=st.integers(0, 9))
    | whatever(name=st.just("framepack"), num_targets=st.integers(0, 3), context=st.integers(1, 4).flatmap(contexts)),
    PYRAMIDS,
    st.sampled_from([0, -1]),
)
def test_advice_that_refusals_give_leads_to_a_plan(asked: dict[str, Any], pyramid: Any, which: int) -> None:
    asked = dict(asked)

    def attempt() -> Plan | str:
        start, end = asked["start"], asked["end"]
        try:
            return plan(
                make_schedule(**{k: v for k, v in asked.items() if k not in ("start", "end")}), pyramid, start, end
            )
        except ScheduleError as error:
            return str(error)

    refused = set()
    while isinstance(outcome := attempt(), str):
        assert outcome not in refused, f"advice that does not help: {outcome}"
        refused.add(outcome)
        take_advice(outcome, which, asked)
    assert len(outcome) > 0
