"""Context that the model makes anew: which step wrote it, and that it becomes what that step writes."""

import numpy as np
import pytest
import torch

from millivid.diffusion import SamplerConfig, VideoDiT, VideoDiTConfig, alpha_sigma, sample_targets, stack_tokens
from millivid.diffusion.odometry import dead_reckon
from millivid.diffusion.own_history import OwnHistory, Writer, writers
from millivid.rollout import Chunk, Role, StepTokens, make_schedule

GRIDS = ((2, 4), (1, 2))
SCHEDULES = {
    "millivid": {"windows": (1, 4), "history": 16},
    "full_resolution": {"num_frames": 4},
    "framepack": {"num_targets": 1, "context": (1, 2)},
    "rollout_upscale": {"base": 2, "num_levels": 2},
}


def model_of(**changed: object) -> VideoDiT:
    torch.manual_seed(0)
    sizes = {"grids": GRIDS, "latent_channels": 3, "width": 24, "depth": 2, "num_heads": 2, "frozen_context": True}
    model = VideoDiT(VideoDiTConfig(**sizes | changed))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def chunk_of(name: str) -> Chunk:
    return make_schedule(name, **SCHEDULES[name]).chunk((8, 2))


def cells(step: StepTokens, tokens: np.ndarray) -> set[tuple[int, int]]:
    return {(int(step.level[token]), int(step.frame[token])) for token in tokens}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_writer_writes_what_the_reader_reads(name: str) -> None:
    model, chunk = model_of(), chunk_of(name)
    found, kept = writers(chunk, model.tokens_of), chunk.num_kept_frames
    assert len(found) == len(chunk.steps) and all(found)
    for step, some in zip(chunk.steps, found, strict=True):
        reader, taken = model.tokens_of(step, kept), set[int]()
        for writer in some:
            for column in ("level", "frame", "row", "column"):
                written, read = getattr(writer.tokens, column)[writer.written], getattr(reader, column)[writer.read]
                assert (written == read).all()
            assert (writer.tokens.cell_role[writer.tokens.cell[writer.written]] == Role.TARGET).all()
            assert (reader.cell_role[reader.cell[writer.read]] == Role.CONTEXT).all()
            assert not taken & set(writer.read.tolist())
            taken |= set(writer.read.tolist())


def test_the_writer_of_the_finest_history_is_the_step_before() -> None:
    model, chunk = model_of(), chunk_of("millivid")
    found, kept = writers(chunk, model.tokens_of), chunk.num_kept_frames
    finest = [number for number, step in enumerate(chunk.steps) if (step.roles[0] == Role.TARGET).any()]
    assert len(finest) == 4
    for number in finest:
        reader = model.tokens_of(chunk.steps[number], kept)
        history = {cell for cell in cells(reader, np.arange(len(reader))) if cell[0] == 0}
        history -= cells(reader, np.flatnonzero(reader.cell_role[reader.cell] == Role.TARGET))
        by = [writer for writer in found[number] if cells(writer.tokens, writer.written) & history]
        assert {cell for writer in by for cell in cells(writer.tokens, writer.written)} >= history


def own_of(model: VideoDiT, writer: Writer, t: float, x: torch.Tensor) -> tuple[OwnHistory, torch.Tensor]:
    tokens = stack_tokens([writer.tokens])
    actions = torch.randint(0, 3, (1, 64), generator=torch.Generator().manual_seed(1))
    poses = dead_reckon(actions, ((1.0, 0.0), (0.5, 30.0), (0.0, -30.0)))
    cell = tokens.cell_frame[0]
    own = OwnHistory(
        x=x,
        tokens=tokens,
        action=actions[:, cell],
        pose=poses[:, cell],
        t=torch.tensor([t]),
        examples=torch.tensor([0]),
        written=torch.from_numpy(writer.written),
        read=torch.from_numpy(writer.read),
    )
    return own, torch.randn(x.shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_history_from_pure_noise_is_what_the_sampler_writes(prediction: str) -> None:
    odometry = ((1.0, 0.0), (0.5, 30.0), (0.0, -30.0))
    model, chunk = model_of(prediction=prediction, odometry=odometry), chunk_of("millivid")
    number = len(chunk.steps) - 1
    writer = writers(chunk, model.tokens_of)[number][0]
    own, eps = own_of(model, writer, 1.0, torch.randn(1, len(writer.tokens), 3))
    context, targets = own.tokens.split()
    sampled, _ = sample_targets(
        model,
        context.of_tokens(own.x),
        torch.zeros_like(context.of_tokens(own.x)),
        alpha_sigma(torch.tensor(1.0))[0] * targets.of_tokens(own.x)  # which is not nothing
        + alpha_sigma(torch.tensor(1.0))[1] * targets.of_tokens(eps),
        (context, targets),
        own.action,
        model.pose_seen(own.pose, own.tokens),
        SamplerConfig(steps=2, last_time=0.5),
    )
    reader = model.tokens_of(chunk.steps[number], chunk.num_kept_frames)
    before = torch.randn(1, len(reader), 3)
    after = own.write(model, before, eps)
    changed = (after != before).any(dim=-1)[0]
    assert set(changed.nonzero()[:, 0].tolist()) == set(writer.read.tolist())
    whole = own.x.scatter(1, targets.token.unsqueeze(-1).expand_as(sampled), sampled)
    torch.testing.assert_close(after[0, writer.read], whole[0, writer.written], atol=2e-3, rtol=2e-3)


def test_history_without_noise_stays_the_truth() -> None:
    model, chunk = model_of(normalize_latents=True), chunk_of("full_resolution")
    model.latent_mean += 0.3
    model.latent_std *= 1.5
    (writer,) = writers(chunk, model.tokens_of)[0]
    own, eps = own_of(model, writer, 0.0, torch.randn(1, len(writer.tokens), 3))
    reader = model.tokens_of(chunk.steps[0], chunk.num_kept_frames)
    after = own.write(model, torch.zeros(1, len(reader), 3), eps)
    true = model.normalize(own.x, own.tokens.level)
    torch.testing.assert_close(after[0, writer.read], true[0, writer.written], atol=1e-2, rtol=0)
