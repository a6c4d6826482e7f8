"""`VideoPipeline` says in one sentence what of frames, actions and settings cannot be, before it computes anything."""

import math
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
    return VideoPipeline.from_pretrained(WEIGHTS / "full_resolution", WEIGHTS / "tokenizer")


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
