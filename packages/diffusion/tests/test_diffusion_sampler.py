"""Rollouts: what is written, what is left alone, seeds, guidance, and errors."""

import pytest
import torch
from torch import Tensor

from millivid.diffusion import Noise, SamplerConfig, VideoDiT, VideoDiTConfig, denoise, rollout, stack_tokens
from millivid.rollout import Role, make_schedule, plan

GRIDS = ((2, 4), (1, 2))
START, END = 9, 21
PLAN = plan(make_schedule("millivid", windows=(1, 4), history=16), (8, 2), START, END)
QUICK = SamplerConfig(steps=2)


@pytest.fixture(params=[False, True], ids=["plain", "odometry and normalisation"])
def model(request: pytest.FixtureRequest) -> VideoDiT:
    torch.manual_seed(0)
    odometry = ((1.0, 0.0), (0.5, 30.0), (0.0, -30.0)) if request.param else None
    model = VideoDiT(
        VideoDiTConfig(
            grids=GRIDS,
            latent_channels=3,
            width=24,
            depth=1,
            num_heads=2,
            odometry=odometry,
            normalize_latents=request.param,
        )  # fmt: skip
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def given(frames: int = PLAN.buffer_end) -> list[Tensor]:
    """Two videos whose frames before START are given and whose rest is NaN."""
    generator = torch.Generator().manual_seed(3)
    stores = [torch.randn(2, frames, *grid, 3, generator=generator) for grid in GRIDS]
    for store in stores:
        store[:, START:] = torch.nan
    return stores


def actions() -> Tensor:
    return torch.randint(0, 3, (2, PLAN.buffer_end), generator=torch.Generator().manual_seed(4))


def video(model: VideoDiT, seed: int, config: SamplerConfig = QUICK) -> list[Tensor]:
    stores = given()
    list(rollout(model, stores, PLAN, actions(), config, Noise(torch.Generator().manual_seed(seed))))
    return stores


def test_each_step_writes_exactly_its_target_cells(model: VideoDiT) -> None:
    stores = given()
    before = [store.clone() for store in stores]
    for planned, progress in zip(PLAN, rollout(model, stores, PLAN, actions(), QUICK), strict=True):
        roles = torch.from_numpy(planned.step.roles.copy())
        for level, (old, new) in enumerate(zip(before, stores, strict=True)):
            same = (old == new) | (old.isnan() & new.isnan())
            unchanged = same.flatten(2).all(dim=2)
            target = torch.zeros_like(unchanged)
            frames = (roles[level] == int(Role.TARGET)).nonzero()[:, 0] + planned.chunk_start
            target[:, frames] = True
            assert torch.equal(~unchanged, target)
            if level == 0 and len(frames):
                assert progress.finished == (int(frames[0]), int(frames[-1]) + 1)
        before = [store.clone() for store in stores]


def test_context_is_untouched_and_nothing_unwritten_is_read(model: VideoDiT) -> None:
    stores = video(model, seed=0)
    for store, original in zip(stores, given(), strict=True):
        assert torch.equal(store[:, :START], original[:, :START])
    assert not stores[0][:, :END].isnan().any()


def test_progress_counts_all_steps_and_frames(model: VideoDiT) -> None:
    progress = list(rollout(model, given(), PLAN, None, QUICK))
    assert [p.index for p in progress] == list(range(len(PLAN)))
    assert {p.total for p in progress} == {len(PLAN)}
    finished = [frame for p in progress for frame in range(*p.finished)]
    assert finished == list(range(START, PLAN.video_end))


def test_the_seed_decides_the_video(model: VideoDiT) -> None:
    first, again, other = video(model, 5), video(model, 5), video(model, 6)
    assert all(torch.equal(a[:, :END], b[:, :END]) for a, b in zip(first[:1], again[:1], strict=True))
    assert not torch.equal(first[0][:, :END], other[0][:, :END])


@pytest.mark.parametrize(("guidance", "calls"), [(1.0, 1), (0.0, 2), (1.5, 2)])
def test_guidance_1_calls_the_model_once(model: VideoDiT, guidance: float, calls: int) -> None:
    seen = []
    model.register_forward_hook(lambda *_: seen.append(1))
    tokens = stack_tokens([next(iter(PLAN)).tokens(GRIDS)])
    x, eps = torch.randn(2, 1, tokens.level.shape[1], 3)
    denoise(model, x, eps, 0.5, tokens, guidance=guidance)
    assert len(seen) == calls


def test_denoising_keeps_the_contexts_data_and_noise(model: VideoDiT) -> None:
    tokens = stack_tokens([next(iter(PLAN)).tokens(GRIDS)])
    x, eps = torch.randn(2, 1, tokens.level.shape[1], 3)
    x_hat, eps_hat = denoise(model, x, eps, 0.5, tokens, guidance=2.0)
    context = ~tokens.is_target
    assert context.any()
    assert torch.equal(x_hat[context], x[context])
    assert torch.equal(eps_hat[context], eps[context])
    assert (x_hat != x)[~context].any()


def test_short_stores_and_actions_are_refused(model: VideoDiT) -> None:
    with pytest.raises(ValueError, match=f"reaches frame {PLAN.buffer_end}, but the latents have 20 frames"):
        next(rollout(model, given(20), PLAN))
    with pytest.raises(ValueError, match=f"actions 5; pad both to {PLAN.buffer_end}"):
        next(rollout(model, given(), PLAN, actions()[:, :5]))


@pytest.mark.parametrize(("settings", "message"), [({"steps": 1}, "at least 2"), ({"shift": 0.0}, "positive")])
def test_sampler_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplerConfig(**settings)
