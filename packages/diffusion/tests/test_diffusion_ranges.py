"""Every range and shape that a docstring of the package documents is checked where values enter, in one sentence."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from millivid.diffusion import (
    Noise,
    SamplerConfig,
    VideoDiT,
    VideoDiTConfig,
    alpha_sigma,
    denoise,
    draw,
    logsnr,
    rollout,
    stack_tokens,
)
from millivid.diffusion.actions import known_actions
from millivid.rollout import make_schedule, plan

GRIDS = ((2, 4), (1, 2))
PLAN = plan(make_schedule("millivid", windows=(1, 4), history=16), (8, 2), 9, 13)
CONFIG = VideoDiTConfig(grids=GRIDS, latent_channels=3, width=24, depth=1, num_heads=2)
VECTORS = VideoDiTConfig(**{**asdict(CONFIG), "action_type": "continuous", "num_actions": 2})
WITHOUT = VideoDiTConfig(**{**asdict(CONFIG), "num_actions": 0})
MODEL, FRAMES = VideoDiT(CONFIG), PLAN.buffer_end
ACTIONS = torch.zeros(2, FRAMES, dtype=torch.long)
STORES = [torch.zeros(2, FRAMES, *grid, 3) for grid in GRIDS]
TOKENS = stack_tokens([next(iter(PLAN)).tokens(GRIDS)])


@pytest.fixture(autouse=True)
def as_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not checked, which tests else do before the functions themselves."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize("steps", [0, 1, -3, True, 2.0, math.nan, "50", 10**11, None])
def test_steps_that_cannot_be(steps: Any) -> None:
    with pytest.raises(ValueError, match="sampling steps is .* whole number from 2 to 10,000: at least 2"):
        SamplerConfig(steps=steps)


@pytest.mark.parametrize("name", ["guidance", "noise shift"])
@pytest.mark.parametrize("value", [-1.0, True, math.nan, math.inf, -math.inf, 1e300, "1", None])
def test_guidance_and_shift_that_cannot_be(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; it must be a finite number from"):
        SamplerConfig(**{name.split()[-1]: value})


@pytest.mark.parametrize(
    ("config", "actions", "message"),
    [
        (CONFIG, ACTIONS + 7, "action 7; the model knows 0 forward, 1 left, 2 right$"),
        (CONFIG, ACTIONS - 1, "action -1; the model knows 0 forward, 1 left, 2 right$"),
        (CONFIG, ACTIONS.float(), "actions are torch.float32 .*; the model takes a tensor of whole numbers"),
        (CONFIG, ACTIONS.bool(), "actions are torch.bool"),
        (CONFIG, ACTIONS[0], "whole numbers .2, frame.: 0 forward"),
        (CONFIG, ACTIONS[:1], "whole numbers .2, frame."),
        (CONFIG, ACTIONS[..., None], "whole numbers .2, frame."),
        (CONFIG, ACTIONS.tolist(), "actions are a list"),
        (CONFIG, None, "actions are a NoneType"),
        (VECTORS, ACTIONS, r"torch.int64 .*; the model takes a tensor of floating-point numbers \(2, frame, 2\)"),
        (VECTORS, torch.zeros(2, 4, 3), r"\(2, frame, 2\)"),
        (VECTORS, torch.zeros(2, 4, 2) + math.nan, "actions hold NaN or infinity"),
        (WITHOUT, ACTIONS[:1], "actions are"),
    ],
)
def test_actions_that_the_model_does_not_know(config: VideoDiTConfig, actions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        known_actions(actions, config, 2, ("forward", "left", "right"), gaps=False)


def test_actions_of_any_whole_type_and_frames_without_one_are_known() -> None:
    for dtype in (torch.int8, torch.uint8, torch.int32):
        assert torch.equal(known_actions(ACTIONS.to(dtype), CONFIG, 2), ACTIONS)
    assert torch.equal(known_actions(ACTIONS - 1, CONFIG, 2), ACTIONS - 1)
    with pytest.raises(ValueError, match="action -2; the model knows 0 to 2, and -1 for none"):
        known_actions(ACTIONS - 2, CONFIG, 2)
    assert known_actions(torch.zeros(2, 4, 2) + math.nan, VECTORS, 2).isnan().all()
    known_actions(ACTIONS + 7, WITHOUT, 2)


def run(stores: Any = STORES, actions: Any = ACTIONS, noise: Any = None, planned: Any = PLAN) -> None:
    copies = [store.clone() for store in stores] if isinstance(stores, list) else stores
    next(rollout(MODEL, copies, planned, actions, SamplerConfig(steps=2), noise))


def other(change: Callable[[Tensor], Tensor]) -> list[Tensor]:
    return [STORES[0], change(STORES[1])]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(STORES[:1]), "those of 1 levels; the plan needs a sequence of 2"),
        (lambda: run(STORES[0]), "a single tensor"),
        (lambda: run(other(lambda x: x.long())), "level 1 are torch.int64"),
        (lambda: run(other(lambda x: x.double())), "level 1 are torch.float64 on cpu, the model is torch.float32"),
        (lambda: run(other(lambda x: x.to("meta"))), "on meta, the model is torch.float32 on cpu"),
        (lambda: run(other(lambda x: x[..., :2])), r"the model takes floating-point \(batch, frame, 1, 2, 3\)"),
        (lambda: run(other(lambda x: x[0])), "level 1 are"),
        (lambda: run(planned=plan(make_schedule("full_resolution", num_frames=4), (6,), 2, 4)), "tokens per level"),
        (lambda: run(actions=ACTIONS + 7), "action 7; the model knows 0 to 2, and -1 for none"),
        (lambda: Noise(7), "generator is 7"),  # type: ignore[arg-type]
        (lambda: denoise(MODEL, torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), 1.5, TOKENS), "t is 1.5"),
        (lambda: denoise(MODEL, torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), math.nan, TOKENS), "t is nan"),
        (lambda: logsnr(torch.zeros(1), 0.0), "noise shift is 0.0; it must be positive"),
        (lambda: alpha_sigma(torch.zeros(1), -1.0), "noise shift is -1.0"),
        (lambda: draw(torch.zeros(2, 4, 3), 1.5), "context_dropout is 1.5"),
        (lambda: VideoDiTConfig(width=True), "width is True; expected int"),
        (lambda: VideoDiTConfig(odometry=((1.0, 0.0), (0.0, math.nan), (0.0, 1.0))), "numbers must be finite"),
    ],
)
def test_arguments_that_cannot_be(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
