"""Streams: the frames of a plan over the whole video, in memory that does not grow; stopped, resumed, cut short."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from millivid.diffusion import (
    FrameNoise,
    LatentStream,
    Noise,
    SamplerConfig,
    SeededNoise,
    VideoDiT,
    VideoDiTConfig,
    rollout,
)
from millivid.rollout import Chunk, Role, Schedule, Step, make_schedule, plan

GRIDS = ((2, 4), (1, 2))
SCHEDULES = {
    "millivid": {"windows": (1, 4), "history": 16},
    "full_resolution": {"num_frames": 6},
    "framepack": {"num_targets": 2, "context": (1, 3)},
    "framepack_mirrored": {"context": (1, 3), "targets": (1, 2)},
    "rollout_upscale": {"base": 2, "num_levels": 2},
}
START, QUICK = 30, SamplerConfig(steps=2)


def model_of(frozen: bool = True, **changed: object) -> VideoDiT:
    torch.manual_seed(0)
    sizes = {"grids": GRIDS, "latent_channels": 3, "width": 24, "depth": 2, "num_heads": 2, "frozen_context": frozen}
    model = VideoDiT(VideoDiTConfig(**sizes | changed))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def schedule_of(name: str) -> Schedule:
    return make_schedule(name, **SCHEDULES[name])


def given(batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(batch, START, *grid, 3, generator=generator) for grid in GRIDS]


def actions(end: int, batch: int = 2) -> list[Tensor]:
    return list(torch.randint(0, 3, (batch, end), generator=torch.Generator().manual_seed(4)).unbind(1))


def streamed(stream: LatentStream) -> Tensor:
    return torch.cat([latents for _, latents in stream], dim=1)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("length", [1, 9, 16])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_stream_gives_the_frames_of_a_plan(name: str, length: int, frozen: bool) -> None:
    model, schedule = model_of(frozen, odometry=((1.0, 0.0), (0.5, 30.0), (0.0, -30.0))), schedule_of(name)
    video = plan(schedule, (8, 2), START, START + length)
    stores = [
        torch.cat([level, level.new_zeros(2, video.buffer_end - START, *level.shape[2:])], dim=1) for level in given()
    ]
    known = actions(START + length)
    padded = torch.stack(known + [torch.zeros(2, dtype=torch.long)] * (video.buffer_end - START - length), dim=1)
    list(rollout(model, stores, video, padded, QUICK, Noise(torch.Generator().manual_seed(0))))
    stream = LatentStream(model, schedule, given(), known, QUICK, Noise(torch.Generator().manual_seed(0)))
    found = streamed(stream)
    torch.testing.assert_close(found, stores[0][:, START : START + length], atol=1e-4, rtol=1e-4)


def test_frames_come_as_soon_as_their_finest_level_is_written() -> None:
    stream, finished = LatentStream(model_of(), schedule_of("millivid"), given(), actions(START + 8), QUICK), []
    for step, (progress, latents) in enumerate(stream):
        assert latents.shape[1] == progress.finished[1] - progress.finished[0]
        finished += [(step, frame) for frame in range(*progress.finished)]
    assert finished[0] == (1, START)  # one step per level
    assert [frame for _, frame in finished] == list(range(START, START + 8))


def test_a_stream_of_any_length_keeps_what_the_schedule_reads() -> None:
    def endless() -> Iterator[Tensor]:
        while True:
            yield torch.zeros(2, dtype=torch.long)

    stream = LatentStream(model_of(), schedule_of("millivid"), given(), endless(), QUICK)
    frames = schedule_of("millivid").chunk((8, 2)).num_frames
    for progress, _ in stream:
        assert [store.shape[1] for store in stream.stores] == [frames, frames]
        assert stream.actions.shape[1] < frames and len(stream.ahead) <= frames
        if progress.finished[1] >= START + 50:
            return


def test_steps_that_nothing_kept_depends_on_are_left_out() -> None:
    schedule = make_schedule("millivid", windows=(1, 4), history=16)
    counts = {}
    for length in (1, 2, 4):
        stream = LatentStream(
            model_of(), schedule, given(), actions(START + length), QUICK, Noise(torch.Generator().manual_seed(0))
        )
        steps = list(stream)
        assert {progress.total for progress, _ in steps} == {len(steps)}
        counts[length] = len(steps)
    assert counts == {1: 2, 2: 3, 4: 5}


def test_one_seed_gives_one_video_alone_and_beside_others() -> None:
    model, schedule = model_of(), schedule_of("millivid")
    both = streamed(LatentStream(model, schedule, given(), actions(START + 8), QUICK, SeededNoise((5, 9))))
    alone = LatentStream(
        model, schedule, [level[1:] for level in given()], [a[1:] for a in actions(START + 8)], QUICK, SeededNoise((9,))
    )
    torch.testing.assert_close(streamed(alone), both[1:], atol=1e-5, rtol=1e-5)
    other = streamed(LatentStream(model, schedule, given(), actions(START + 8), QUICK, SeededNoise((5, 10))))
    assert not torch.allclose(other[1], both[1]) and torch.equal(other[0], both[0])


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_resumed_stream_ends_bit_for_bit_the_same(chunks: int) -> None:
    def start() -> LatentStream:
        return LatentStream(
            model_of(), schedule_of("millivid"), given(), actions(START + 15), QUICK, SeededNoise((1, 2))
        )

    whole, first = streamed(start()), start()
    before = [latents for _ in range(chunks) for _, latents in first.next_chunk() or ()]
    second = start()
    second.resume({name: value.clone() for name, value in first.state().items()})
    assert torch.equal(torch.cat([*before, streamed(second)], dim=1), whole)


def test_what_cannot_be_streamed_is_one_sentence() -> None:
    model, schedule = model_of(), schedule_of("millivid")
    with pytest.raises(ValueError, match="5 context frames are too few; the model needs"):
        LatentStream(model, schedule, [level[:, :5] for level in given()], actions(START))
    with pytest.raises(ValueError, match="20 actions for 30 context frames leave nothing to generate"):
        LatentStream(model, schedule, given(), actions(20))
    for wrong, message in {
        7: "action 7; the model knows 0 up, 1 left, 2 right",
        -1: "action -1; the model knows 0 up",
        0.5: "actions are torch.float32 .*torch.int64",
    }.items():
        late = [*actions(START + 6), torch.full((2,), wrong), torch.zeros(2, dtype=torch.long)]
        stream = LatentStream(model, schedule, given(), late, QUICK, action_names=("up", "left", "right"))
        assert sum(latents.shape[1] for _, latents in stream.next_chunk() or ()) == 4  # the chunk before it
        with pytest.raises(ValueError, match=message):
            stream.next_chunk()
    with pytest.raises(ValueError, match="3 seeds for 2 videos"):
        streamed(LatentStream(model, schedule, given(), actions(START + 1), QUICK, SeededNoise((1, 2, 3))))
    with pytest.raises(ValueError, match="seed is -1"):
        SeededNoise((-1,))


@dataclass(frozen=True, kw_only=True)
class OutOfOrder(Schedule):
    """Fine frames 1 and 3, then 2 and 4, then the coarse level of all, which only the next chunk reads."""

    name: ClassVar[str] = "out_of_order"

    def chunk(self, tokens_per_level: Sequence[int]) -> Chunk:
        roles = np.zeros((3, 2, 8), dtype=np.uint8)
        roles[:, 1, :4] = Role.CONTEXT
        roles[0, 0, [4, 6]] = roles[1, 0, [5, 7]] = Role.TARGET
        roles[1, 0, [4, 6]] = Role.CONTEXT
        roles[2, 0, 4:] = Role.CONTEXT
        roles[2, 1, 4:] = Role.TARGET
        steps = tuple(Step(each) for each in roles)
        return Chunk(steps=steps, tokens_per_level=tuple(tokens_per_level[:2]), target_start=4, pads=True)


def test_frames_come_in_order_and_what_the_next_chunk_reads_is_written() -> None:
    model, schedule = model_of(), OutOfOrder()
    video = plan(schedule, (8, 2), START, START + 8)
    stores = [torch.cat([level, level.new_zeros(2, 8, *level.shape[2:])], dim=1) for level in given()]
    noise = [Noise(torch.Generator().manual_seed(0)) for _ in range(2)]
    known = actions(START + 8)
    list(rollout(model, stores, video, torch.stack(known, dim=1), QUICK, noise[0]))
    spans, latents = zip(*LatentStream(model, schedule, given(), known, QUICK, noise[1]), strict=True)
    finished = [frame for progress in spans for frame in range(*progress.finished)]
    assert finished == list(range(START, START + 8))
    torch.testing.assert_close(torch.cat(latents, dim=1), stores[0][:, START:], atol=1e-5, rtol=1e-5)


def test_a_model_without_actions_takes_any() -> None:
    model, schedule = model_of(num_actions=0), schedule_of("millivid")
    found = []
    for action in (torch.tensor([0, 0]), torch.tensor([2**40, 1]), torch.full((2, 3), 0.5)):
        noise = SeededNoise((1, 2))
        found.append(streamed(LatentStream(model, schedule, given(), [action] * (START + 4), QUICK, noise)))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_noise_of_a_whole_video_is_none_of_a_stream() -> None:
    with pytest.raises(ValueError, match="FrameNoise belongs to a whole video"):
        LatentStream(model_of(), schedule_of("framepack"), given(), actions(START + 1), QUICK, FrameNoise(given()))
    with pytest.raises(ValueError, match="actions are of type NoneType"):
        LatentStream(model_of(), schedule_of("framepack"), given(), None, QUICK)  # type: ignore[arg-type]
    for seeds in ([torch.tensor(3), 4], np.array([3, 4]), torch.tensor([3, 4])):
        stream = LatentStream(
            model_of(), schedule_of("framepack"), given(), actions(START + 2), QUICK, SeededNoise(seeds)
        )
        assert streamed(stream).shape[1] == 2
