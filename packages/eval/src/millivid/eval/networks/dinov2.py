"""The class token of DINOv2 ViT-L/14 (Oquab et al. 2023): what is in a frame, as one vector."""

import os
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import EvaluationError
from .weights import WeightsFile, locate, require_library

if TYPE_CHECKING:
    from transformers import Dinov2Config, Dinov2Model

WEIGHTS = WeightsFile(
    name="DINOv2 ViT-L/14",
    file="dinov2_vitl14_pretrain.pth",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    how="put dinov2_vitl14_pretrain.pth of facebookresearch/dinov2 (1.2 GB) into the folder of MILLIVID_WEIGHTS",
)
PATCH = 14
SHORT_SIDE = 256
CROP = 252  # 18 patches
CHUNK = 16  # frames at a time
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


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


class DINOv2(nn.Module):
    """Class tokens of frames in [0, 1].

    `network`: a transformers `Dinov2Model` for images of 252x252; None builds ViT-L/14 and reads the published file, from
    `weights` (a path) or wherever `locate` finds it. Raises MissingWeights without the file or without transformers,
    EvaluationError for another file.
    """

    def __init__(self, network: "Dinov2Model | None" = None, weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        require_library("transformers", "DINOv2 is built with it: pip install transformers")
        self.weights_name, self.weights_sha256 = "a network that was handed over", None
        if network is None:
            path = locate(WEIGHTS, weights)
            self.weights_name, self.weights_sha256 = WEIGHTS.name, WEIGHTS.sha256
            from transformers import Dinov2Config

            state = torch.load(path, map_location="cpu", weights_only=True)
            large = Dinov2Config(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=CROP)
            network = build(large, state)
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, frames: Float[Tensor, "frame 3 height width"]) -> Float[Tensor, "frame dim"]:
        """The class token after the last norm. Raises EvaluationError for other than 3 channels."""
        if frames.ndim != 4 or frames.shape[1] != 3:
            raise EvaluationError(
                f"DINOv2: frames have shape {tuple(frames.shape)}; it takes (frame, 3, height, width)"
            )
        return torch.cat([self.network(prepare(chunk)).pooler_output for chunk in frames.split(CHUNK)])


def build(config: "Dinov2Config", state: dict[str, Tensor]) -> "Dinov2Model":
    """A network of transformers, for images of 252x252, with the tensors of an official file, which names them otherwise.

    Raises EvaluationError where the installed transformers does not take them.
    """
    from transformers import Dinov2Model

    grid = CROP // PATCH
    renamed = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": state["mask_token"],
        "embeddings.position_embeddings": resize_positions(state["pos_embed"], grid),
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    for kind in ("weight", "bias"):
        renamed[f"embeddings.patch_embeddings.projection.{kind}"] = state[f"patch_embed.proj.{kind}"]
    for i in range(config.num_hidden_layers):
        block, layer = f"blocks.{i}", f"encoder.layer.{i}"
        for kind in ("weight", "bias"):
            parts = state[f"{block}.attn.qkv.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                renamed[f"{layer}.attention.attention.{name}.{kind}"] = part.clone()
            renamed[f"{layer}.attention.output.dense.{kind}"] = state[f"{block}.attn.proj.{kind}"]
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                renamed[f"{layer}.{name}.{kind}"] = state[f"{block}.{name}.{kind}"]
        for i_scale in (1, 2):
            renamed[f"{layer}.layer_scale{i_scale}.lambda1"] = state[f"{block}.ls{i_scale}.gamma"]
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
