"""Truth tables written by hand: roles, tokens, plans, costs."""

import numpy as np
import pytest

from millivid.rollout import (
    Cost,
    FramePack,
    FramePackMirrored,
    FullResolution,
    MilliVid,
    Role,
    RolloutUpscale,
    Schedule,
    Step,
    Upscale,
    cost,
    describe_step,
    draw_text,
    make_step,
    plan,
    suggest,
)

PAPER = (256, 64, 16, 4)

# Paper settings (1, 4, 16) with history 256: the coarse window, its first pieces, and the end.
PICTURES = {
    0: """
....................C................
................CCCC.................
CCCCCCCCCCCCCCCC.....TTTTTTTTTTTTTTTT
""",
    1: """
....................C................
................CCCC.TTTT............
.....................CCCCCCCCCCCCCCCC
""",
    2: """
....................CT...............
.....................CCCC............
................CCCC.....CCCCCCCCCCCC
""",
    4: """
......................CT.............
....................CC.CC............
................CCCC.....CCCCCCCCCCCC
""",
    6: """
........................C............
....................CCCC.TTTT........
................CCCC.....CCCCCCCCCCCC
""",
    20: """
...................................CT
................................CCC.C
................CCCCCCCCCCCCCCCC.....
""",
}


@pytest.mark.parametrize("step_index", PICTURES)
def test_the_37_frames(step_index: int) -> None:
    chunk = MilliVid(windows=(1, 4, 16), history=256).chunk(PAPER)
    assert len(chunk.steps) == 21
    assert draw_text(chunk, step_index).replace("w", ".") == PICTURES[step_index].strip()


def test_written_and_pending_are_told_apart() -> None:
    chunk = MilliVid(windows=(1, 4, 16), history=256).chunk(PAPER)
    assert draw_text(chunk, 1).split() == [
        "wwwwwwwwwwwwwwwwwwwwC................",
        "wwwwwwwwwwwwwwwwCCCCwTTTT............",
        "wwwwwwwwwwwwwwwwwwwwwCCCCCCCCCCCCCCCC",
    ]
    assert draw_text(chunk, 20).split() == [
        "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwCT",
        "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwCCCwC",
        "wwwwwwwwwwwwwwwwCCCCCCCCCCCCCCCCwwwww",
    ]


