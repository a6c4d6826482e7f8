"""The hierarchical tokenizer: one frame to a pyramid of latents, and back from any one of its levels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from millivid.files.pretrained import PretrainedModel
from millivid.tokenizer.checks import check_finite, check_range, check_tensor
from millivid.tokenizer.config import TokenizerConfig
from millivid.tokenizer.pyramid import Grid, image_pyramid, patchify, sincos_2d, unpatchify
from millivid.tokenizer.transformer import Transformer

Pyramid = tuple[Tensor, ...]


class Encoder(nn.Module):
    """Patches of every level to latents of every level, in one pass."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width, depth, num_heads = config.encoder
        patch = 3 * config.patch_size[0] * config.patch_size[1]
        self.patchify = nn.Linear(patch, width)
        self.level_embedding = nn.Embedding(config.num_levels, width)
        self.transformer = Transformer(width, depth, num_heads, conditional=False)
        self.bottleneck = nn.Linear(width, config.latent_channels)

    def forward(
        self,
        patches: Float[Tensor, "batch token patch"],
        position: Float[Tensor, "token width"],
        level: Tensor,
    ) -> Float[Tensor, "batch token c"]:
        x = self.patchify(patches) + position + self.level_embedding(level)
        return torch.tanh(self.bottleneck(self.transformer(x)))


class Decoder(nn.Module):
    """Latents of one level, the others zeroed, to patches of every level."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width, depth, num_heads = config.decoder
        patch = 3 * config.patch_size[0] * config.patch_size[1]
        self.unbottleneck = nn.Linear(config.latent_channels, width)
        self.level_embedding = nn.Embedding(config.num_levels, width)
        self.transformer = Transformer(width, depth, num_heads, conditional=True)
        self.unpatchify = nn.Linear(width, patch)

    def forward(
        self,
        latents: Float[Tensor, "batch token c"],
        position: Float[Tensor, "token width"],
        level: Tensor,
        decoded_level: Tensor,
    ) -> Float[Tensor, "batch token patch"]:
        keep = level[None, :] == decoded_level[:, None]
        x = self.unbottleneck(latents * keep.unsqueeze(-1)) + position + self.level_embedding(level)
        return self.unpatchify(self.transformer(x, self.level_embedding(decoded_level)))


class Smoothing(nn.Module):
    """Convolutions over a decoded image, which look beyond the edges of its patches; the identity before it is trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 5, padding=2),
            nn.GELU(approximate="tanh"),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(approximate="tanh"),
            nn.Conv2d(channels, 3, 3, padding=1),
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch 3 h w"]:
        return image + self.layers(image)


