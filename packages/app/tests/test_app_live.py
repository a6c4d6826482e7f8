"""A walk under actions that come one by one: back to any moment, the same again, saved; and memory that does not grow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import millivid.app.pipeline
from millivid.app.live import Cell, LiveSession
from millivid.app.pipeline import VideoPipeline
from millivid.data import ClipDataset, DatasetError
from millivid.diffusion import VideoModelInfo

WEIGHTS = Path(millivid.app.pipeline.__file__).parent / "weights"
CONTEXT = 84
WALK = ((0, 6), (1, 1), (2, 3), (0, 9), (1, 7))
"""Actions, and for how many frames each is held."""


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return VideoPipeline.from_pretrained(WEIGHTS / "millivid", WEIGHTS / "tokenizer", precision="fp32")


def live(pipeline: VideoPipeline, **settings: object) -> LiveSession:
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand(CONTEXT, 3, 8, 8, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return pipeline.live(frames, torch.arange(CONTEXT) % 3, steps=2, seed=4, **settings)


def walk(session: LiveSession, held: tuple[tuple[int, int], ...] = WALK, ahead: int = 0) -> list[Tensor]:
    """The frames of a walk, shown one by one, with some steps of the rollout between two of them."""
    made = []
    for action, frames in held:
        session.press(action)
        for _ in range(frames):
            made.append(session.next())
            for _ in range(ahead):
                session.work()
    return made


def test_equal_actions_give_equal_frames_however_far_ahead_they_were_written(pipeline: VideoPipeline) -> None:
    one, other = live(pipeline), live(pipeline)
    frames, again = walk(one), walk(other, ahead=1)
    assert all(torch.equal(a, b) for a, b in zip(frames, again, strict=True))
    assert one.shown == CONTEXT + len(frames) and one.finished >= one.shown
    shown = [one.frame(CONTEXT + number) for number in range(len(frames))]
    assert all(np.abs(a - b.permute(1, 2, 0).numpy() * 255).max() <= 0.51 for a, b in zip(shown, frames, strict=True))
    assert list(one.replay())[-1].equal(frames[-1]) and one.shown == CONTEXT + len(frames)


def test_actions_may_last_longer_than_a_chunk() -> None:
    """What is missing of the action before is written, however far ahead of what is shown that is."""
    info = VideoModelInfo.read(WEIGHTS / "framepack")
    info = replace(info, schedule={"name": "framepack", "num_targets": 1, "context": [4, 16, 64]})
    loaded = VideoPipeline.from_pretrained(WEIGHTS / "framepack", WEIGHTS / "tokenizer", precision="fp32")
    session = live(VideoPipeline(loaded.tokenizer, loaded.model, info, precision="fp32"))
    session.press(0)
    session.next()
    for action in (1, 2, 0):
        session.press(action, every=3)
    assert session.shown == CONTEXT + 1 and session.answers_from == CONTEXT + 9
    for number, action in enumerate((0, 0, 1, 1, 1, 2, 2, 2, 0)):
        session.next()
        assert session.action(CONTEXT + 1 + number) == action


def test_steps_are_windows_of_the_finest_level(pipeline: VideoPipeline) -> None:
    session, byhand = live(pipeline), live(pipeline)
    made = torch.cat([session.step(action) for action in (0, 0, 1)])
    assert len(made) == 3 * 4
    assert torch.equal(made, torch.stack(walk(byhand, ((0, 8), (1, 4)))))
    byhand.press(2)
    byhand.next()
    assert len(byhand.step(2)) == 3  # what is left of the window


@pytest.mark.parametrize("frame", [CONTEXT, CONTEXT + 3, CONTEXT + 8, CONTEXT + 21, CONTEXT + 26])
def test_rewinding_goes_on_as_if_nothing_had_come_after(pipeline: VideoPipeline, frame: int) -> None:
    session = live(pipeline)
    frames, presses = walk(session, ahead=1), []
    poses = [session.pose(number) for number in range(session.shown)]
    session.rewind(frame)
    assert session.shown == frame
    moment = CONTEXT
    for action, count in WALK:
        presses.append((moment, action))
        moment += count
    for moment, action in presses:  # those of that moment and later were forgotten
        while frame <= moment > session.shown:
            assert torch.equal(session.next(), frames[session.shown - 1 - CONTEXT])
        if moment >= frame:
            session.press(action)
    while session.shown < CONTEXT + len(frames):
        assert torch.equal(session.next(), frames[session.shown - 1 - CONTEXT])
    assert [session.pose(number) for number in range(session.shown)] == poses


def test_a_branch_is_another_walk(pipeline: VideoPipeline) -> None:
    session, alone = live(pipeline), live(pipeline)
    walk(session)
    session.rewind(CONTEXT + 7)
    branch = walk(session, ((0, 5),))
    expected = walk(alone, ((0, 6), (1, 1), (0, 5)))
    assert torch.equal(torch.stack(branch), torch.stack(expected[7:]))


def test_memory_does_not_grow(pipeline: VideoPipeline) -> None:
    session = live(pipeline, keep=CONTEXT + 64)
    sizes = set()
    for number in range(40):
        session.step(number // 3 % 3)
        if number >= 30:
            kept = sum(value.numel() for _, state in session._states for value in state.values())
            sizes.add((len(session._frames), kept // 400_000, len(session._presses) // 4))
    assert len(sizes) <= 3, sizes
    assert session.oldest == session.shown - CONTEXT - 64
    with pytest.raises(ValueError, match=rf"frame is {session.oldest - 1}; .* those to go back to"):
        session.rewind(session.oldest - 1)
    session.rewind(session.earliest)
    assert session.shown == session.earliest


def test_the_memory_is_told(pipeline: VideoPipeline) -> None:
    session = live(pipeline)
    assert session.memory().cells.shape == (3, CONTEXT + 64)
    session.press(0)
    before = session.memory().cells
    assert set(before[:, :CONTEXT].flat) == {Cell.FORGOTTEN, Cell.REMEMBERED}
    assert set(before[:, CONTEXT:].flat) == {Cell.EMPTY}
    session.work()
    view = session.memory()
    assert view.first == 0 and set(view.cells[2, CONTEXT:].flat) == {Cell.TARGET}
    assert (view.cells[:2, CONTEXT:] == Cell.EMPTY).all() and (view.cells == Cell.CONTEXT).any()
    session.next()
    view = session.memory()
    assert (view.cells[0, CONTEXT + 1 : CONTEXT + 4] == Cell.TARGET).all()
    assert (view.cells[1, CONTEXT + 16 :] == Cell.EMPTY).all()
    assert np.isin(view.cells[2, CONTEXT + 16 :], (Cell.PLANNED, Cell.CONTEXT)).all()
    assert session.thumbnail(2, CONTEXT + 60).shape == session.thumbnail(0, CONTEXT).shape == (64, 64, 3)
    assert session.thumbnail(0, CONTEXT + 60) is None and session.thumbnail(2, 5000) is None


def test_a_walk_is_a_clip(pipeline: VideoPipeline, tmp_path: Path) -> None:
    session = live(pipeline, poses=torch.tensor([[3.0, 1.0, 5.0, 90.0, 0.0]]).expand(CONTEXT, 5))
    walk(session, ((0, 2), (2, 4)))
    (step, _), _, (_, turn) = pipeline.model.config.odometry
    dataset = ClipDataset(session.save(tmp_path / "walk", fps=30))
    clip = dataset.read("walk")
    assert len(clip) == CONTEXT + 6 and dataset.index.fps == 30 and dataset.ids("test") == ["walk"]
    assert np.array_equal(clip.frames[-1], session.frame(session.shown - 1))
    assert clip.actions[CONTEXT:].tolist() == [0] * 2 + [2] * 4
    np.testing.assert_allclose(clip.poses[CONTEXT + 1], [3 - 2 * step, 1, 5, 90, 0], atol=1e-5)
    np.testing.assert_allclose(clip.poses[-1], [3 - 2 * step, 1, 5, (90 - 4 * turn) % 360, 0], atol=1e-5)
    source = dataset.index.source
    assert (source["context"], source["frames"], source["seed"]) == (CONTEXT, 6, 4)
    assert source["presses"] == [[CONTEXT, 0], [CONTEXT + 2, 2]]
    with pytest.raises(DatasetError):
        session.save(tmp_path)


def test_what_cannot_be_is_one_sentence(pipeline: VideoPipeline) -> None:
    session = live(pipeline)
    with pytest.raises(ValueError, match="no action is held yet; press one"):
        session.next()
    assert not session.work() and not session.decode()
    with pytest.raises(ValueError, match="action 3; the model knows 0 forward, 1 left, 2 right"):
        session.press(3)
    with pytest.raises(ValueError, match=r"actions are torch\.float32"):
        session.step([0.5])
    for frame in (CONTEXT - 1, CONTEXT + 1):
        with pytest.raises(ValueError, match=f"frame is {frame}"):
            session.rewind(frame)
    with pytest.raises(ValueError, match="frame is 84"):
        session.frame(CONTEXT)
    with pytest.raises(ValueError, match="keep is 100; .* the context and a chunk"):
        live(pipeline, keep=100)
    frames = torch.rand(CONTEXT, 3, 64, 64)
    with pytest.raises(ValueError, match="the action of each of its 84 context frames"):
        pipeline.live(frames, torch.zeros(CONTEXT + 1, dtype=torch.long))
    with pytest.raises(ValueError, match=r"poses are \(2, 5\)"):
        pipeline.live(frames, torch.zeros(CONTEXT, dtype=torch.long), torch.zeros(2, 5))
    assert session.shown == CONTEXT
