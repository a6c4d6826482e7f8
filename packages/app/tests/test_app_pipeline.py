"""`VideoPipeline` says in one sentence what of frames, actions and settings cannot be, before it computes anything."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

import millivid.app.pipeline
from millivid.app.pipeline import VideoPipeline

WEIGHTS = Path(millivid.app.pipeline.__file__).parent / "weights"
CONTEXT = 8
FRAMES = torch.rand(2, CONTEXT, 3, 64, 64)
ACTIONS = torch.zeros(2, CONTEXT + 2, dtype=torch.long)


@pytest.fixture(autouse=True)
def as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not checked, which tests else do before the functions themselves."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return VideoPipeline.from_pretrained(WEIGHTS / "full_resolution", WEIGHTS / "tokenizer", precision="fp32")


def test_what_can_be_is_generated(pipeline: VideoPipeline) -> None:
    made = pipeline.generate(FRAMES, ACTIONS.int(), steps=2, generator=torch.Generator().manual_seed(0))
    again = pipeline.generate(FRAMES, ACTIONS, steps=2, generator=torch.Generator().manual_seed(0))
    assert made.shape == (2, 2, 3, 64, 64) and torch.equal(made, again)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": FRAMES * 255}, r"frames hold values from .* to 25.*; the tokenizer takes \[0, 1\]"),
        ({"frames": FRAMES * 2 - 1}, r"map \[-1, 1\] by \(x \+ 1\) / 2"),
        ({"frames": (FRAMES * 255).byte()}, "frames are torch.uint8, .* / 255"),
        ({"frames": FRAMES.double()}, "frames are torch.float64"),
        ({"frames": FRAMES * math.nan}, "nan"),
        ({"frames": FRAMES[0]}, r"frames are \(8, 3, 64, 64\); expected a tensor \(batch, context, 3, height, width\)"),
        ({"frames": FRAMES.numpy()}, "frames are ndarray"),
        ({"frames": FRAMES.movedim(2, -1)}, r"do not end in \(3, 64, 64\)"),
        ({"frames": FRAMES[..., :32]}, r"do not end in \(3, 64, 64\)"),
        ({"frames": FRAMES[:, 1:]}, "7 context frames are too few; the model needs 8 or more"),
        ({"actions": ACTIONS[:, :CONTEXT]}, "8 actions for 8 context frames leave nothing to generate"),
        ({"actions": ACTIONS + 7}, "action 7; the model knows 0 forward, 1 left, 2 right"),
        ({"actions": ACTIONS - 1}, "action -1; the model knows 0 forward, 1 left, 2 right"),
        ({"actions": ACTIONS.float()}, "actions are torch.float32"),
        ({"actions": ACTIONS[0]}, "actions are torch.int64"),
        ({"actions": ACTIONS[:1]}, "whole numbers"),
        ({"actions": ACTIONS.tolist()}, "actions are a list"),
        ({"steps": 0}, "sampling steps is 0"),
        ({"steps": 10**11}, "sampling steps is 100000000000"),
        ({"steps": True}, "sampling steps is True"),
        ({"guidance": math.nan}, "guidance is nan"),
        ({"guidance": -1.0}, "guidance is -1.0"),
        ({"generator": 5}, "generator is 5; give torch.Generator"),
    ],
)
def test_what_cannot_be_is_one_sentence(pipeline: VideoPipeline, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline.generate(**{"frames": FRAMES, "actions": ACTIONS, "steps": 2, **changed})


def test_a_stream_yields_what_generate_gives_as_it_is_finished(pipeline: VideoPipeline) -> None:
    """The schedule writes 8 frames at a time; actions come one by one, without an end."""
    taken = []

    def endless() -> Iterator[torch.Tensor]:
        while True:
            assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")  # a policy of the user's, perhaps
            taken.append(1)
            yield torch.zeros(2, dtype=torch.long)

    half = VideoPipeline(pipeline.tokenizer, pipeline.model, pipeline.info, precision="bf16")
    next(half.stream(FRAMES, endless(), steps=2))
    taken.clear()
    stream = pipeline.stream(FRAMES, endless(), steps=2, seed=3)
    first, second = next(stream), next(stream)
    assert first.shape == second.shape == (2, 8, 3, 64, 64)
    assert len(taken) == CONTEXT + 16
    whole = pipeline.generate(FRAMES, torch.zeros(2, CONTEXT + 12, dtype=torch.long), steps=2, seed=3)
    assert torch.equal(whole[:, :8], first)
    torch.testing.assert_close(whole[:, 8:], second[:, :4], atol=1e-5, rtol=0)


def test_a_seed_gives_a_video_alone_and_beside_others(pipeline: VideoPipeline) -> None:
    both = pipeline.generate(FRAMES, ACTIONS, steps=2, seed=(4, 5))
    alone = pipeline.generate(FRAMES[1:], ACTIONS[1:], steps=2, seed=5)
    torch.testing.assert_close(alone, both[1:], atol=1e-4, rtol=0)
    assert not torch.allclose(pipeline.generate(FRAMES[1:], ACTIONS[1:], steps=2, seed=6), alone, atol=1e-2)


def test_a_sampler_is_the_models_unless_told(pipeline: VideoPipeline) -> None:
    own = pipeline.sampler()
    assert (own.steps, own.solver, own.last_time, own.guidance) == (5, "unipc", 0.2, 1.0)
    told = pipeline.sampler(steps=6, solver="ddim", last_time=0.1, guidance=2.0)
    assert (told.steps, told.solver, told.last_time, told.guidance) == (6, "ddim", 0.1, 2.0)
    with pytest.raises(ValueError, match="did you mean 'unipc'"):
        pipeline.sampler(solver="unpic")


def test_half_precision_stays_inside(pipeline: VideoPipeline) -> None:
    """bf16 changes frames a little, and is over wherever the stream hands them out."""
    exact = pipeline.generate(FRAMES, ACTIONS, steps=2, seed=1)
    half = VideoPipeline(pipeline.tokenizer, pipeline.model, pipeline.info, precision="bf16")
    made = []
    for frames in half.stream(FRAMES, ACTIONS, steps=2, seed=1):
        assert not torch.is_autocast_enabled("cpu") and frames.dtype == torch.float32
        made.append(frames)
    difference = (torch.cat(made, dim=1) - exact).abs()
    assert 0 < difference.mean() < 0.05


def test_an_iterator_of_wrong_actions_is_one_sentence(pipeline: VideoPipeline) -> None:
    start = [torch.zeros(2, dtype=torch.long)] * CONTEXT
    for late, message in {
        torch.full((2,), 7): "action 7; the model knows 0 forward, 1 left, 2 right",
        torch.full((2,), 0.5): "actions are torch.float32",
        torch.zeros(3, dtype=torch.long): r"actions are torch.int64 \(3,\).* for 2 videos",
        1: "an action is 1; give a tensor",
    }.items():
        stream = pipeline.stream(FRAMES, [*start, *start, late], steps=2)
        assert next(stream).shape[1] == 8
        with pytest.raises(ValueError, match=message):
            next(stream)
    for short in ([], start[:3], start):
        with pytest.raises(ValueError, match="leave nothing to generate"):
            list(pipeline.stream(FRAMES, iter(short), steps=2))
    with pytest.raises(ValueError, match="actions are of type int"):
        pipeline.stream(FRAMES, 5, steps=2)
    for seed, message in {
        -1: "seed is -1",
        (1, 2, 3): "3 seeds for 2 videos",
        "a": "seed is 'a'",
        True: "seed is True",
    }.items():
        with pytest.raises(ValueError, match=message):
            list(pipeline.stream(FRAMES, ACTIONS, steps=2, seed=seed))
    with pytest.raises(ValueError, match="give one of them"):
        pipeline.stream(FRAMES, ACTIONS, steps=2, seed=1, generator=torch.Generator())
