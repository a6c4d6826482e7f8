"""A frozen context: what reads it once gives the numbers of one masked pass over all tokens, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from millivid.diffusion import (
    Draws,
    TokenBatch,
    VideoDiT,
    VideoDiTConfig,
    alpha_sigma,
    diffusion_loss,
    draw,
    stack_tokens,
)
from millivid.diffusion.conditions import Conditions
from millivid.diffusion.model import Seen
from millivid.rollout import Chunk, Role, Step, make_schedule

GRIDS = ((4, 8), (2, 4), (1, 2))
TABLE = ((1.0, 0.0), (0.5, 30.0), (0.0, -30.0))


def lively(**changed: object) -> VideoDiT:
    torch.manual_seed(0)
    small = {"grids": GRIDS, "latent_channels": 2, "width": 24, "depth": 3, "num_heads": 2, "frozen_context": True}
    model = VideoDiT(VideoDiTConfig(**small | changed))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return model.double()  # so that what differs is no rounding


def inputs(model: VideoDiT, tokens: TokenBatch, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random x, a time for the context's and one for the targets' cells, action and pose per cell."""
    generator = torch.Generator().manual_seed(seed)
    cells = tuple(tokens.cell_level.shape)
    t = torch.where(tokens.cell_is_target, torch.rand(cells[0], 1, generator=generator), 0.0).double()
    action = torch.randint(-1, 3, cells, generator=generator)
    if model.config.action_type == "continuous":
        action = torch.randn(*cells, 3, generator=generator).double()
        action[0, 0] = torch.nan
    x = torch.randn(*tokens.level.shape, model.config.latent_channels, generator=generator)
    return x.double(), t, action, torch.randn(*cells, 3, generator=generator).double()


def in_two_parts(model: VideoDiT, tokens: TokenBatch, x: Tensor, t: Tensor, action: Tensor, pose: Tensor) -> Tensor:
    """Velocities of the targets, by reading the context first; packed, padding last."""
    seen = model.pose_seen(pose, tokens)
    conditions, placed = {}, {}
    parts = tokens.split()
    shown = Seen(parts[0].tokens, parts[0].of_tokens(x))
    for name, part in zip(("context", "targets"), parts, strict=True):
        given = part.of_cells(action)
        conditions[name] = Conditions.of(part.of_cells(t), part.tokens.cell_level, given)
        placed[name] = model.place(part.tokens, given, None if seen is None else part.of_cells(seen), shown)
    context, targets = parts
    read = model.read_context(context.of_tokens(x), conditions["context"], placed["context"])
    return model.predict(targets.of_tokens(x), conditions["targets"], placed["targets"], read)


def compare(model: VideoDiT, tokens: TokenBatch, seed: int = 1) -> None:
    """Velocities of the targets and all gradients of their square: the same in one pass and in two parts."""
    x, t, action, pose = inputs(model, tokens, seed)
    _, targets = tokens.split()
    real = targets.tokens.key_mask if targets.tokens.key_mask is not None else torch.ones_like(targets.token) > 0
    together = targets.of_tokens(model(x, t, tokens, action, pose))
    apart = in_two_parts(model, tokens, x, t, action, pose)
    torch.testing.assert_close(apart[real], together[real], atol=1e-10, rtol=0)
    assert together[real].abs().max() > 0.01
    parameters = list(model.parameters())
    found, expected = (
        torch.autograd.grad(v[real].square().mean(), parameters, allow_unused=True, materialize_grads=True)
        for v in (apart, together)
    )
    assert sum(bool(gradient.any()) for gradient in expected) > 0.8 * len(parameters)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    name = draw(
        st.sampled_from(
            ["millivid", "full_resolution", "framepack", "framepack_mirrored", "rollout_upscale", "upscale"]
        )
    )
    tokens_per_level = tuple(height * width for height, width in GRIDS)
    if name == "millivid":
        fine = draw(st.integers(1, 2))
        windows = (fine, fine * draw(st.integers(1, 3)))
        windows = (*windows, windows[1] * draw(st.integers(1, 3)))
        return make_schedule(name, windows=windows, history=draw(st.integers(0, 80)), pads=True).chunk(tokens_per_level)
    if name == "full_resolution":
        return make_schedule(name, num_frames=2 * draw(st.integers(1, 3))).chunk(tokens_per_level)
    if name == "framepack":
        counts = draw(st.tuples(*[st.integers(1, 3)] * 3))
        return make_schedule(name, num_targets=draw(st.integers(1, 2)), context=counts).chunk(tokens_per_level)
    if name == "framepack_mirrored":
        counts = draw(st.tuples(*[st.integers(1, 3)] * 3))
        return make_schedule(name, context=counts, targets=counts).chunk(tokens_per_level)
    return make_schedule(name, base=2, num_levels=3).chunk(tokens_per_level)


