"""The class token of DINOv2 ViT-L/14 (Oquab et al. 2023): what is in a frame, as one vector."""

import re
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..errors import EvaluationError
from ..frames import check_frames
from .weights import Pretrained, WeightsFile, read_tensors, require_library

if TYPE_CHECKING:
    from transformers import Dinov2Config, Dinov2Model

WEIGHTS = WeightsFile(
    name="DINOv2 ViT-L/14",
    file="dinov2_vitl14_pretrain.pth",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
)
PATCH = 14
SHORT_SIDE = 256
CROP = 252  # 18 patches
CHUNK = 16  # frames at a time
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
NAMES = {
    r"^(cls|mask)_token": r"embeddings.\1_token",
    r"^pos_embed": "embeddings.position_embeddings",
    r"^patch_embed\.proj": "embeddings.patch_embeddings.projection",
    r"^norm\.": "layernorm.",
    r"^blocks\.": "encoder.layer.",
    r"attn\.proj": "attention.output.dense",
    r"ls(\d)\.gamma": r"layer_scale\1.lambda1",
}
"""What stands in the names of the official tensors, and in those of transformers."""


def prepare(frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "frame 3 252 252"]:
    """The 252x252 centre of frames in [0, 1], normalised as ImageNet.

    A frame whose short side is not 256 pixels is resized to that first (bicubic, antialiased).
    """
    height, width = frames.shape[2:]
    if min(height, width) != SHORT_SIDE:
        scale = SHORT_SIDE / min(height, width)
        size = (max(SHORT_SIDE, round(height * scale)), max(SHORT_SIDE, round(width * scale)))
        frames = functional.interpolate(frames, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
    top, left = (frames.shape[2] - CROP) // 2, (frames.shape[3] - CROP) // 2
    mean, deviation = (frames.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (frames[:, :, top : top + CROP, left : left + CROP] - mean) / deviation


class DINOv2(Pretrained):
    """Class tokens of frames in [0, 1].

    `network`: a transformers `Dinov2Model` for images of 252x252; None builds ViT-L/14 and reads the published file. Raises
    MissingWeights without the file or without transformers, EvaluationError for another file.
    """

    def __init__(self, network: "Dinov2Model | None" = None) -> None:
        super().__init__()
        require_library("transformers", "DINOv2 is built with it: pip install transformers")
        if network is None:
            state = read_tensors(WEIGHTS)
            from transformers import Dinov2Config

            large = Dinov2Config(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=CROP)
            network = build(large, state)
            self.freeze(WEIGHTS)
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "frame dim"]:
        """The class token after the last norm. Raises EvaluationError for frames that are no floats in [0, 1] of 3 channels."""
        check_frames(frames, "DINOv2", rgb=True)
        return torch.cat([self.network(prepare(chunk)).pooler_output for chunk in frames.split(CHUNK)])


def build(config: "Dinov2Config", state: dict[str, Tensor]) -> "Dinov2Model":
    """A network of transformers, for images of 252x252, with the tensors of an official file, which names them otherwise.

    Raises EvaluationError where the installed transformers does not take them.
    """
    from transformers import Dinov2Model

    renamed = {}
    for key, value in state.items():
        for pattern, replacement in NAMES.items():
            key = re.sub(pattern, replacement, key)
        if "attn.qkv" in key:
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[key.replace("attn.qkv", f"attention.attention.{name}")] = part.clone()
        else:
            renamed[key] = value
    positions = "embeddings.position_embeddings"
    renamed[positions] = resize_positions(renamed[positions], CROP // PATCH)
    # These are the names of the files transformers itself publishes, so its own loader keeps up with its versions.
    loaded: Any = Dinov2Model.from_pretrained(None, config=config, state_dict=renamed, output_loading_info=True)
    network, report = loaded
    if report["missing_keys"] or report["unexpected_keys"]:
        raise EvaluationError(f"the installed transformers does not take DINOv2's tensors as they are named: {report}")
    return network


def resize_positions(positions: Float[Tensor, "1 token dim"], grid: int) -> Float[Tensor, "1 new_token dim"]:
    """Position embeddings for grid x grid patches, enlarged or shrunk exactly as the official code does.

    It scales by (grid + 0.1) / old grid, not by grid / old grid, and so samples slightly closer together.
    """
    old = round((positions.shape[1] - 1) ** 0.5)
    if old == grid:
        return positions
    patches = positions[:, 1:].unflatten(1, (old, old)).permute(0, 3, 1, 2)
    scale = (grid + 0.1) / old
    patches = functional.interpolate(patches, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat((positions[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)