class HierarchicalTokenizer(PretrainedModel[TokenizerConfig]):
    """Compresses every frame on its own to a pyramid of latents and decodes it from any level.

    Frames are float tensors (..., 3, height, width) in [0, 1]. A pyramid is a tuple of latents
    (..., height, width, channel) in [-1, 1], finest level first. Source: arXiv 2606.09056.
    """

    config_class = TokenizerConfig
    token_level: Tensor
    encoder_position: Tensor
    decoder_position: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.smoothing = Smoothing(config.smoothing) if config.smoothing else None
        for module in (self.encoder.patchify, self.encoder.bottleneck, self.decoder.unbottleneck):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        # A tokenizer that starts by predicting mid-grey learns several times faster than one that starts with noise.
        nn.init.zeros_(self.decoder.unpatchify.weight)
        nn.init.constant_(self.decoder.unpatchify.bias, 0.5)
        level = torch.cat([torch.full((count,), level) for level, count in enumerate(config.tokens_per_level)])
        self.register_buffer("token_level", level, persistent=False)
        for name, (width, _, _) in {"encoder": config.encoder, "decoder": config.decoder}.items():
            position = torch.cat([sincos_2d(grid, width) for grid in config.grids])
            self.register_buffer(f"{name}_position", position, persistent=False)

    def patches(self, frames: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch token patch"]:
        """Patches of the whole image pyramid, level after level, each row-major: what `decode_patches` imitates."""
        images = image_pyramid(frames, self.config.num_levels)
        return torch.cat([patchify(image, self.config.patch_size) for image in images], dim=1)

    def encode_patches(self, patches: Float[Tensor, "batch token patch"]) -> Float[Tensor, "batch token c"]:
        """Latents of all levels from the patches of all levels, both in `patches` order."""
        latents = self.encoder(patches, self.encoder_position, self.token_level)
        if self.config.variant == "adaptive":
            return latents
        levels = [
            latents[:, : self.config.tokens_per_level[0]]
        ]  # the coarser images were seen, their latents are dropped
        for grid in self.config.grids[:-1]:
            image = levels[-1].detach().transpose(1, 2).unflatten(2, grid)
            levels.append(F.avg_pool2d(image, 2).flatten(2).transpose(1, 2))
        return torch.cat(levels, dim=1)

    def decode_patches(
        self, latents: Float[Tensor, "batch token c"], level: Tensor
    ) -> Float[Tensor, "batch token patch"]:
        """Patches of the whole image pyramid, each image decoded from its own `level` (batch,) alone."""
        patches = self.decoder(latents, self.decoder_position, self.token_level, level)
        if self.smoothing is None:
            return patches
        parts = patches.split(self.config.tokens_per_level, dim=1)
        images = [self._image(part, grid) for part, grid in zip(parts, self.config.grids, strict=True)]
        return torch.cat([patchify(image, self.config.patch_size) for image in images], dim=1)

    def decode_finest(self, latents: Float[Tensor, "batch token c"], level: Tensor) -> Float[Tensor, "batch 3 h w"]:
        """Frames from latents of all levels, level after level, each decoded from its own `level` (batch,) alone."""
        patches = self.decoder(latents, self.decoder_position, self.token_level, level)
        return self._image(patches[:, : self.config.tokens_per_level[0]], self.config.grids[0])

    def _image(self, patches: Float[Tensor, "batch token patch"], grid: Grid) -> Float[Tensor, "batch 3 h w"]:
        """The decoder's patches of one level as an image."""
        image = unpatchify(patches, grid, self.config.patch_size)
        return image if self.smoothing is None else self.smoothing(image)

    def encode(self, frames: Float[Tensor, "*batch 3 h w"]) -> Pyramid:
        """The pyramid of latents of every frame.

        frames: float in [0, 1], of the config's image size. Raises ValueError for others.
        """
        expected = (3, *self.config.image_size)
        weight = self.encoder.bottleneck.weight
        check_tensor(frames, "frames", expected, weight, ", (channel, height, width) of this tokenizer")
        check_range(frames)
        batch = frames.shape[:-3]
        latents = self.encode_patches(self.patches(frames.reshape(-1, *expected)))
        levels = latents.split(self.config.tokens_per_level, dim=1)
        return tuple(
            x.reshape(*batch, height, width, x.shape[-1])
            for x, (height, width) in zip(levels, self.config.grids, strict=True)
        )

    def decode(self, pyramid: Sequence[Tensor], level: int = 0) -> Float[Tensor, "*batch 3 h w"]:
        """Frames in about [0, 1], decoded from one level of a pyramid; the other levels are not read.

        Raises ValueError when the level does not exist or its latents are not finite ones of the shape that this tokenizer
        makes. A video model's may leave [-1, 1] somewhat.
        """
        if isinstance(pyramid, Tensor):
            raise ValueError(
                "the pyramid is a single tensor; give a tuple with the latents of each level, finest first"
            )
        if isinstance(level, (bool, float)) or level not in range(min(self.config.num_levels, len(pyramid))):
            raise ValueError(
                f"level {level} does not exist; this tokenizer has levels 0 to {self.config.num_levels - 1}"
            )
        given = pyramid[level]
        grid, channels = self.config.grids[level], self.config.latent_channels
        weight = self.decoder.unbottleneck.weight
        check_tensor(given, "latents", (*grid, channels), weight, f", level {level} of this tokenizer")
        check_finite(given)
        batch = given.shape[:-3]
        given = given.reshape(-1, grid[0] * grid[1], channels)
        latents = given.new_zeros(len(given), len(self.token_level), channels)
        latents[:, self.token_level == level] = given
        chosen = torch.full((len(given),), level, device=given.device)
        frames = self.decode_finest(latents, chosen)
        return frames.reshape(*batch, *frames.shape[1:])
