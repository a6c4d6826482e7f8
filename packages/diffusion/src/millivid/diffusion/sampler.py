"""Sampling: one rollout step by DDIM, and whole videos by running a plan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from millivid.diffusion.actions import Actions, VectorEmbedding, known_actions
from millivid.diffusion.model import VideoDiT
from millivid.diffusion.noise import add_noise, alpha_sigma, data_and_noise
from millivid.diffusion.odometry import dead_reckon
from millivid.diffusion.tokens import TokenBatch, stack_tokens
from millivid.files.values import check_number
from millivid.kernels import pack_tokens, unpack_tokens_
from millivid.rollout import Plan, Role


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a rollout step is sampled: number of times from 1 to 0, both included; guidance (1 is none); noise shift.

    Raises ValueError unless steps is a whole number from 2 to 10,000, guidance lies in 0 to 1000 and shift in 0.001 to 1000.
    """

    steps: int = 50
    guidance: float = 1.0
    shift: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.steps, "sampling steps", 2, 10_000, whole=True, hint=": at least 2, for the times 1 and 0")
        check_number(self.guidance, "guidance", 0, 1000, hint=", 1 for none")
        check_number(self.shift, "noise shift", 1e-3, 1000, hint=": positive, 1 for none")


@torch.no_grad()
def denoise(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    eps: Float[Tensor, "batch token c"],
    t: float,
    tokens: TokenBatch,
    action: Actions | None = None,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    guidance: float = 1.0,
    shift: float = 1.0,
) -> tuple[Float[Tensor, "batch token c"], Float[Tensor, "batch token c"]]:
    """One model call at time t: the data and noise it sees in the targets; context keeps its x and eps.

    guidance g mixes velocities as v_uncond + g (v - v_uncond); unconditional means that everything but the targets is
    pure noise and that there are no actions (Ho & Salimans 2022). At g = 1 only the conditional model is called. Raises
    ValueError for a time outside [0, 1].
    """
    check_number(t, "t", 0, 1)

    def velocity_at(context_t: float, given: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        times = torch.where(tokens.cell_is_target, t, context_t).to(x.dtype)
        alpha, sigma = (part.gather(1, tokens.cell).unsqueeze(-1) for part in alpha_sigma(times, shift))
        noisy = add_noise(x, eps, alpha, sigma)
        return model(noisy, times, tokens, given, pose).to(x.dtype), noisy, alpha, sigma

    v, noisy, alpha, sigma = velocity_at(0.0, action)
    if guidance != 1.0:
        unconditional = velocity_at(1.0, None)[0]
        v = unconditional + guidance * (v - unconditional)
    target = tokens.is_target.unsqueeze(-1)
    x_hat, eps_hat = data_and_noise(v, noisy, alpha, sigma)
    return torch.where(target, x_hat, x), torch.where(target, eps_hat, eps)


def sample_step(
    model: VideoDiT,
    x: Float[Tensor, "batch token c"],
    eps: Float[Tensor, "batch token c"],
    tokens: TokenBatch,
    action: Actions | None = None,
    pose: Float[Tensor, "batch cell 3"] | None = None,
    config: SamplerConfig | None = None,
) -> tuple[Float[Tensor, "batch token c"], Float[Tensor, "batch token c"]]:
    """Write one step's targets from noise by deterministic DDIM (Song et al. 2021).

    Returns the whole sequence, and its noise with the targets' last estimate.
    """
    config = config or SamplerConfig()
    for t in torch.linspace(1, 0, config.steps).tolist():
        x, eps = denoise(model, x, eps, t, tokens, action, pose, config.guidance, config.shift)
    return x, eps


@dataclass(frozen=True, kw_only=True)
class RolloutProgress:
    """What a rollout step did: its index, how many there are, and the frames [first, last) that it finished."""

    index: int
    total: int
    finished: tuple[int, int]


class Noise:
    """Where a rollout's noise comes from: standard normal, new for every token of every step.

    generator: of the latents' device; None for torch's own. Raises ValueError for another one.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ValueError(f"generator is {generator!r}; give torch.Generator(device).manual_seed(seed), or None")
        self.generator = generator

    def draw(self, x: Float[Tensor, "batch token c"], tokens: TokenBatch) -> Float[Tensor, "batch token c"]:
        """The noise of a step's tokens, which hold x."""
        if self.generator is not None and self.generator.device.type != x.device.type:
            raise ValueError(
                f"the generator is of {self.generator.device}, the latents are on {x.device}; make it there: "
                f"torch.Generator({str(x.device)!r})"
            )
        return torch.randn(x.shape, generator=self.generator, device=x.device, dtype=x.dtype)

    def keep(self, eps: Float[Tensor, "batch token c"], tokens: TokenBatch) -> None:
        """Take the noise as the step left it: at the targets, the model's last estimate."""


class FrameNoise(Noise):
    """One noise per frame for the whole video, in which targets leave their last estimate: FramePack's released rollout.

    stores: noise per level, shaped like the latents.
    """

    def __init__(self, stores: Sequence[Float[Tensor, "batch _frame _height _width c"]]) -> None:
        self.stores = stores

    def draw(self, x: Float[Tensor, "batch token c"], tokens: TokenBatch) -> Float[Tensor, "batch token c"]:
        return pack_tokens(self.stores, *tokens.place)

    def keep(self, eps: Float[Tensor, "batch token c"], tokens: TokenBatch) -> None:
        unpack_tokens_(self.stores, eps, *tokens.place, tokens.is_target)


def rollout(
    model: VideoDiT,
    stores: Sequence[Float[Tensor, "batch _frame _height _width c"]],
    plan: Plan,
    actions: Int[Tensor, "batch frame"] | Float[Tensor, "batch frame action"] | None = None,
    config: SamplerConfig | None = None,
    noise: Noise | None = None,
) -> Iterator[RolloutProgress]:
    """Run a plan, writing into `stores`, and yield after every step.

    stores: latents per level, finest first, each with at least `plan.buffer_end` frames, of which those before
    `plan.start` are given. Frames are finished, and final, once their finest level is written. actions: category or
    vector of every frame up to `plan.buffer_end`, -1 or nan for none. noise: by default fresh, from torch's own generator.
    Raises ValueError for stores or actions that are too short, or that are none of this model's.
    """
    _check_stores(model, stores, plan)
    noise = noise or Noise()
    short = min(store.shape[1] for store in stores)
    if short < plan.buffer_end or (actions is not None and actions.shape[1] < plan.buffer_end):
        raise ValueError(
            f"the plan reaches frame {plan.buffer_end}, but the latents have {short} frames and the actions "
            f"{'none' if actions is None else actions.shape[1]}; pad both to {plan.buffer_end}"
        )
    batch, device = len(stores[0]), stores[0].device
    if actions is not None:
        actions = known_actions(actions, model.config, batch).to(device)
        if isinstance(model.action_embedding, VectorEmbedding):
            actions = actions.to(model.action_embedding.mean.dtype)
    poses = None
    if model.config.odometry is not None and actions is not None:
        poses = dead_reckon(actions, model.config.odometry)
    for planned in plan:
        tokens = stack_tokens([model.tokens_of(planned.step, planned.chunk_start)], device).expand(batch)
        x = model.normalize(pack_tokens(stores, *tokens.place), tokens.level)
        x = torch.where(tokens.is_target.unsqueeze(-1), 0.0, x)  # what lay there before must not be seen
        frame = tokens.cell_frame[0]
        action = None if actions is None else actions[:, frame]
        pose = None if poses is None else poses[:, frame]
        x, eps = sample_step(model, x, noise.draw(x, tokens), tokens, action, pose, config)
        unpack_tokens_(stores, model.denormalize(x, tokens.level), *tokens.place, tokens.is_target)
        noise.keep(eps, tokens)
        written = (planned.step.roles[0] == Role.TARGET).nonzero()[0] + planned.chunk_start
        finished = (int(written.min()), int(written.max()) + 1) if len(written) else (0, 0)
        yield RolloutProgress(index=planned.index, total=len(plan), finished=finished)


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
        autocast = torch.is_autocast_enabled(weight.device.type)
        if store.ndim != 5 or store.shape[2:] != (*grid, config.latent_channels) or not store.is_floating_point():
            expected = f"floating-point (batch, frame, {grid[0]}, {grid[1]}, {config.latent_channels})"
            raise ValueError(
                f"the latents of level {level} are {store.dtype} {tuple(store.shape)}; the model takes {expected}"
            )
        if store.device != weight.device or (store.dtype != weight.dtype and not autocast):
            raise ValueError(
                f"the latents of level {level} are {store.dtype} on {store.device}, the model is {weight.dtype} on "
                f"{weight.device}; move one to the other"
            )