@settings(max_examples=25, deadline=None)
@given(chunk=chunks(), data=st.data())
def test_read_once_equals_one_masked_pass(chunk: Chunk, data: st.DataObject) -> None:
    """Over random schedules, steps of unlike lengths side by side, and every kind of action."""
    steps = [data.draw(st.sampled_from(chunk.steps)) for _ in range(data.draw(st.integers(1, 3)))]
    changed = data.draw(st.sampled_from([{}, {"odometry": TABLE}, {"action_type": "continuous"}, {"num_actions": 0}]))
    changed = changed | {"coarser_input": data.draw(st.booleans())}
    model = lively(**changed)
    tokens = stack_tokens([model.tokens_of(step, start) for start, step in enumerate(steps)])
    compare(model, tokens, seed=data.draw(st.integers(0, 99)))


@pytest.mark.parametrize("bottleneck", [None, 5])
@pytest.mark.parametrize("odometry", [None, TABLE])
def test_framepacks_network_reads_its_context_once(bottleneck: int | None, odometry: object) -> None:
    model = lively(patchify="framepack", bottleneck=bottleneck, odometry=odometry)
    (step, *_) = make_schedule("framepack", num_targets=2, context=(2, 3, 1)).chunk((32, 8, 2)).steps
    compare(model, stack_tokens([model.tokens_of(step), model.tokens_of(step)]))


def without_context() -> Step:
    roles = torch.zeros(3, 4, dtype=torch.uint8).numpy()
    roles[2] = Role.TARGET
    return Step(roles)


def test_a_step_without_context_beside_one_that_has_some() -> None:
    model, steps = (
        lively(),
        [without_context(), *make_schedule("millivid", windows=(1, 2, 4), history=32).chunk((32, 8, 2)).steps],
    )
    compare(model, stack_tokens([model.tokens_of(step) for step in (steps[0], steps[2])]))
    compare(model, stack_tokens([model.tokens_of(steps[0])]))


def test_context_does_not_see_the_targets() -> None:
    model, joint = lively(), lively(frozen_context=False)
    tokens = stack_tokens(
        [make_schedule("millivid", windows=(1, 2, 4), history=32).chunk((32, 8, 2)).steps[2].tokens(GRIDS)]
    )
    x, t, action, _ = inputs(model, tokens)
    other, context = torch.where(tokens.is_target.unsqueeze(-1), x + 1, x), ~tokens.is_target
    assert torch.equal(model(x, t, tokens, action)[context], model(other, t, tokens, action)[context])
    assert not torch.allclose(joint(x, t, tokens, action)[context], joint(other, t, tokens, action)[context])


def test_a_joint_model_has_no_context_to_read() -> None:
    model = lively(frozen_context=False)
    tokens = stack_tokens(
        [make_schedule("millivid", windows=(1, 2, 4), history=32).chunk((32, 8, 2)).steps[2].tokens(GRIDS)]
    )
    with pytest.raises(ValueError, match="cannot be read ahead; train with model.frozen_context=true"):
        in_two_parts(model, tokens, *inputs(model, tokens))


def test_cells_of_one_condition_share_its_row() -> None:
    t, level = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.7, 0.7]]), torch.tensor([[0, 0, 1, 1]] * 2)
    action = torch.tensor([[2, 2, -1, 0], [2, 1, -1, 0]])
    conditions = Conditions.of(t, level, action)
    assert len(conditions.t) == 6
    for name, values in {"t": t, "level": level, "action": action}.items():
        assert torch.equal(getattr(conditions, name)[conditions.row], values)
    vectors = Conditions.of(t, level, action.float().unsqueeze(-1))
    assert len(vectors.t) == 8 and torch.equal(vectors.t[vectors.row], t)


def doubled(draws: Draws) -> Draws:
    return Draws(t=draws.t.double(), dropped=draws.dropped, eps=draws.eps.double())


