"""FramePack's own network gives the numbers of the authors' code: every such fixture in tests/golden or $MILLIVID_GOLDEN."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from millivid.diffusion import (
    Draws,
    FrameNoise,
    SamplerConfig,
    VideoDiT,
    VideoDiTConfig,
    denoise,
    diffusion_loss,
    rollout,
    stack_tokens,
)
from millivid.diffusion.framepack import FramePackPatchify
from millivid.kernels import pack_tokens
from millivid.rollout import make_schedule, plan

from .golden import (
    VIDEO,
    Golden,
    assert_all_is_read,
    assert_gradients,
    assert_near,
    build_model,
    fixtures,
    load,
    reading,
    results,
)


def channels_last(frames: Tensor) -> Tensor:
    return frames.permute(0, 1, 3, 4, 2).contiguous()


class FramePack:
    """A fixture, with the window that its tokens, forward, denoise and training parts look at."""

    def __init__(self, golden: Golden) -> None:
        self.golden, meta = golden
        self.meta = {"available_num_levels": len(meta["num_context_frames"]), **meta}
        self.model = build_model(self.golden, self.meta, patchify="framepack", bottleneck=meta["bottleneck"])
        self.schedule = make_schedule(
            "framepack", num_targets=meta["num_denoised_frames"], context=meta["num_context_frames"]
        )
        (self.step,) = self.schedule.chunk(self.model.config.tokens_per_level).steps
        self.tokens = stack_tokens([self.model.tokens_of(self.step)]).expand(len(self.golden["in.latents"]))
        match = re.search(r"\[:, (\d+) :", meta["window"])
        assert match, f"the window is described as {meta['window']!r}; '[:, START :' is expected in it"
        window = slice(int(match[1]), int(match[1]) + self.step.num_frames)
        self.latents = self.pack(self.golden["in.latents"][:, window])
        self.actions = self.golden["in.actions"][:, window, 0].long()[:, self.tokens.cell_frame[0]]

    def pack(self, frames: Tensor) -> Tensor:
        tokens = self.tokens
        return pack_tokens([channels_last(frames)], tokens.level, tokens.frame, tokens.row, tokens.column)

    def targets(self, values: Tensor) -> Tensor:
        """The targets' values as (batch, frame, channel, height, width)."""
        chosen = values[:, self.tokens.is_target[0]].unflatten(1, (-1, *self.model.config.grids[0]))
        return chosen.permute(0, 1, 4, 2, 3)


KIND = "ModelVideoFramePack"


@reading(KIND, *(rf"out\.tokens\.{name}" for name in ("x", "indices", "t", "actions")))
def test_the_sequence(path: Path) -> None:
    framepack = FramePack(load(path))
    assert isinstance(framepack.model.patchify, FramePackPatchify)
    h, sequence = framepack.model.patchify(framepack.latents, framepack.tokens)
    columns = torch.stack([sequence.frame, sequence.level, sequence.row, sequence.column], dim=-1)
    assert framepack.model.sequence_length(framepack.step) == columns.shape[1]
    assert torch.equal(columns, framepack.golden["out.tokens.indices"].long())
    assert_near(h, framepack.golden["out.tokens.x"], VIDEO)
    each = sequence.cell[0]
    assert torch.equal(framepack.golden["in.forward_t"][:, sequence.frame[0]], framepack.golden["out.tokens.t"])
    assert torch.equal(framepack.actions[:, each], framepack.golden["out.tokens.actions"][..., 0].long())


@reading(KIND, r"out\.forward_v")
def test_forward(path: Path) -> None:
    framepack = FramePack(load(path))
    t = framepack.golden["in.forward_t"][:, framepack.tokens.cell_frame[0]]
    v = framepack.model(framepack.latents, t, framepack.tokens, framepack.actions)
    assert_near(framepack.targets(v), framepack.golden["out.forward_v"], VIDEO)
    coarse = framepack.tokens.cell_level.gather(1, framepack.tokens.cell) > 0
    assert not v[coarse].any()  # cells of coarse context have no output


@reading(KIND, r"out\.denoise_t[\d.]+\.(x|eps)")
def test_denoise(path: Path) -> None:
    framepack = FramePack(load(path))
    eps = framepack.pack(framepack.golden["in.denoise_eps"])
    for (t,) in results(framepack.golden, r"out\.denoise_t([\d.]+)\.x"):
        found = denoise(
            framepack.model, framepack.latents, eps, float(t), framepack.tokens, framepack.actions,
            shift=framepack.meta["shift"],
        )  # fmt: skip
        for name, value in zip(("x", "eps"), found, strict=True):
            assert_near(framepack.targets(value), framepack.golden[f"out.denoise_t{t}.{name}"], VIDEO)


@reading(KIND, r"out\.generate")
def test_generated_video(path: Path) -> None:
    framepack = FramePack(load(path))
    golden, meta = framepack.golden, framepack.meta
    start, end = meta["first_denoised_frame"], meta["test_num_frames"]
    whole = start + (end - start) // meta["num_denoised_frames"] * meta["num_denoised_frames"]
    store = channels_last(golden["in.latents"]).clone()
    store[:, start:] = 0
    noise = channels_last(golden["rng.generate_eps"]).clone()
    planned = plan(framepack.schedule, framepack.model.config.tokens_per_level, start, whole)
    config = SamplerConfig(steps=meta["sampling_steps"], shift=meta["shift"])
    actions = golden["in.actions"][:, :, 0].long()
    steps = list(rollout(framepack.model, [store], planned, actions, config, FrameNoise([noise])))
    assert len(steps) == (end - start) // meta["num_denoised_frames"]
    assert_near(store, channels_last(golden["out.generate"]), VIDEO)


@reading(KIND, r"out\.train_loss")
def test_loss_and_gradients(path: Path) -> None:
    framepack = FramePack(load(path))
    golden, meta = framepack.golden, framepack.meta
    draws = Draws(
        t=golden["rng.train_t"],
        dropped=golden["rng.train_dropout_u"][:, 0] < meta["guidance_dropout_probability"],
        eps=framepack.pack(golden["rng.train_eps"]),
    )
    loss, _ = diffusion_loss(
        framepack.model, framepack.latents, framepack.tokens, framepack.actions, draws,
        shift=meta["shift"], drop_actions=False,
    )  # fmt: skip
    assert_near(loss, golden["out.train_loss"], VIDEO)
    loss.backward()
    assert_gradients(framepack.model, golden)


@pytest.mark.parametrize("path", fixtures(KIND), ids=lambda path: path.stem)
def test_nothing_in_a_fixture_is_left_unread(path: Path) -> None:
    assert_all_is_read(path)


@pytest.mark.parametrize("bottleneck", [None, 16])
def test_size_b(bottleneck: int | None) -> None:
    with torch.device("meta"):
        model = VideoDiT(VideoDiTConfig(patchify="framepack", bottleneck=bottleneck))
    kernels = [p for name, p in model.named_parameters() if name.startswith("patchify.")]
    if bottleneck is None:
        assert sum(p.numel() for p in model.parameters()) == 131_632_928
        assert [tuple(p.shape) for p in kernels[::2]] == [(768, 32), (768, 128), (768, 512), (768, 2048)]
    else:
        assert [tuple(p.shape) for p in kernels[::4]] == [(16, 32), (16, 128), (16, 512), (16, 2048)]
