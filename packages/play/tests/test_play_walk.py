"""A walk: keys in, frames out, back to any moment; the truth beside it is the world's own."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from time import sleep

import numpy as np
import pytest
from numpy.typing import NDArray

from millivid.app.pipeline import VideoPipeline
from millivid.data import ClipDataset, read_video, write_video
from millivid.play import Shown, Walk, in_a_video, in_a_world

NewWalk = Callable[[int, bool], Walk]
CONTEXT = 84


def walk_on(walk: Walk, keys: Sequence[tuple[int, int]], busy: int = 1) -> list[Shown]:
    """What is shown while each key is held for so many frames, with so many pieces of work between two looks."""
    made: list[Shown] = []
    for action, frames in keys:
        walk.press(action, float(len(made) + 1))
        end = len(made) + frames
        while len(made) < end:
            for _ in range(busy):
                walk.compute()
            if (shown := walk.show()) is not None:
                made.append(shown)
    return made


def test_what_is_shown_follows_the_keys_and_not_how_fast_it_is_computed(new_walk: NewWalk) -> None:
    keys = ((0, 5), (2, 3), (0, 6), (1, 4))
    slow, fast = new_walk(3, False), new_walk(3, False)
    a, b = walk_on(slow, keys, busy=1), walk_on(fast, keys, busy=9)
    assert [shown.number for shown in a] == [shown.number for shown in b] == list(range(CONTEXT, CONTEXT + 18))
    assert all(np.array_equal(x.images[0], y.images[0]) for x, y in zip(a, b, strict=True))
    for walk in (slow, fast):
        actions = [int(walk.first.action(number)) for number in range(CONTEXT, CONTEXT + 18)]
        assert actions == [0] * 6 + [2] * 3 + [0] * 6 + [1] * 3  # whole actions of the world, of three frames
    answered = [shown.stamp for shown in a]
    assert answered == sorted(answered) and answered[0] == 1.0


def test_a_key_is_answered_at_the_end_of_an_action(new_walk: NewWalk) -> None:
    walk = new_walk(0, False)
    walk_on(walk, ((0, 4),), busy=8)
    frames = walk_on(walk, ((1, 8),), busy=8)
    written = [int(walk.first.action(shown.number)) for shown in frames]
    assert written == [0, 0] + [1] * 6  # two were left of three
    assert len({shown.stamp for shown in frames[:2]}) == len({shown.stamp for shown in frames[2:]}) == 1


def test_a_tap_is_answered_though_it_was_let_go(new_walk: NewWalk) -> None:
    walk = new_walk(0, False)
    walk_on(walk, ((0, 6),), busy=8)
    walk.press(1, 7.0)
    walk.press(None, 0)
    shown = []
    for _ in range(30):
        walk.compute()
        shown.append(walk.show())
    made = [each for each in shown if each is not None]
    assert [(each.number, each.stamp) for each in made] == [(CONTEXT + 6 + number, 7.0) for number in range(3)]
    assert [int(walk.first.action(each.number)) for each in made] == [1] * 3


def test_letting_go_stops_the_walk(new_walk: NewWalk) -> None:
    walk = new_walk(0, False)
    assert walk.show() is None and not walk.compute()  # no key was pressed
    walk_on(walk, ((0, 3),))
    walk.press(None, 0)
    for _ in range(30):
        walk.compute()
        assert walk.show() is None
    assert not walk.compute(), "the future is written to its end"
    with pytest.raises(ValueError, match="action 3 is none of 3"):
        walk.press(3, 0)


def test_the_truth_is_the_worlds_own_view(new_walk: NewWalk, minds: dict[str, VideoPipeline]) -> None:
    walk = new_walk(5, False)
    walk.with_truth = True
    shown = walk_on(walk, ((0, 4), (2, 4)))
    world = in_a_world(minds["millivid"].info, 5).world
    assert world is not None
    expected = [world.step(int(walk.first.action(each.number))) for each in shown]
    assert all(np.array_equal(a.images[1], b.frame) for a, b in zip(shown, expected, strict=True))
    assert walk.place() == pytest.approx((expected[-1].pose[0], expected[-1].pose[2], expected[-1].pose[3]))
    error = [np.square(each.images[0].astype(float) - each.images[1]).mean() for each in shown]
    assert walk.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(error)), rel=1e-4)


def test_going_back_takes_the_truth_along(new_walk: NewWalk) -> None:
    walk = new_walk(5, False)
    walk.with_truth = True
    shown = walk_on(walk, ((0, 6), (2, 6)))
    walk.rewind(CONTEXT + 8)
    walk.compute()
    assert (walk.shown, walk.turns, walk.psnr, walk.held) == (CONTEXT + 8, 1, None, None)
    again = walk_on(walk, ((2, 4),))
    assert [each.number for each in again] == [each.number for each in shown[8:]]
    for a, b in zip(again, shown[8:], strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.images, b.images, strict=True))
    walk.rewind(0)
    walk.compute()
    assert walk.shown == CONTEXT


def test_minds_walk_side_by_side(new_walk: NewWalk, tmp_path: Path) -> None:
    walk = new_walk(1, True)
    shown = walk_on(walk, ((0, 3), (1, 10)))
    assert all(len(each.images) == 3 for each in shown)
    assert {mind.shown for mind in walk.minds.values()} == {CONTEXT + 13}
    walk.save(tmp_path, fps=30)
    for name, mind in walk.minds.items():
        clip = ClipDataset(tmp_path / name).read("walk")
        assert np.array_equal(clip.frames[-1], mind.frame(walk.shown - 1))
    film = read_video(tmp_path / "walk.mp4")
    assert film.shape == (CONTEXT + 13, 256, 3 * 256, 3)
    walk.film(tmp_path / "walk.gif", fps=30)
    assert (tmp_path / "walk.gif").read_bytes()[:3] == b"GIF"


def frames_of(count: int, side: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "actions", "sentence"),
    [
        (frames_of(90), "forward*80,left*9", "has 90 frames, and actions= says 89"),
        (frames_of(90), "forward*80,jump*10", "actions holds 'jump'|actions holds 'jump\\*10'"),
        (frames_of(90), "forward*x", "actions holds 'forward\\*x'"),
        (frames_of(20), "forward*20", "the model is given 84, use a longer video"),
        (frames_of(90, 32), "forward*90", "has frames of \\(32, 32\\), the model of \\(64, 64\\)"),
    ],
)
def test_videos_that_cannot_be_begun_with(
    frames: NDArray[np.uint8], actions: str, sentence: str, minds: dict[str, VideoPipeline], tmp_path: Path
) -> None:
    write_video(tmp_path / "own.mp4", frames, 20)
    with pytest.raises(ValueError, match=sentence):
        in_a_video(tmp_path / "own.mp4", actions, minds["millivid"].info, (64, 64), CONTEXT)


def test_a_video_of_ones_own(minds: dict[str, VideoPipeline], tmp_path: Path) -> None:
    write_video(tmp_path / "own.mp4", frames_of(90), 20, lossless=True)
    begun = in_a_video(tmp_path / "own.mp4", "forward*80, left*10", minds["millivid"].info, (64, 64), CONTEXT)
    assert begun.actions.tolist() == [0] * 74 + [1] * 10 and begun.truth(10) is None
    assert np.array_equal(begun.frames, frames_of(90)[6:])
    walk = Walk({"millivid": minds["millivid"]}, begun, 0, 400, {"steps": 2})
    assert len(walk_on(walk, ((0, 4),))) == 4 and walk.psnr is None


def test_one_thread_computes_while_another_shows_and_presses(new_walk: NewWalk) -> None:
    walk, ended, errors = new_walk(2, False), Event(), []

    def compute() -> None:
        try:
            while not ended.is_set():
                walk.compute()
        except Exception as error:
            errors.append(error)

    computing = Thread(target=compute)
    computing.start()
    numbers, random = [], np.random.default_rng(0)
    try:
        while len(numbers) < 60 and not errors:
            if random.random() < 0.2:
                walk.press(int(random.integers(3)), 1.0)
            if random.random() < 0.02 and numbers:
                walk.rewind(walk.shown - 3)
                walk.press(0, 1.0)
            if (shown := walk.show()) is not None:
                numbers.append(shown.number)
            sleep(0.003)
    finally:
        ended.set()
        computing.join()
    assert errors == []
    assert all(after <= before + 1 for before, after in pairwise(numbers))