@pytest.mark.parametrize("changed", [{}, {"odometry": TABLE}, {"action_type": "continuous"}])
def test_copies_of_the_targets_give_the_loss_of_as_many_examples(changed: dict) -> None:
    """One context with three noisy copies of its targets: the mean loss and gradient of three examples with that context."""
    model = lively(**changed)
    steps = make_schedule("millivid", windows=(1, 2, 4), history=9, pads=True).chunk((32, 8, 2)).steps
    tokens = stack_tokens([model.tokens_of(steps[0]), model.tokens_of(steps[2])])
    x, _, action, pose = inputs(model, tokens)
    generator = torch.Generator().manual_seed(0)
    draws = doubled(draw(x, 0.5, generator, copies=3))
    assert sorted(draws.dropped.tolist()) == [False, True]
    assert torch.equal((draws.t * 3).floor().int(), torch.tensor([[0, 1, 2]] * 2, dtype=torch.int32))
    # The context has one noise in all copies: the first's.
    eps = torch.where(tokens.is_target[:, None, :, None], draws.eps, draws.eps[:, :1])
    parameters = list(model.parameters())

    def run(draws: Draws) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        loss, per_example = diffusion_loss(model, x, tokens, action, draws, pose)
        return loss, per_example, torch.autograd.grad(loss, parameters, materialize_grads=True, allow_unused=True)

    loss, per_example, gradients = run(Draws(t=draws.t, dropped=draws.dropped, eps=eps))
    each = [run(Draws(t=draws.t[:, k], dropped=draws.dropped, eps=eps[:, k])) for k in range(3)]
    torch.testing.assert_close(loss, sum(one[0] for one in each) / 3)
    torch.testing.assert_close(per_example, sum(one[1] for one in each) / 3)
    for index, gradient in enumerate(gradients):
        expected = sum(one[2][index] for one in each) / 3
        torch.testing.assert_close(gradient, expected, atol=1e-5 * float(expected.abs().max()) + 1e-9, rtol=0)


def test_the_loss_in_parts_is_that_of_one_masked_pass() -> None:
    model, steps = lively(), make_schedule("millivid", windows=(1, 2, 4), history=9, pads=True).chunk((32, 8, 2)).steps
    tokens = stack_tokens([model.tokens_of(steps[0]), model.tokens_of(steps[2])])
    x, _, action, _ = inputs(model, tokens)
    draws = doubled(draw(x, 0.5, torch.Generator().manual_seed(0)))
    t = torch.where(tokens.cell_is_target, draws.t[:, None], draws.dropped[:, None].double())
    alpha, sigma = (part.gather(1, tokens.cell).unsqueeze(-1) for part in alpha_sigma(t))
    given = torch.where(draws.dropped[:, None], -1, action)
    v = model(alpha * x + sigma * draws.eps, t, tokens, given)
    squared = (v - (alpha * draws.eps - sigma * x)).square().mean(dim=-1)
    loss, _ = diffusion_loss(model, x, tokens, action, draws)
    torch.testing.assert_close(loss, squared[tokens.is_target].mean(), atol=1e-6, rtol=1e-6)


def test_a_joint_model_takes_one_copy() -> None:
    model = lively(frozen_context=False)
    tokens = stack_tokens(
        [make_schedule("millivid", windows=(1, 2, 4), history=32).chunk((32, 8, 2)).steps[2].tokens(GRIDS)]
    )
    x, _, action, _ = inputs(model, tokens)
    with pytest.raises(ValueError, match="4 copies of the targets need a context that does not look at them"):
        diffusion_loss(model, x, tokens, action, draw(x, 0.1, copies=4))


def test_the_coarser_token_of_a_place_is_found() -> None:
    model, found = lively(), 0
    for step in make_schedule("millivid", windows=(1, 2, 4), history=32).chunk((32, 8, 2)).steps:
        tokens = stack_tokens([model.tokens_of(step, 5), model.tokens_of(step)])
        places = torch.stack([*tokens.place], dim=-1).tolist()
        is_context = (~tokens.is_target).tolist()
        for row, index in enumerate(tokens.coarser(tokens).tolist()):
            known = {tuple(place): n for n, place in enumerate(places[row]) if is_context[row][n]}
            for (level, frame, y, x), coarser in zip(places[row], index, strict=True):
                assert coarser == known.get((level + 1, frame, y // 2, x // 2), -1)
                found += coarser >= 0
    assert found > 100


def test_coarser_input_is_for_tokens_of_every_level() -> None:
    with pytest.raises(ValueError, match="coarser_input is for patchify=linear"):
        lively(patchify="framepack", coarser_input=True)
    model = lively(coarser_input=True)
    (step, *_) = make_schedule("full_resolution", num_frames=4).chunk((32, 8, 2)).steps
    with pytest.raises(ValueError, match="give the context that it is taken from"):
        model.place(stack_tokens([model.tokens_of(step)]))
