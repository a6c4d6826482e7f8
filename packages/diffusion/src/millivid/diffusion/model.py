"""The level-conditioned video diffusion transformer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from millivid.diffusion.actions import Actions, VectorEmbedding, is_given
from millivid.diffusion.conditions import Conditions
from millivid.diffusion.config import VideoDiTConfig
from millivid.diffusion.embedding import TimeEmbedding, sincos_3d
from millivid.diffusion.framepack import FramePackLayout, FramePackPatchify, finest_tokens
from millivid.diffusion.noise import data_and_noise, noise_in
from millivid.diffusion.odometry import PoseEmbedding, relative_pose
from millivid.diffusion.tokens import TokenBatch, TokenPart
from millivid.diffusion.transformer import Block, Head, KeysValues
from millivid.files.pretrained import PretrainedModel
from millivid.rollout import Step, StepTokens


class Seen(NamedTuple):
    """Context as it is seen: its columns, or those of a whole step, and its latents."""

    tokens: TokenBatch
    latents: Float[Tensor, "batch token c"]


@dataclass(frozen=True, kw_only=True)
class PlacedTokens:
    """What of some tokens stays the same from one evaluation to the next.

    sequence: their columns as attention sees them. embedding: of their places, poses and coarser context. layout: with
    FramePack's patchify, how the sequence is made of the finest tokens.
    """

    sequence: TokenBatch
    embedding: Float[Tensor, "batch token width"]
    layout: FramePackLayout | None = None

    def repeat(self, copies: int) -> "PlacedTokens":
        """Every example so many times, one after the other."""
        if copies == 1:
            return self
        embedding = self.embedding.repeat_interleave(copies, dim=0)
        return replace(self, sequence=self.sequence.repeat(copies), embedding=embedding)


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """A context as targets see it: keys and values of every block, and which are no padding (None for all)."""

    blocks: tuple[KeysValues, ...]
    key_mask: Bool[Tensor, "batch token"] | None

    def repeat(self, copies: int) -> "ReadContext":
        """Every example so many times, one after the other."""
        if copies == 1:
            return self
        mask = None if self.key_mask is None else self.key_mask.repeat_interleave(copies, dim=0)
        return ReadContext(blocks=tuple(block.repeat(copies) for block in self.blocks), key_mask=mask)


class VideoDiT(PretrainedModel[VideoDiTConfig]):
    """Predicts velocity or data of every token of a sequence that mixes levels, frames, context and targets.

    Source: arXiv 2606.09056; DiT of Peebles & Xie 2023 with conditioning per cell.
    """

    config_class = VideoDiTConfig
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: VideoDiTConfig) -> None:
        super().__init__(config)
        width = config.width
        self.patchify: nn.Linear | FramePackPatchify = nn.Linear(config.latent_channels, width)
        if config.patchify == "framepack":
            self.patchify = FramePackPatchify(
                config.grids[0], config.num_levels, config.latent_channels, width, config.bottleneck
            )
        # A map for each of the four tokens below a coarser one.
        self.coarser = nn.Linear(config.latent_channels, 4 * width, bias=False) if config.coarser_input else None
        self.time_embedding = TimeEmbedding(width)
        self.level_embedding = nn.Embedding(config.num_levels, width)
        self.action_embedding: nn.Embedding | VectorEmbedding | None = None
        if config.num_actions:
            embedding = nn.Embedding if config.action_type == "categorical" else VectorEmbedding
            self.action_embedding = embedding(config.num_actions, width)
        self.pose_embedding = PoseEmbedding(width) if config.odometry is not None else None
        self.blocks = nn.ModuleList(Block(width, config.num_heads) for _ in range(config.depth))
        self.head = Head(width, config.latent_channels)
        if config.normalize_latents:
            self.register_buffer("latent_mean", torch.zeros(config.num_levels, config.latent_channels))
            self.register_buffer("latent_std", torch.ones(config.num_levels, config.latent_channels))
        self._compiled = False
        self._initialize()

    def _initialize(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
                if "adaLN_modulation" in name:
                    nn.init.zeros_(module.weight)
        nn.init.zeros_(self.head.linear.weight)

    def forward(
        self,
        x: Float[Tensor, "batch token c"],
        t: Float[Tensor, "batch cell"],
        tokens: TokenBatch,
        action: Actions | None = None,
        pose: Float[Tensor, "batch cell 3"] | None = None,
    ) -> Float[Tensor, "batch token c"]:
        """The prediction for every token; with FramePack's patchify for the level-0 cells' tokens, and zero at the others.

        x: noisy latents, normalised if the model normalises; t: time per cell, 0 data to 1 noise; action: category per
        cell, -1 where there is none, or vector per cell, nan where there is none; pose: (x, y, heading) per cell, for a model
        with odometry, read where there is an action. With a frozen context, context tokens see no targets; `read_context` and
        `predict` then give the targets' numbers for less work.
        """
        placed = self.place(tokens, action, self.pose_seen(pose, tokens), Seen(tokens, x))
        return self.predict(x, self.conditions(t, tokens.cell_level, action), placed)

    def conditions(
        self, t: Float[Tensor, "batch cell"], level: Int[Tensor, "batch cell"], action: Actions | None
    ) -> Conditions:
        """The distinct conditions of cells, without actions for a model that has none."""
        return Conditions.of(t, level, None if self.action_embedding is None else action)

    def conditioning(
        self,
        t: Float[Tensor, "*b"],
        level: Int[Tensor, "*b"],
        action: Int[Tensor, "*b"] | Float[Tensor, "*b action"] | None,
    ) -> Float[Tensor, "*b width"]:
        """What modulates the tokens of a condition: time, level, and action where there is one."""
        c = self.time_embedding(t) + self.level_embedding(level)
        if self.action_embedding is not None and action is not None:
            known = action.nan_to_num() if action.is_floating_point() else action.clamp(min=0)
            c = c + self.action_embedding(known) * is_given(action).unsqueeze(-1)
        return c

    def place(
        self,
        tokens: TokenBatch,
        action: Actions | None = None,
        pose: Float[Tensor, "batch cell 3"] | None = None,
        seen: Seen | None = None,
    ) -> PlacedTokens:
        """What of some tokens stays the same from one evaluation to the next.

        pose: as `pose_seen` gives it. seen: what the network sees of the context; needed with coarser_input only.

        Looks at no value of a tensor on a GPU when the tokens' columns are on the CPU.
        """
        device, layout = self.head.linear.weight.device, None
        if isinstance(self.patchify, FramePackPatchify):
            layout = self.patchify.layout(tokens).to(device)
        sequence = tokens.to(device) if layout is None else layout.sequence
        embedding = sincos_3d(sequence.relative_frame, sequence.row, sequence.column, self.config.width)
        if self.pose_embedding is not None and pose is not None and action is not None:
            given = is_given(action).to(device, non_blocking=True)
            poses = self.pose_embedding(pose.to(device, non_blocking=True)) * given.unsqueeze(-1)
            embedding = embedding + poses.gather(1, sequence.cell.unsqueeze(-1).expand(-1, -1, poses.shape[-1]))
        if self.coarser is not None:
            if seen is None:
                raise ValueError("the model has coarser_input; give the context that it is taken from")
            embedding = embedding + self._coarser(tokens, seen, device)
        return PlacedTokens(sequence=sequence, embedding=embedding, layout=layout)

    def _coarser(self, tokens: TokenBatch, seen: Seen, device: torch.device) -> Float[Tensor, "batch token width"]:
        """What coarser context adds to each token."""
        assert self.coarser is not None
        index = tokens.coarser(seen.tokens).unsqueeze(-1).to(device, non_blocking=True)
        below = (2 * (tokens.row % 2) + tokens.column % 2).to(device, non_blocking=True)
        latents = seen.latents.gather(1, index.clamp(min=0).expand(-1, -1, seen.latents.shape[-1]))
        maps = self.coarser(latents).unflatten(-1, (4, -1))
        chosen = maps.gather(2, below[..., None, None].expand(-1, -1, 1, maps.shape[-1])).squeeze(2)
        return chosen * (index >= 0)

    def prepare(
        self,
        part: TokenPart,
        t: Float[Tensor, "*cells"],
        action: Actions | None,
        pose: Float[Tensor, "batch cell 3"] | None,
        seen: Seen | None = None,
    ) -> tuple[Conditions, PlacedTokens]:
        """Conditions and places of a part of a step; t: of its cells, action and pose: of all; pose and seen as in `place`."""
        given = None if action is None else part.of_cells(action)
        pose = None if pose is None else part.of_cells(pose)
        conditions = self.conditions(t.expand(part.cell.shape), part.tokens.cell_level, given)
        return conditions, self.place(part.tokens, given, pose, seen)

    def predict(
        self,
        x: Float[Tensor, "batch token c"],
        conditions: Conditions,
        placed: PlacedTokens,
        context: ReadContext | None = None,
    ) -> Float[Tensor, "batch token c"]:
        """The prediction for every token; with a context that was read, x are the targets alone."""
        h, c, row = self._embed(x, conditions, placed)
        if context is None:
            mask, seen = _sees_whole(placed.sequence, self.config.frozen_context), None
        else:
            mask, seen = _sees_context(placed.sequence, context), context.blocks
        v = self._run(h, c, row, mask, seen)
        return v if placed.layout is None else placed.layout.spread(v, x.shape[1])

    def _run(
        self,
        h: Tensor,
        c: Tensor,
        row: Tensor,
        mask: Tensor | None,
        context: tuple[KeysValues, ...] | None,
    ) -> Tensor:
        for number, block in enumerate(self.blocks):
            h = block(h, c, row, mask, None if context is None else context[number])
        return self.head(h, c, row)

    def compile_blocks(self) -> None:
        """Let torch compile the blocks and the head: a graph for each shape of a sequence, which takes its time at first."""
        self._run = torch.compile(self._run, dynamic=False)  # type: ignore[method-assign]
        self._read = torch.compile(self._read, dynamic=False)  # type: ignore[method-assign]
        self._compiled = True

    def read_context(
        self, x: Float[Tensor, "batch token c"], conditions: Conditions, placed: PlacedTokens
    ) -> ReadContext:
        """Keys and values of a step's context, which stay the same for whatever the targets are.

        Raises ValueError for a model without frozen context, whose context looks at the targets.
        """
        if not self.config.frozen_context:
            raise ValueError(
                "the model's context looks at its targets, so it cannot be read ahead; train with model.frozen_context=true"
            )
        h, c, row = self._embed(x, conditions, placed)
        real = placed.sequence.key_mask
        # An example without context sees its padding, which nobody reads: a query that sees nothing has no numbers.
        mask = None if real is None else (real | ~real.any(dim=1, keepdim=True))[:, None, None]
        return ReadContext(blocks=self._read(h, c, row, mask), key_mask=real)

    def _read(self, h: Tensor, c: Tensor, row: Tensor, mask: Tensor | None) -> tuple[KeysValues, ...]:
        *blocks, last = cast(Sequence[Block], self.blocks)
        read = []
        for block in blocks:
            h, own = block.read(h, c, row, mask)
            read.append(own)
        return *read, last.keys_values(h, c, row)

    def _embed(
        self, x: Tensor, conditions: Conditions, placed: PlacedTokens
    ) -> tuple[Float[Tensor, "batch token width"], Float[Tensor, "condition width"], Int[Tensor, " index"]]:
        """The sequence that enters the blocks, the conditions' vectors, and which of these each token has."""
        if isinstance(self.patchify, FramePackPatchify):
            assert placed.layout is not None
            h = self.patchify.embed(x, placed.layout)
        else:
            h = self.patchify(x)
        conditions = conditions.to(x.device)
        row = conditions.row.gather(1, placed.sequence.cell).flatten()
        c = self.conditioning(conditions.t, conditions.level, conditions.action)
        if self._compiled:
            # Few shapes: a table of conditions has a multiple of eight rows, of which the last are not read.
            c = nn.functional.pad(c, (0, 0, 0, -len(c) % 8))
        return h + placed.embedding, c, row

    def data_and_noise(
        self, predicted: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Float[Tensor, "*b c"], Float[Tensor, "*b c"]]:
        """The data and the noise in noisy tokens, by what was predicted of them."""
        if self.config.prediction == "velocity":
            return data_and_noise(predicted, noisy, alpha, sigma)
        return predicted, noise_in(noisy, predicted, alpha, sigma)

    def tokens_of(self, step: Step, start: int = 0) -> StepTokens:
        """A step's index columns as this model reads them; `start` is added to every frame."""
        columns = step.tokens(self.config.grids, start)
        return columns if self.config.patchify == "linear" else finest_tokens(columns, self.config.grids[0])

    def sequence_length(self, step: Step) -> int:
        """How many tokens attention sees in a step, padding left out."""
        return sum(self.config.tokens_per_level[level] for level in self.tokens_of(step).cell_level)

    def pose_seen(
        self, pose: Float[Tensor, "batch cell 3"] | None, tokens: TokenBatch
    ) -> Float[Tensor, "batch cell 3"] | None:
        """Poses as seen from the first target of a step, None where the model takes none."""
        if pose is None or self.pose_embedding is None:
            return None
        far = tokens.cell_frame.amax() + 1
        first_target = torch.where(tokens.cell_is_target, tokens.cell_frame, far).argmin(dim=1)
        return relative_pose(pose, pose[torch.arange(len(pose), device=pose.device), first_target.to(pose.device)])

    def normalize(self, x: Float[Tensor, "*b c"], level: Int[Tensor, "*b"] | int) -> Float[Tensor, "*b c"]:
        """Latents as the network sees them."""
        return (x - self.latent_mean[level]) / self.latent_std[level] if self.config.normalize_latents else x

    def denormalize(self, x: Float[Tensor, "*b c"], level: Int[Tensor, "*b"] | int) -> Float[Tensor, "*b c"]:
        """The inverse of `normalize`."""
        return x * self.latent_std[level] + self.latent_mean[level] if self.config.normalize_latents else x


def _sees_whole(tokens: TokenBatch, frozen: bool) -> Bool[Tensor, "batch 1 #query token"] | None:
    """Which tokens of a whole step each of them sees, None for all."""
    real = tokens.key_mask
    if not frozen:
        return None if real is None else real[:, None, None]
    target = tokens.is_target
    sees = target[:, :, None] | ~target[:, None, :]
    if real is not None:
        sees = (sees & real[:, None, :]) | ~real[
            :, :, None
        ]  # what padding sees matters to nobody, but must be something
    return sees.unsqueeze(1)


def _sees_context(targets: TokenBatch, context: ReadContext) -> Bool[Tensor, "batch 1 1 token"] | None:
    """Which tokens of a context, then of the targets, the targets see, None for all."""
    own, seen = targets.key_mask, context.key_mask
    if own is None and seen is None:
        return None
    batch, length = targets.level.shape
    everything = torch.ones(
        batch, max(length, context.blocks[0].k.shape[2]), dtype=torch.bool, device=targets.level.device
    )
    own = everything[:, :length] if own is None else own
    seen = everything[:, : context.blocks[0].k.shape[2]] if seen is None else seen
    return torch.cat([seen, own], dim=1)[:, None, None]
