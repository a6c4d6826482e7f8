"""The level-conditioned video diffusion transformer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from millivid.diffusion.actions import Actions, VectorEmbedding, is_given
from millivid.diffusion.config import VideoDiTConfig
from millivid.diffusion.embedding import TimeEmbedding, sincos_3d
from millivid.diffusion.framepack import FramePackPatchify, finest_tokens
from millivid.diffusion.odometry import PoseEmbedding, relative_pose
from millivid.diffusion.tokens import TokenBatch
from millivid.diffusion.transformer import Block, Head
from millivid.files.pretrained import PretrainedModel
from millivid.kernels import rows_of
from millivid.rollout import Step, StepTokens


class VideoDiT(PretrainedModel[VideoDiTConfig]):
    """Predicts the velocity of every token of a sequence that mixes levels, frames, context and targets.

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
        self._initialize()

    def _initialize(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
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
        """Velocity of every token; with FramePack's patchify of the level-0 cells' tokens, and zero at the others.

        x: noisy latents, normalised if the model normalises; t: time per cell, 0 data to 1 noise; action: category per
        cell, -1 where there is none, or vector per cell, nan where there is none; pose: (x, y, heading) per cell, for a model
        with odometry, read where there is an action.
        """
        c = self.conditioning(t, tokens.cell_level, action)
        if isinstance(self.patchify, FramePackPatchify):
            h, sequence = self.patchify(x, tokens)
            return self.patchify.spread(self._body(h, c, sequence, action, pose), sequence, x.shape[1])
        return self._body(self.patchify(x), c, tokens, action, pose)

    def conditioning(
        self, t: Float[Tensor, "batch cell"], level: Int[Tensor, "batch cell"], action: Actions | None
    ) -> Float[Tensor, "batch cell width"]:
        """What modulates the tokens of a cell: time, level, and action where there is one."""
        c = self.time_embedding(t) + self.level_embedding(level)
        if self.action_embedding is not None and action is not None:
            known = action.nan_to_num() if action.is_floating_point() else action.clamp(min=0)
            c = c + self.action_embedding(known) * is_given(action).unsqueeze(-1)
        return c

    def _body(
        self, h: Tensor, c: Tensor, tokens: TokenBatch, action: Tensor | None, pose: Tensor | None
    ) -> Float[Tensor, "batch token c"]:
        real = tokens.frame
        if tokens.key_mask is not None:
            real = torch.where(tokens.key_mask, real, real.amax())
        frame = (tokens.frame - real.amin(dim=1, keepdim=True)).clamp(min=0)
        place = sincos_3d(frame, tokens.row, tokens.column, self.config.width)
        row = tokens.cell_row
        h = h + place
        if self.pose_embedding is not None and pose is not None and action is not None:
            seen = self.pose_embedding(self._seen_from_targets(pose, tokens)) * is_given(action).unsqueeze(-1)
            h = h + rows_of(seen, row)
        for block in self.blocks:
            h = block(h, c, row, tokens.key_mask)
        return self.head(h, c, row)

    def tokens_of(self, step: Step, start: int = 0) -> StepTokens:
        """A step's index columns as this model reads them; `start` is added to every frame."""
        columns = step.tokens(self.config.grids, start)
        return columns if self.config.patchify == "linear" else finest_tokens(columns, self.config.grids[0])

    def sequence_length(self, step: Step) -> int:
        """How many tokens attention sees in a step, padding left out."""
        return sum(self.config.tokens_per_level[level] for level in self.tokens_of(step).cell_level)

    @staticmethod
    def _seen_from_targets(pose: Tensor, tokens: TokenBatch) -> Tensor:
        far = tokens.cell_frame.amax() + 1
        first_target = torch.where(tokens.cell_is_target, tokens.cell_frame, far).argmin(dim=1)
        return relative_pose(pose, pose[torch.arange(len(pose), device=pose.device), first_target])

    def normalize(self, x: Float[Tensor, "*b c"], level: Int[Tensor, "*b"] | int) -> Float[Tensor, "*b c"]:
        """Latents as the network sees them."""
        return (x - self.latent_mean[level]) / self.latent_std[level] if self.config.normalize_latents else x

    def denormalize(self, x: Float[Tensor, "*b c"], level: Int[Tensor, "*b"] | int) -> Float[Tensor, "*b c"]:
        """The inverse of `normalize`."""
        return x * self.latent_std[level] + self.latent_mean[level] if self.config.normalize_latents else x
