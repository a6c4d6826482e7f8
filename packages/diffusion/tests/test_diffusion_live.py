"""Live rollouts: the numbers of plans that know the actions, whatever was planned and given up in between."""

import pytest
import torch
from torch import Tensor

from millivid.diffusion import LiveLatents, SamplerConfig, SeededNoise, VideoDiT, VideoDiTConfig, rollout
from millivid.rollout import Plan, cuts, make_schedule

GRIDS, START, QUICK = ((2, 4), (1, 2)), 30, SamplerConfig(steps=2)
SCHEDULES = {
    "millivid": {"windows": (1, 4), "history": 16},
    "full_resolution": {"num_frames": 4},
    "framepack": {"num_targets": 2, "context": (1, 2)},
}


@pytest.fixture(scope="module")
def model() -> VideoDiT:
    torch.manual_seed(0)
    odometry = ((1.0, 0.0), (0.5, 30.0), (0.0, -30.0))
    sizes = {"grids": GRIDS, "latent_channels": 3, "width": 24, "depth": 2, "num_heads": 2, "odometry": odometry}
    made = VideoDiT(VideoDiTConfig(**sizes, frozen_context=True))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def given() -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(3)
    latents = [torch.randn(1, START, *grid, 3, generator=generator) for grid in GRIDS]
    return latents, torch.randint(0, 3, (1, START), generator=generator)


def live(model: VideoDiT, name: str) -> LiveLatents:
    latents, actions = given()
    return LiveLatents(model, make_schedule(name, **SCHEDULES[name]), latents, actions.unbind(1), QUICK, seeds=(5,))


def play(stream: LiveLatents, keys: list[tuple[int, int]], ahead: int = 0) -> tuple[Tensor, list[tuple[int, int]]]:
    """Frames shown while each key is held for so many, and where chunks began with which action."""
    made: dict[int, Tensor] = {}
    begun, shown = [], START
    for action, frames in keys:
        stream.change(shown)
        for end in [*range(shown + 1, shown + frames + 1), *[0] * ahead]:  # 0: a step whatever is there
            while stream.plan.finished < end or end == 0:
                if stream.plan.done == 0:
                    begun.append((stream.plan.first, action))
                first = stream.plan.finished
                for number, latents in enumerate(stream.run(torch.tensor([action])).unbind(1)):
                    made[first + number] = latents
                if end == 0:
                    break
        shown += frames
    return torch.stack([made[frame] for frame in range(START, shown)], dim=1), begun


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("ahead", [0, 2])
def test_frames_are_those_of_plans_that_knew_the_actions(model: VideoDiT, name: str, ahead: int) -> None:
    found, begun = play(live(model, name), [(0, 3), (2, 1), (1, 9), (0, 2)], ahead)
    latents, actions = given()
    room = START + found.shape[1] + 40
    stores = [torch.cat([level, torch.zeros(1, room, *level.shape[2:])], dim=1) for level in latents]
    held = torch.cat([actions, torch.zeros(1, room, dtype=torch.long)], dim=1)
    chunk = make_schedule(name, **SCHEDULES[name]).chunk((8, 2))
    for first, action in begun:
        held[:, first:] = action
        begin = first - chunk.target_start
        end = first + chunk.num_kept_frames
        plan = Plan(chunk=chunk, chunk_starts=(begin,), start=first, video_end=end, buffer_end=begin + chunk.num_frames)
        list(rollout(model, stores, plan, held, QUICK, SeededNoise((5,), step=first * len(chunk.steps))))
    # What a given up chunk wrote further on was written again; a store that it does not reach has been cut short.
    torch.testing.assert_close(found, stores[0][:, START : START + found.shape[1]], atol=1e-4, rtol=1e-4)


def test_what_was_planned_and_given_up_leaves_no_trace(model: VideoDiT) -> None:
    keys = [(0, 4), (2, 4), (1, 8)]
    hasty = live(model, "millivid")
    for action in (2, 1):  # pressed before anything was shown
        hasty.run(torch.tensor([action]))
        hasty.change(START)
    assert torch.equal(play(hasty, keys)[0], play(live(model, "millivid"), keys, ahead=3)[0])


def test_a_walk_goes_on_from_its_state(model: VideoDiT) -> None:
    one, other = live(model, "millivid"), live(model, "millivid")
    play(one, [(0, 4)])
    state = {name: value.clone() for name, value in one.state().items()}
    assert int(state["frame"]) == START + 4 == one.plan.first
    frames = [one.run(torch.tensor([1])) for _ in range(2)]
    for stream in (other, one):  # of which one is behind that moment and one ahead of it
        stream.resume({name: value.clone() for name, value in state.items()})
        assert all(torch.equal(a, stream.run(torch.tensor([1]))) for a in frames)


def test_memory_does_not_grow(model: VideoDiT) -> None:
    stream = live(model, "millivid")
    sizes = set()
    for action in range(12):
        stream.change(stream.plan.finished)
        for _ in range(3):
            stream.run(torch.tensor([action % 3]))
        sizes.add(sum(value.numel() for value in stream.state().values()))
    assert len(sizes) == 1 and stream.plan.finished > START + 20


def test_what_cannot_be(model: VideoDiT) -> None:
    stream = live(model, "millivid")
    with pytest.raises(ValueError, match="action 3; the model knows 0 to 2"):
        stream.run(torch.tensor([3]))
    stream.run(torch.tensor([0]))
    with pytest.raises(ValueError, match="call change first"):
        stream.run(torch.tensor([1]))
    with pytest.raises(ValueError, match="40 frames cannot have been shown; 30 are finished"):
        stream.change(40)
    assert cuts(stream.plan.chunk)[0].steps == 2
