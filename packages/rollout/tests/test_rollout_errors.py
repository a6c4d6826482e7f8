"""What is refused, and what the message says would work."""

from collections.abc import Callable
from typing import Any

import pytest

from millivid.rollout import (
    Chunk,
    FramePack,
    FramePackMirrored,
    FullResolution,
    MilliVid,
    RolloutUpscale,
    ScheduleError,
    Step,
    Upscale,
    check_tokens_per_level,
    describe_step,
    draw_text,
    make_schedule,
    make_step,
    plan,
    suggest,
)

PAPER = (256, 64, 16, 4)
SMALL = MilliVid(windows=(1, 4))


def one_level(*steps: str, **changes: Any) -> Chunk:
    """A chunk of one level from pictures: `C` context, `T` target."""
    built = tuple(Step([[".CT".index(letter) for letter in step]]) for step in steps)  # type: ignore[arg-type]
    return Chunk(**{"steps": built, "tokens_per_level": (4,), "target_start": 2} | changes)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    # settings
    (
        lambda: MilliVid(windows=(3, 12, 50)),
        "window 50 at level 2 is not a multiple of window 12 at level 1; 48 and 60 are",
    ),
    (lambda: MilliVid(windows=(12, 5)), "window 5 at level 1 is not a multiple of window 12 at level 0; 12 is"),
    (lambda: MilliVid(windows=(0, 4)), "window at level 0 is 0; expected an integer, 1 or more"),
    (lambda: MilliVid(windows=(1, -4)), "window at level 1 is -4; expected an integer, 1 or more"),
    (lambda: MilliVid(windows=(1, 4.0)), "window at level 1 is 4.0 (float); expected an integer, 1 or more"),
    (lambda: MilliVid(windows=(True,)), "window at level 0 is True (bool); expected an integer, 1 or more"),
    (lambda: MilliVid(windows=()), "windows is empty; expected one integer per level, finest first"),
    (lambda: MilliVid(windows="14"), "windows is '14'; expected one integer per level"),
    (lambda: MilliVid(windows=4), "windows is 4; expected one integer per level, finest first, such as (1, 4, 16)"),
    (lambda: MilliVid(windows=(1,), history=-1), "history is -1; expected an integer, 0 or more"),
    (lambda: MilliVid(windows=(1,), pads=1), "pads is 1; expected True or False"),
    (lambda: FullResolution(num_frames=1), "num_frames is 1; expected an integer, 2 or more"),
    (lambda: FramePack(num_targets=0, context=(1,)), "num_targets is 0; expected an integer, 1 or more"),
    (lambda: FramePack(num_targets=1, context=(1, -1)), "context at level 1 is -1; expected an integer, 0 or more"),
    (
        lambda: FramePack(num_targets=1, context=(0, 0)),
        "context (0, 0) has no frames; give at least one level 1 or more",
    ),
    (
        lambda: FramePackMirrored(targets=(1, 2), context=(1,)),
        "targets (1, 2) has 2 levels and context (1,) has 1; expected the same number",
    ),
    (
        lambda: RolloutUpscale(base=3, num_levels=2),
        "base 3 cannot be halved into context and targets; 2 and 4 can",
    ),
    (
        lambda: RolloutUpscale(base=7, num_levels=2, pads=True),
        "base 7 cannot be halved into context and targets; 6 and 8",
    ),
    (lambda: Upscale(base=1, num_levels=2, pads=None), "pads is None; expected True or False"),
    (lambda: RolloutUpscale(base=1, num_levels=1), "base is 1; expected an integer, 2 or more"),
    (lambda: Upscale(base=1, num_levels=1), "base 1 at a single level has no room for context and targets"),
    (lambda: Upscale(base=1, num_levels=0), "num_levels is 0; expected an integer, 1 or more"),
    # settings against the pyramid
    (
        lambda: MilliVid(windows=(1, 4), history=100).chunk((256, 64)),
        "history 100 is not a whole number of frames at level 0 (256 tokens per frame); 0 and 256 are",
    ),
    (
        lambda: MilliVid(windows=(1, 4, 16)).chunk((256, 64)),
        "tokens_per_level (256, 64) has 2 levels, but the schedule uses 3; give the schedule 2 or the pyramid 3",
    ),
    (
        lambda: Upscale(base=1, num_levels=2).chunk((256, 100)),
        "tokens per frame fall from 256 at level 0 to 100 at level 1; expected a factor of 4, as from 400 to 100",
    ),
    (
        lambda: check_tokens_per_level((4, 16)),
        "level 1 has 16 tokens per frame and level 0 only 4; expected the finest level first, as in (16, 4)",
    ),
    (lambda: check_tokens_per_level((4, 0)), "tokens per frame at level 1 is 0; expected an integer, 1 or more"),
    # budgets
    (
        lambda: suggest(4000, PAPER),
        "levels and the history at (256, 64, 16, 4) tokens per frame; expected a multiple of 1280: 3840 and 5120 work",
    ),
    (lambda: suggest(100, PAPER), "expected a multiple of 1280: 1280 is the smallest that works"),
    (lambda: suggest(100, (16, 5)), "5 tokens per frame at level 1 do not divide the 16 at level 0"),
    # plans
    (
        lambda: plan(MilliVid(windows=(3, 12, 48, 192), history=768), PAPER, 100, 200),
        "start 100 leaves 100 frames of context, but the schedule needs 255; start at frame 255 or later",
    ),
    (lambda: plan(SMALL, PAPER, 10, 10), "end is 10; expected an integer, 11 or more"),
    (lambda: plan(SMALL, PAPER, 10, limit=13), "limit is 13; expected an integer, 14 or more"),
    (lambda: plan(SMALL, PAPER, 10), "end is None and limit is None; expected exactly one of the two"),
    (lambda: plan(SMALL, PAPER, 10, 20, 30), "end is 20 and limit is 30; expected exactly one of the two"),
    (lambda: plan(SMALL, PAPER, 1.5, 20), "start is 1.5 (float); expected an integer"),  # type: ignore[arg-type]
    # steps
    (lambda: Step([1, 2]), "roles have shape (2,); expected [level, frame]"),  # type: ignore[arg-type]
    (lambda: Step([[1, 3]]), "roles hold [3]; expected 0 (unseen), 1 (context), 2 (target)"),  # type: ignore[arg-type]
    (lambda: Step([[1, 1]]), "the step writes nothing"),  # type: ignore[arg-type]
    (lambda: make_step(3, [[(0, 2)]], [[(1, 3)]], 0), "frames [1, 3) at level 0 are read and written in one step"),
    (lambda: make_step(3, [[(0, 4)]], [[(1, 3)]], 0), "context frames [0, 4) at level 0 leave the chunk"),
    (lambda: one_level("CCT").steps[0].tokens([]), "grids () have 0 levels; expected 1 or more"),
    (lambda: one_level("CCT").steps[0].tokens([(2, 2, 2)]), "expected (height, width)"),  # type: ignore[list-item]
    (lambda: draw_text(one_level("CCT"), 1), "step index is 1; expected 0 to 0"),
    (lambda: describe_step(one_level("CCT"), -1), "step index is -1; expected an integer, 0 or more"),
    # chunks
    (lambda: one_level(), "the chunk has no steps"),
    (lambda: one_level("CCT", "CCTT"), "step 1 has roles of shape (1, 4); expected (1, 3) like step 0"),
    (lambda: one_level("CCT", tokens_per_level=(4, 1)), "has 2 levels, but the steps' roles have 1"),
    (
        lambda: one_level("CCT.", "CCCT"),
        "step 1 has 16 tokens and step 0 has 12 at (4,) tokens per frame; expected the same number in every step",
    ),
    (lambda: one_level("CTT"), "step 0 writes frame 1 at level 0, which is given; expected targets from frame 2 on"),
    (
        lambda: one_level("CT.C", target_start=1),
        "step 0 reads frame 3 at level 0, which no step before it has written",
    ),
    (lambda: one_level("CCT."), "frame 3 at level 0 is kept but no step writes it; expected every frame from 2 to 3"),
    (lambda: one_level("CCT", "CCT"), "frame 2 at level 0 is written 2 times; expected once, or rewrites=True"),
    (lambda: one_level("CCT", num_clipped_frames=1), "nothing is left of 3 frames after 2 given and 1 clipped"),
    (
        lambda: Chunk(steps=(Step([[1, 2], [1, 0]]),), tokens_per_level=(4, 1), target_start=1),  # type: ignore[arg-type]
        "frame 1 at level 1 is kept but no step writes it",
    ),
    (
        lambda: Chunk(steps=(Step([[0, 0], [1, 2]]),), tokens_per_level=(4, 1), target_start=1),  # type: ignore[arg-type]
        "no step writes level 0, the finest",
    ),
    # names
    (lambda: make_schedule("milivid"), "there is no schedule 'milivid'; did you mean 'millivid'? Known: framepack,"),
    (lambda: make_schedule("zzz"), "there is no schedule 'zzz'; Known: framepack,"),
    (
        lambda: make_schedule("millivid", window=(1, 4)),
        "schedule 'millivid' has no setting 'window'; did you mean 'windows'? Known: history, pads, windows",
    ),
    (lambda: make_schedule("framepack"), "schedule 'framepack' needs num_targets, context"),
]


@pytest.mark.parametrize(("refused", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_refused(refused: Callable[[], Any], message: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        refused()
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_neighbours_that_errors_name_work() -> None:
    for window in (48, 60):
        MilliVid(windows=(3, 12, window))
    for history in (0, 256):
        MilliVid(windows=(1, 4), history=history).chunk((256, 64))
    for budget in (3840, 5120):
        suggest(budget, PAPER)
    for base in (2, 4):
        RolloutUpscale(base=base, num_levels=2).chunk(PAPER)
    RolloutUpscale(base=3, num_levels=2, pads=True).chunk(PAPER)
    Upscale(base=1, num_levels=2, pads=True).chunk((256, 100))
    plan(MilliVid(windows=(3, 12, 48, 192), history=768), PAPER, 255, 256)
    plan(SMALL, PAPER, 10, limit=14)
    assert one_level("CCT.", "CCCT", pads=True).num_tokens == 16
    assert one_level("CCT", "CCT", rewrites=True).rewrites
