"""What a tokenizer is made of, as a validated value."""

from dataclasses import dataclass
from typing import Literal

from millivid.files.values import check_fields
from millivid.tokenizer.pyramid import Grid, level_grids

MOST_WIDTH, MOST_DEPTH = 65_536, 1_024


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Sizes of a hierarchical tokenizer.

    image_size, patch_size: (height, width) in pixels. num_levels: of the pyramid; each coarser image is the 2x2 mean of
    the finer one. latent_channels: numbers per token. width, depth, num_heads: of the encoder's transformer.
    decoder_width, decoder_depth, decoder_num_heads: of the decoder's; null for the encoder's. smoothing: channels of the
    convolutions that take away the seams between decoded patches, 0 for none (as in the paper). variant: "adaptive" learns
    every level, "cascaded" averages the finest one (the paper's ablation).

    Raises ValueError for sizes that do not divide.
    """

    image_size: Grid = (256, 256)
    patch_size: Grid = (16, 16)
    num_levels: int = 4
    latent_channels: int = 32
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    decoder_width: int | None = None
    decoder_depth: int | None = None
    decoder_num_heads: int | None = None
    smoothing: int = 0
    variant: Literal["adaptive", "cascaded"] = "adaptive"

    def __post_init__(self) -> None:
        if self.variant not in ("adaptive", "cascaded"):
            raise ValueError(f"tokenizer variant {self.variant!r} is unknown; use 'adaptive' or 'cascaded'")
        check_fields(self)
        grid = level_grids(self.image_size, self.patch_size, self.num_levels)[0]
        if max(self.image_size) > 2**14 or grid[0] * grid[1] > 2**20:
            raise ValueError(
                f"image_size {self.image_size} in patches of {self.patch_size} is too large; the most are 16,384 pixels a side "
                "and 1,048,576 patches"
            )
        if not 0 <= self.smoothing <= MOST_WIDTH:
            raise ValueError(f"smoothing is {self.smoothing}; it must be at least 0 and at most {MOST_WIDTH}")
        if not 1 <= self.latent_channels <= MOST_WIDTH:
            raise ValueError(
                f"latent_channels is {self.latent_channels}; it must be at least 1 and at most {MOST_WIDTH}"
            )
        for name, (width, depth, num_heads) in {"encoder": self.encoder, "decoder": self.decoder}.items():
            if depth < 1 or num_heads < 1:
                raise ValueError(f"the {name}'s depth {depth} and num_heads {num_heads} must be at least 1")
            if depth > MOST_DEPTH or width > MOST_WIDTH:
                raise ValueError(
                    f"the {name}'s depth {depth} and width {width} must be at most {MOST_DEPTH} and {MOST_WIDTH}"
                )
            if width < 8 or width % num_heads or width % 4:
                raise ValueError(
                    f"the {name}'s width {width} must be a multiple of 4 and of its num_heads {num_heads}; "
                    f"{max(1, round(width / (4 * num_heads))) * 4 * num_heads} is"
                )

    @property
    def encoder(self) -> tuple[int, int, int]:
        """The encoder's (width, depth, num_heads)."""
        return self.width, self.depth, self.num_heads

    @property
    def decoder(self) -> tuple[int, int, int]:
        """The decoder's (width, depth, num_heads)."""
        return (
            self.width if self.decoder_width is None else self.decoder_width,
            self.depth if self.decoder_depth is None else self.decoder_depth,
            self.num_heads if self.decoder_num_heads is None else self.decoder_num_heads,
        )

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Latent grid (height, width) per level, finest first."""
        return level_grids(self.image_size, self.patch_size, self.num_levels)

    @property
    def tokens_per_level(self) -> tuple[int, ...]:
        """Number of tokens per level, finest first."""
        return tuple(height * width for height, width in self.grids)


SIZES: dict[str, dict[str, int]] = {
    "S": {"width": 384, "depth": 12, "num_heads": 6},
    "B": {"width": 768, "depth": 12, "num_heads": 12},
    "L": {"width": 1024, "depth": 24, "num_heads": 16},
}
"""The vision transformer's usual sizes (Dosovitskiy et al. 2021), for `TokenizerConfig(**SIZES["B"])`."""
