"""What a video model is made of, as a validated value."""

from dataclasses import dataclass
from typing import Literal

from millivid.files.values import check_fields

Grid = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class VideoDiTConfig:
    """Sizes and inputs of a level-conditioned video diffusion transformer.

    grids: latent grid (height, width) per level, finest first. latent_channels: numbers per token. width, depth,
    num_heads: of the transformer. num_actions: how many categories an action can be, or how many numbers a continuous one
    has; 0 for no actions. action_type: whether an action is one of so many categories or a vector. odometry: per action
    the (distance, turn in degrees) of one frame; when given, the pose that follows from the actions is an input too.
    normalize_latents: standardise latents per level and channel with the data's statistics, which are kept beside the
    weights (off in the paper's models). patchify: "linear" reads the latents of every level, "framepack" makes the tokens
    of all levels from the finest latents. bottleneck: channels between the two linear maps of FramePack's patchify, null
    for a single map. frozen_context: context tokens attend to context alone (the paper's attend to everything), so that a
    step's context is read once for all evaluations. prediction: what the network says of noisy tokens, their "velocity" (the
    paper's, Salimans & Ho 2022) or the "data" in them. coarser_input: what enters for a token includes a linear map of the
    context's token at its place one level up, where there is one (as super-resolution models see the low resolution, Ho et
    al. 2022).

    Raises ValueError for sizes that do not fit together.
    """

    grids: tuple[Grid, ...] = ((16, 16), (8, 8), (4, 4), (2, 2))
    latent_channels: int = 32
    width: int = 768
    depth: int = 12
    num_heads: int = 12
    num_actions: int = 3
    action_type: Literal["categorical", "continuous"] = "categorical"
    odometry: tuple[tuple[float, float], ...] | None = None
    normalize_latents: bool = False
    patchify: Literal["linear", "framepack"] = "linear"
    bottleneck: int | None = None
    frozen_context: bool = False
    prediction: Literal["velocity", "data"] = "velocity"
    coarser_input: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.grids or any(min(grid) < 1 for grid in self.grids):
            raise ValueError(f"grids {self.grids} must name at least one level, each at least 1x1")
        for level, (fine, coarse) in enumerate(zip(self.grids, self.grids[1:], strict=False)):
            if (2 * coarse[0], 2 * coarse[1]) != tuple(fine):
                raise ValueError(
                    f"grid {coarse} of level {level + 1} is not half of grid {fine} of level {level}; "
                    f"{(fine[0] // 2, fine[1] // 2)} is"
                )
        if min(self.latent_channels, self.depth, self.num_heads) < 1 or self.num_actions < 0:
            raise ValueError("latent_channels, depth and num_heads must be at least 1 and num_actions at least 0")
        if max(self.latent_channels, self.num_actions, self.width, self.bottleneck or 0) > 65_536 or self.depth > 1_024:
            raise ValueError(
                "latent_channels, num_actions, width and bottleneck must be at most 65,536 and depth at most 1,024"
            )
        if self.width < 12 or self.width % self.num_heads:
            raise ValueError(
                f"width {self.width} must be at least 12 and a multiple of num_heads {self.num_heads}; "
                f"{max(1, round(self.width / self.num_heads)) * self.num_heads} is"
            )
        if self.odometry is not None and self.action_type == "continuous":
            raise ValueError(
                "odometry goes with categorical actions only; set odometry=null for others, or where there are none"
            )
        if self.odometry is not None and len(self.odometry) != self.num_actions:
            raise ValueError(
                f"odometry has {len(self.odometry)} entries for {self.num_actions} actions; give (distance, degrees) each, or "
                "set odometry=null"
            )
        if self.coarser_input and self.patchify != "linear":
            raise ValueError("coarser_input is for patchify=linear; set coarser_input=false")
        if self.bottleneck is not None and (self.patchify != "framepack" or self.bottleneck < 1):
            raise ValueError(f"bottleneck is {self.bottleneck}; it is at least 1 and belongs to patchify=framepack")

    @property
    def num_levels(self) -> int:
        """Number of levels."""
        return len(self.grids)

    @property
    def tokens_per_level(self) -> tuple[int, ...]:
        """Number of tokens of a frame at each level, finest first."""
        return tuple(height * width for height, width in self.grids)


SIZES: dict[str, dict[str, int]] = {
    "S": {"width": 384, "depth": 12, "num_heads": 6},
    "B": {"width": 768, "depth": 12, "num_heads": 12},
    "L": {"width": 1024, "depth": 24, "num_heads": 16},
    "XL": {"width": 1152, "depth": 28, "num_heads": 16},
}
"""DiT's sizes (Peebles & Xie 2023), for `VideoDiTConfig(**SIZES["B"])`."""