@pytest.mark.parametrize(
    ("schedule", "pictures"),
    [
        (FullResolution(num_frames=4), ["CCTT"]),
        (FullResolution(num_frames=5), ["CCTTT"]),
        (FramePack(num_targets=2, context=(1, 3)), ["...CTT CCC.TT"]),
        (FramePackMirrored(targets=(1, 2), context=(1, 2)), ["..CT.. CC.TTT"]),
        (FramePackMirrored(targets=(1, 1, 2), context=(1, 1, 2)), ["...CT... ..C.TT.. CC..T.TT"]),
        (Upscale(base=1, num_levels=2), ["....... CCTTT..", "....... ..CCTTT", "..T.... ..C....", "...T... ...C..."]),
        (RolloutUpscale(base=2, num_levels=1), ["CT.", ".CT"]),
        (
            RolloutUpscale(base=2, num_levels=2),
            ["............. CCCCTTTTT....", "............. ....CCCCTTTTT", "...CT........ ....C........"],
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_first_steps_of_the_baselines(schedule: object, pictures: list[str]) -> None:
    chunk = schedule.chunk(PAPER)  # type: ignore[attr-defined]
    for step_index, picture in enumerate(pictures):
        assert draw_text(chunk, step_index).replace("w", ".").split() == picture.split()


def test_token_columns() -> None:
    step = make_step(3, context=[[(0, 1)], [(2, 3)]], targets=[[(1, 2)], []], group=0)
    tokens = step.tokens(((1, 2), (1, 1)), start=10)
    rows = zip(tokens.level, tokens.frame, tokens.row, tokens.column, tokens.role, tokens.cell, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [
        (0, 10, 0, 0, Role.CONTEXT, 0),
        (0, 10, 0, 1, Role.CONTEXT, 0),
        (0, 11, 0, 0, Role.TARGET, 1),
        (0, 11, 0, 1, Role.TARGET, 1),
        (1, 12, 0, 0, Role.CONTEXT, 2),
    ]
    assert tokens.cell_level.tolist() == [0, 0, 1]
    assert tokens.cell_frame.tolist() == [10, 11, 12]
    assert tokens.cell_role.tolist() == [1, 2, 1]
    assert {column.dtype for column in vars(tokens).values()} == {np.dtype(np.int64)}


def test_grids_beyond_the_schedule_are_ignored() -> None:
    step = FullResolution(num_frames=2).chunk(PAPER).steps[0]
    assert len(step.tokens(((16, 16), (8, 8), (4, 4), (2, 2)))) == step.num_tokens(PAPER) == 512


def test_values_do_not_change() -> None:
    roles = np.array([[1, 2]])
    step = Step(roles)
    roles[0, 0] = 0
    assert step.roles.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        step.roles[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        step.tokens([(1, 1)]).frame[0] = 5
    assert step == Step([[1, 2]]) and hash(step) == hash(Step([[1, 2]]))  # type: ignore[arg-type]
    assert step != Step([[1, 2]], group=1)  # type: ignore[arg-type]
    assert step != Step([[2, 1]])  # type: ignore[arg-type]


def test_chunks_and_plans_compare_by_value() -> None:
    first, second = (plan(MilliVid(windows=(1, 4)), PAPER, 10, 20) for _ in range(2))
    assert first == second and hash(first) == hash(second)
    assert first != plan(MilliVid(windows=(1, 4)), PAPER, 11, 20)


@pytest.mark.parametrize(
    ("schedule", "pyramid", "tokens"),
    [
        # 5 frames of 6 tokens; then a frame of 25 with one of 6 above it
        (Upscale(base=1, num_levels=2, pads=True), (25, 6), [30, 30] + 5 * [31]),
        # 13 frames of 64 tokens; then a frame of context and one of targets, of 256 each, with one of 64 above it
        (RolloutUpscale(base=3, num_levels=2, pads=True), (256, 64), [832, 832] + 13 * [576]),
    ],
)
def test_levels_one_by_one_pad_on_request(schedule: Schedule, pyramid: tuple[int, ...], tokens: list[int]) -> None:
    chunk = schedule.chunk(pyramid)
    assert chunk.num_tokens_per_step.tolist() == tokens
    assert chunk.pads and chunk.num_tokens == max(tokens)
    assert not Upscale(base=1, num_levels=2, pads=True).chunk((256, 64)).pads


def test_a_short_history_pads_on_request() -> None:
    chunk = MilliVid(windows=(1, 4, 16), history=100, pads=True).chunk(PAPER)
    # No frame of 256 tokens fits into 100, one of 64 does (64), and six of 16 (96).
    assert sorted(set(chunk.num_tokens_per_step.tolist())) == [768, 832, 864]
    assert chunk.pads and chunk.num_tokens == 864
    assert not MilliVid(windows=(1, 4, 16), history=256, pads=True).chunk(PAPER).pads


def test_paper_cost() -> None:
    schedule = MilliVid(windows=(3, 12, 48, 192), history=768)
    expected = Cost(
        tokens_per_step=3840,
        steps_per_chunk=85,
        frames_per_chunk=192,
        steps_per_frame=85 / 192,
        tokens_per_frame=1700,
        horizon=255,
    )
    assert cost(schedule, PAPER) == expected
    assert cost(FullResolution(), PAPER).horizon == 7


@pytest.mark.parametrize(
    ("budget", "tokens", "windows", "history"),
    [
        (3840, PAPER, (3, 12, 48, 192), 768),
        (1280, PAPER, (1, 4, 16, 64), 256),
        (256, (16, 4, 1), (4, 16, 64), 64),
        (640, (64, 16, 4, 1), (2, 8, 32, 128), 128),
    ],
)
def test_suggestions(budget: int, tokens: tuple[int, ...], windows: tuple[int, ...], history: int) -> None:
    assert suggest(budget, tokens) == MilliVid(windows=windows, history=history)


def test_descriptions() -> None:
    chunk = MilliVid(windows=(1, 4, 16), history=256).chunk(PAPER)
    assert describe_step(chunk, 6) == "step 6 of 21: level 1 (64 tokens/frame) writes frames 25-28"
    assert describe_step(chunk, 20, start=100) == "step 20 of 21: level 0 (256 tokens/frame) writes frame 136"
    framepack = FramePack(num_targets=2, context=(1, 3)).chunk(PAPER)
    assert describe_step(framepack, 0) == "step 0 of 1: levels 0, 1 write frames 4-5"
    mirrored = FramePackMirrored(targets=(1, 1, 2), context=(1, 1, 2)).chunk(PAPER)
    assert describe_step(mirrored, 0) == (
        "step 0 of 1: writes frame 4 (level 0), frames 4-5 (level 1), frame 4 and frames 6-7 (level 2)"
    )
