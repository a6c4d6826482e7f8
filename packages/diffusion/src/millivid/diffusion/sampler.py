"""Sampling: one rollout step by a solver, and whole videos by running a plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.diffusion.actions import VectorEmbedding, known_actions
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.odometry import dead_reckon
from millivid.diffusion.rollout_noise import Noise
from millivid.diffusion.sample_step import SamplerConfig, sample_step, sample_targets
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.kernels import pack_tokens, unpack_tokens_
from millivid.rollout import Plan, Role


@dataclass(frozen=True, kw_only=True)
class RolloutProgress:
    """What a rollout step did: its index, how many there are, and the frames [first, last) that it finished."""

    index: int
    total: int
    finished: tuple[int, int]


def rollout(
    model: VideoDiT,
    stores: Sequence[Float[Tensor, "batch _frame _height _width c"]],
    plan: Plan,
    actions: Int[Tensor, "batch frame"] | Float[Tensor, "batch frame action"] | None = None,
    config: SamplerConfig | None = None,
    noise: Noise | None = None,
    end: int | None = None,
) -> Iterator[RolloutProgress]:
    """Run a plan, writing into `stores`, and yield after every step.

    stores: latents per level, finest first, each with at least `plan.buffer_end` frames, of which those before
    `plan.start` are given. Frames are finished, and final, once their finest level is written. actions: category or
    vector of every frame up to `plan.buffer_end`, -1 or nan for none. noise: by default fresh, from torch's own generator.
    end: steps on which no frame before it depends are left out; None to run all.

    Raises ValueError for stores or actions that are too short, or that are none of this model's.
    """
    _check_stores(model, stores, plan)
    noise, config = noise or Noise(), config or SamplerConfig()
    short = min(store.shape[1] for store in stores)
    if short < plan.buffer_end or (actions is not None and actions.shape[1] < plan.buffer_end):
        raise ValueError(
            f"the plan reaches frame {plan.buffer_end}, but the latents have {short} frames and the actions "
            f"{'none' if actions is None else actions.shape[1]}; pad both to {plan.buffer_end}"
        )
    batch = len(stores[0])
    if actions is not None:
        # On the CPU, where conditions are made: a GPU would have to be waited for.
        actions = known_actions(actions, model.config, batch).cpu()
        if isinstance(model.action_embedding, VectorEmbedding):
            actions = actions.to(model.action_embedding.mean.dtype)
    poses = None
    if model.config.odometry is not None and actions is not None:
        poses = dead_reckon(actions, model.config.odometry)
    skipped = set() if end is None else plan.not_needed(end)
    done = 0
    for planned in plan:
        one = stack_tokens([model.tokens_of(planned.step, planned.chunk_start)])
        tokens, frame = one.expand(batch), one.cell_frame[0]
        action = None if actions is None else actions[:, frame]
        pose = None if poses is None else poses[:, frame]
        eps = noise.draw(stores[0].new_empty(batch, tokens.level.shape[1], stores[0].shape[-1]), tokens)
        if planned.index in skipped:
            continue  # its noise is drawn all the same, so that the other steps get theirs
        if model.config.frozen_context:
            eps = _write_after_reading(model, stores, one, action, model.pose_seen(pose, tokens), eps, config)
        else:
            eps = _write_in_one_pass(model, stores, tokens, action, pose, eps, config)
        noise.keep(eps, tokens)
        written = (planned.step.roles[0] == Role.TARGET).nonzero()[0] + planned.chunk_start
        finished = (int(written.min()), int(written.max()) + 1) if len(written) else (0, 0)
        yield RolloutProgress(index=done, total=len(plan) - len(skipped), finished=finished)
        done += 1


@torch.inference_mode()
def _write_in_one_pass(
    model: VideoDiT,
    stores: Sequence[Tensor],
    tokens: TokenBatch,
    action: Tensor | None,
    pose: Tensor | None,
    eps: Tensor,
    config: SamplerConfig,
) -> Tensor:
    """Write a step's targets into the stores; returns the noise as the step leaves it."""
    there = tokens.to(eps.device)
    target = tokens.is_target.to(eps.device, non_blocking=True)
    x = model.normalize(pack_tokens(stores, *there.place), there.level)
    x = torch.where(target.unsqueeze(-1), 0.0, x)  # what lay there before must not be seen
    x, eps = sample_step(model, x, eps, tokens, action, pose, config)
    unpack_tokens_(stores, model.denormalize(x, there.level), *there.place, target)
    return eps


@torch.inference_mode()
def _write_after_reading(
    model: VideoDiT,
    stores: Sequence[Tensor],
    tokens: TokenBatch,
    action: Tensor | None,
    pose: Tensor | None,
    eps: Tensor,
    config: SamplerConfig,
) -> Tensor:
    """The same for a model with frozen context; tokens: of a single video, all have the same."""
    context, targets = (part.expand(len(eps)) for part in tokens.split())
    read, written = (part.tokens.to(eps.device) for part in (context, targets))
    x = model.normalize(pack_tokens(stores, *read.place), read.level)
    made, noise = sample_targets(
        model, x, context.of_tokens(eps), targets.of_tokens(eps), (context, targets), action, pose, config
    )
    everywhere = torch.ones_like(written.level, dtype=torch.bool)
    unpack_tokens_(stores, model.denormalize(made, written.level), *written.place, everywhere)
    place = targets.token.to(eps.device, non_blocking=True).unsqueeze(-1).expand_as(noise)
    return eps.scatter(1, place, noise)


def _check_stores(model: VideoDiT, stores: Sequence[Tensor], plan: Plan) -> None:
    """Raise ValueError unless the stores are latents of the model and the plan is one for its levels."""
    config, weight, chunk = model.config, next(model.parameters()), plan.chunk
    if chunk.tokens_per_level != config.tokens_per_level[: chunk.num_levels]:
        raise ValueError(
            f"the plan has {chunk.tokens_per_level} tokens per level, the model {config.tokens_per_level}; make it with those"
        )
    needed = 1 if config.patchify == "framepack" else chunk.num_levels
    if isinstance(stores, Tensor) or len(stores) < needed:
        came = "a single tensor" if isinstance(stores, Tensor) else f"those of {len(stores)} levels"
        raise ValueError(f"the latents are {came}; the plan needs a sequence of {needed}, finest level first")
    for level, (store, grid) in enumerate(zip(stores, config.grids, strict=False)):
        if store.ndim != 5 or store.shape[2:] != (*grid, config.latent_channels) or not store.is_floating_point():
            expected = f"floating-point (batch, frame, {grid[0]}, {grid[1]}, {config.latent_channels})"
            raise ValueError(
                f"the latents of level {level} are {store.dtype} {tuple(store.shape)}; the model takes {expected}"
            )
        if store.device != weight.device or (
            store.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type)
        ):
            raise ValueError(
                f"the latents of level {level} are {store.dtype} on {store.device}, the model is {weight.dtype} on "
                f"{weight.device}; move one to the other"
            )
