"""Rollouts: what is written, what is left alone, seeds, guidance, and errors."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from millivid.diffusion import (
    Noise,
    SamplerConfig,
    TokenBatch,
    VideoDiT,
    VideoDiTConfig,
    denoise,
    rollout,
    sample_step,
    stack_tokens,
)
from millivid.diffusion.odometry import dead_reckon
from millivid.kernels import pack_tokens, unpack_tokens_
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
    model.head.register_forward_hook(lambda *_: seen.append(1))
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


def test_a_frozen_context_is_read_once_and_writes_what_whole_passes_write(model: VideoDiT) -> None:
    """Reading ahead against all tokens at every evaluation, guidance included; and how often blocks run on how many tokens."""
    frozen = VideoDiT(replace(model.config, frozen_context=True))
    frozen.load_state_dict(model.state_dict())
    config = SamplerConfig(steps=3, guidance=1.5, solver="dpmpp_2m", last_time=0.1)
    expected = given()
    for planned in PLAN:
        one = stack_tokens([planned.step.tokens(GRIDS, planned.chunk_start)])
        tokens = one.expand(2)
        x = frozen.normalize(pack_tokens(expected, *tokens.place), tokens.level)
        x = torch.where(tokens.is_target.unsqueeze(-1), 0.0, x)
        action = actions()[:, one.cell_frame[0]]
        poses = None if frozen.config.odometry is None else dead_reckon(actions(), frozen.config.odometry)
        pose = None if poses is None else poses[:, one.cell_frame[0]]
        eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(planned.index))
        x, _ = sample_step(frozen, x, eps, tokens, action, pose, config)
        unpack_tokens_(expected, frozen.denormalize(x, tokens.level), *tokens.place, tokens.is_target)

    class Recorded(Noise):
        steps = iter(range(len(PLAN)))

        def draw(self, x: Tensor, tokens: TokenBatch) -> Tensor:
            return torch.randn(x.shape, generator=torch.Generator().manual_seed(next(self.steps)))

    lengths, found = [], given()
    frozen.blocks[0].mlp.register_forward_hook(lambda module, inputs, out: lengths.append(out.shape[1]))
    list(rollout(frozen, found, PLAN, actions(), config, Recorded()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, equal_nan=True)
    for planned in PLAN:
        columns = planned.step.tokens(GRIDS)
        targets = int((columns.role == Role.TARGET).sum())
        # The context twice, with and without actions; the targets for both at every evaluation. Depth 1: its block only reads.
        assert lengths[:6] == [targets] * 6
        del lengths[:6]
    assert not lengths


class WithoutWaiting(TorchDispatchMode):
    """Fails where a tensor of the CPU is copied to the device so that the host waits until it is there."""

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        settings = kwargs or {}
        if (
            func is torch.ops.aten._to_copy.default
            and str(settings.get("device")) == "meta"
            and args[0].device.type == "cpu"
        ):
            assert settings.get("non_blocking"), "a copy to the device waits"
        return func(*args, **settings)


@pytest.mark.parametrize("patchify", ["linear", "framepack"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_rollout_step_never_waits_for_a_gpu(patchify: str, frozen: bool) -> None:
    """On the meta device there are no numbers to ask for, and copies to it have to be such that the host goes on."""
    model = VideoDiT(
        VideoDiTConfig(
            grids=GRIDS,
            latent_channels=3,
            width=24,
            depth=2,
            num_heads=2,
            odometry=((1.0, 0.0), (0.5, 30.0), (0.0, -30.0)),
            patchify=patchify,
            frozen_context=frozen,
            normalize_latents=True,
        )  # fmt: skip
    ).to("meta")
    name, settings = ("millivid", {"windows": (1, 4), "history": 16})
    if patchify == "framepack":
        name, settings = "framepack", {"num_targets": 2, "context": (1, 3)}
    planned = plan(make_schedule(name, **settings), (8, 2), START, END)
    stores = [torch.zeros(2, planned.buffer_end, *grid, 3, device="meta") for grid in GRIDS]
    known = torch.zeros(2, planned.buffer_end, dtype=torch.long)
    config = SamplerConfig(steps=3, guidance=1.5, solver="unipc")
    with WithoutWaiting():
        assert len(list(rollout(model, stores, planned, known, config))) == len(planned)
        with pytest.raises(RuntimeError, match="meta"):
            stores[0].sum().item()
        with pytest.raises(AssertionError, match="waits"):
            known.to("meta")
